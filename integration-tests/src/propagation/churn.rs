//! Changes beside those that are measured.

use std::{convert::Infallible, time::Duration};

use anyhow::Context as _;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::Fleet;

/// A route is edited this often, and an endpoint goes or comes back: twice as much as gateway-api-bench does.
const EVERY: Duration = Duration::from_secs(1);
/// Neighbours are not edited one after the other. A prime, so that it shares no factor with the number of routes.
const STRIDE: usize = 7_919;

/// Changes that go on until they are ended.
#[derive(Debug)]
pub struct Churn {
    task: JoinHandle<anyhow::Result<Infallible>>,
}

impl Churn {
    /// Begins to change one after the other of these routes.
    #[must_use]
    pub fn begin(fleet: Fleet, routes: usize) -> Self {
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut change = 0;
            loop {
                tick.tick().await;
                fleet.edit((change * STRIDE) % routes, &format!("change-{change}")).await?;
                // Every endpoint that goes is back a second later.
                fleet.ready((change / 2 * STRIDE) % routes, change % 2 == 1).await?;
                change += 1;
            }
        });
        Self { task }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it ended before, because a change failed.
    pub async fn end(self) -> anyhow::Result<()> {
        if !self.task.is_finished() {
            self.task.abort();
            return Ok(());
        }
        match self.task.await.context("failed to go on with changes")?.context("failed to change a route")? {}
    }
}
