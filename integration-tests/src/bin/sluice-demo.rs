//! The image of the demo and of the cluster tests: the application that is rolled out, and the load on it.

use std::io::Write as _;

use clap::Parser;
use integration_tests::{app, load};
use tokio::signal::unix::{SignalKind, signal};

/// An application to roll out, and a load whose every request is counted.
#[derive(Parser)]
enum Role {
    /// Answer requests: who answered, and how many it has answered.
    Serve(app::Settings),
    /// Send requests and print what became of them, a line of JSON at a time.
    Load(load::Settings),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let stop = async move {
        let _ = term.recv().await;
    };
    match Role::parse() {
        Role::Serve(settings) => app::serve(settings, stop).await,
        Role::Load(settings) => {
            load::run(settings, stop, |tally| {
                let line = serde_json::to_string(tally).expect("a tally is JSON");
                // Nobody reads any more: the sums go on and the next reader gets them.
                drop(writeln!(std::io::stdout(), "{line}"));
            })
            .await
        }
    }
}
