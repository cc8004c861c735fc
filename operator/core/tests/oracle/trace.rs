//! `controller_trace`: what each action of a user leads to, change by change.
//!
//! A row is a Rollout, a small world around it, what users do and when, and all that Argo's controller did in each of
//! its passes. The same world is simulated here around our engine, with proxies that acknowledge at once, and users do
//! the same at the same second. Not passes are compared but acts: all changes between one action of a user and the
//! next, in order for each object; all events; and the status at the end.
//!
//! | file | idea |
//! |---|---|
//! | `story` | acts and changes |
//! | `argo` | a story from the passes of a row |
//! | `ours`, `changes` | a story from our engine in the simulator |
//! | `end` | the status at the end |
//! | `rules` | where Sluice differs on purpose: what is left out of the comparison, and why |
//! | `compare` | what is left has to be the same |

#![expect(clippy::panic, reason = "a row that says what no row says ends the test")]

mod argo;
mod changes;
mod compare;
mod end;
mod ours;
mod rules;
mod story;

#[path = "../simulator/simulator.rs"]
#[expect(dead_code, reason = "scripts and late proxies are for the scenarios")]
mod simulator;

use serde_json::Value;

use crate::Verdict;

/// Changes, events and the final status.
pub(crate) fn controller_trace(row: &Value) -> Verdict {
    let delay = &row["rollout"]["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"];
    let aborts =
        row["passes"].as_array().into_iter().flatten().any(|pass| pass["op_before"]["op"] == "abort");
    if *delay == 0 && aborts {
        return Verdict::Skipped("a canary that is to stay after an abort stays; Argo scales it down");
    }
    let mut wanted = argo::story(row);
    let mut got = ours::story(row);
    rules::apply(&mut wanted, &mut got);
    compare::stories(&wanted, &got)
}
