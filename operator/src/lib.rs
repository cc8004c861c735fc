//! The operator's shell: watches, effects, leases, the config server and telemetry. Decisions are made in
//! `operator-core` (Rollouts) and `operator-routes` (routes); here they are fed and carried out.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`run`](run()) | connects the parts, starts them, ends them in order |
//! | [`lease`] | who may act |
//! | [`rollouts`] | the Rollout controller: observe, plan, execute, record, wake |
//! | [`traffic`] | what the proxies serve, for the Rollout controller |
//! | [`events`] | Events on Rollouts |
//! | [`telemetry`] | metrics, health, logs |

pub mod arguments;
pub mod clock;
pub mod events;
pub mod lease;
pub mod rollouts;
pub mod signals;
pub mod telemetry;
pub mod traffic;

mod run;

pub use self::run::{Error, run};
