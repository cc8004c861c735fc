//! The operator's shell: watches, effects, leases, the config server and telemetry. Decisions are made in
//! `operator-core` (Rollouts), `operator-analysis` (runs of analysis) and `operator-routes` (routes); here they are fed and carried out.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`run`](run()) | connects the parts, starts them, ends them in order |
//! | [`lease`] | who may act |
//! | [`analysis`] | the AnalysisRun controller: observe, plan, measure, record, wake |
//! | [`rollouts`] | the Rollout controller: observe, plan, execute, record, wake |
//! | [`traffic`] | what the proxies serve, for the Rollout controller |
//! | [`routes`] | the route controller: watches, compiler, statuses of Mappings |
//! | [`config_server`] | the server of the proxies and of [`traffic`] |
//! | [`certificates`] | the authority that its certificate comes from |
//! | `definitions` | which fields of our objects the API server drops |
//! | [`events`] | Events on Rollouts and AnalysisRuns |
//! | [`clock`], [`errors`] | the time of day; errors in one line |
//! | [`telemetry`] | metrics, health, logs |

pub mod analysis;
pub mod arguments;
pub mod certificates;
pub mod clock;
pub mod config_server;
mod definitions;
pub mod errors;
pub mod events;
mod experiments;
pub mod lease;
mod lists;
pub mod rollouts;
pub mod routes;
pub mod signals;
pub mod telemetry;
pub mod traffic;

mod run;
#[cfg(test)]
mod test_api;

pub use self::run::{Error, run};
