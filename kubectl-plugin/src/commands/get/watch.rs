//! `get … --watch`: the tree, drawn again whenever something in it changes.

mod stores;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use tokio::time::Instant;

use self::stores::{Change, Stores};
use super::{Fetched, Root, Tree};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output::Output;
use crate::view::text::Paint;
use crate::waiting;

/// Two drawings are at least this far apart, so that a burst of changes does not flicker.
const CALM: Duration = Duration::from_millis(200);
/// On a terminal ages go on without changes.
const TICK: Duration = Duration::from_secs(1);

/// Draws until the time is over (`None` = never), the object is deleted or the output is closed. On a terminal each
/// picture replaces the last one; elsewhere one follows the other with an empty line between them, and only if more
/// than ages changed.
pub async fn run(
    cluster: &Cluster,
    root: Root,
    name: &str,
    clock: fn() -> DateTime<Utc>,
    output: Output,
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    // Errors that a watch would only retry, such as an object that does not exist, come out here.
    let Fetched { tree, readable, warnings } =
        waiting::on(waiting::API, Box::pin(super::fetch(cluster, root, name))).await?;
    output.warn_all(&warnings);
    let mut picture = Picture::new(output, clock);
    picture.draw(&tree)?;
    let watching = follow(Stores::start(cluster, root, name, readable), name, picture);
    match timeout {
        // The time that the user gave is over: that is no error.
        Some(timeout) => tokio::time::timeout(timeout, watching).await.unwrap_or(Ok(())),
        None => watching.await,
    }
}

async fn follow(mut stores: Stores, name: &str, mut picture: Picture) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(TICK);
    let mut draw_at: Option<Instant> = None;
    loop {
        let soon = Instant::now() + CALM;
        tokio::select! {
            change = stores.changes.next() => match change {
                Some(Change::Problem(problem)) => picture.problem(Some(problem)),
                Some(change) => {
                    stores.note(&change);
                    picture.problem(None);
                    draw_at.get_or_insert(soon);
                }
                None => return Ok(()),
            },
            _ = tick.tick(), if picture.output.is_terminal() => { draw_at.get_or_insert(soon); }
            () = tokio::time::sleep_until(draw_at.unwrap_or(soon)), if draw_at.is_some() => {
                draw_at = None;
                if let Some(tree) = stores.tree(name)? {
                    picture.draw(&tree)?;
                }
            }
        }
    }
}

/// What is on the screen.
struct Picture {
    output: Output,
    clock: fn() -> DateTime<Utc>,
    /// The last picture at a fixed time: equal ones differ in nothing but ages.
    last: Option<String>,
    fixed: DateTime<Utc>,
    problem: Option<String>,
}

impl Picture {
    fn new(output: Output, clock: fn() -> DateTime<Utc>) -> Self {
        Self { output, clock, last: None, fixed: clock(), problem: None }
    }

    fn draw(&mut self, tree: &Tree) -> Result<(), Failure> {
        let text = tree.render((self.clock)(), self.output.paint());
        if self.output.is_terminal() {
            let problem = self.problem.as_ref().map(|problem| format!("\n{problem}\n")).unwrap_or_default();
            return Ok(self.output.redraw(&(text + &problem))?);
        }
        let ageless = tree.render(self.fixed, Paint::Plain);
        if self.last.as_ref() == Some(&ageless) {
            return Ok(());
        }
        let separator = if self.last.is_some() { "\n" } else { "" };
        self.last = Some(ageless);
        Ok(self.output.write(&format!("{separator}{text}"))?)
    }

    /// The watch is broken and being retried: said once, below the picture or on standard error.
    fn problem(&mut self, problem: Option<String>) {
        if let Some(new) = problem.as_ref().filter(|_| problem != self.problem && !self.output.is_terminal())
        {
            self.output.warn(new);
        }
        self.problem = problem;
    }
}
