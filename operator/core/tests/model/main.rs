//! The engine as a model: every state of a small world that a bounded number of surprises leads to.
//!
//! One Rollout with three images, two pods and one Mapping; two proxies, and a third that may join. It is a canary or
//! blue-green. [`moves`] says what can happen, [`invariants`] and [`ends`] what must hold all the same. The engine is
//! used as the operator uses it:
//! `World` in, `Plan` out.
//!
//! `SLUICE_MODEL_STATES` sets how many states of a canary's update are searched, a million if it is not set. Where a violation is found, the
//! test fails with the shortest trace.

#![expect(clippy::panic, reason = "a fixture that does not fit and a broken promise end the test")]

mod broken;
mod ends;
mod execute;
mod fleet;
mod invariants;
mod model;
mod moves;
mod scene;
mod search;
mod state;
mod statuses;
mod story;
mod switch;

use std::io::Write as _;

use ends::Start;
use model::Strategy;
use operator_core::plan::plan;
use search::{Bounds, Search};

#[test]
fn no_update_breaks_an_invariant() {
    search(Strategy::Canary, Start::Update, states());
}

#[test]
fn no_first_deploy_breaks_an_invariant() {
    search(Strategy::Canary, Start::Deploy, states() / 20);
}

#[test]
fn no_blue_green_update_breaks_an_invariant() {
    search(Strategy::BlueGreen, Start::Update, states() / 5);
}

#[test]
fn no_first_blue_green_deploy_breaks_an_invariant() {
    search(Strategy::BlueGreen, Start::Deploy, states() / 20);
}

fn search(strategy: Strategy, start: Start, states: usize) {
    let bounds = Bounds { strategy, start, surprises: 3, states, ends: 32, violations: 5 };
    match Search::new(plan, bounds).run() {
        Ok(report) => tell(&format!("model {strategy:?} {start:?}: {report:?}")),
        Err(traces) => {
            let stories: Vec<String> = traces.iter().map(|trace| trace.story(plan)).collect();
            panic!("{} violations:\n\n{}", stories.len(), stories.join("\n"))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is the choice of whoever runs it")]
fn states() -> usize {
    std::env::var("SLUICE_MODEL_STATES").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000_000)
}

/// Writes past the test harness, which shows what a test prints only if it fails.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
