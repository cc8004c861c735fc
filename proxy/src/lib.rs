//! The data plane: listeners, connections and pools around the decisions of `proxy-core`.
//!
//! One *control* thread speaks with the operator, builds snapshots and publishes them; a *worker* thread per
//! core accepts, routes and forwards, and shares nothing with the other workers but counters. See [`run`].

pub mod access;
pub mod args;
mod clock;
mod control;
mod keepalive;
mod random;
mod run;
mod shared;
pub mod telemetry;
mod tls;
mod worker;

pub use run::{Settings, StartError, run};
