//! Metrics, health and logs.

mod analysis;
mod experiments;
mod health;
mod leases;
mod logs;
mod metrics;
mod passes;
mod process;
mod requests;
mod rollouts;
mod server;
mod text;

pub(crate) use self::{
    analysis::show_runs, experiments::show_experiments, passes::PassMetrics, text::Histogram,
};
pub use self::{
    health::{Gate, Readiness},
    leases::show_lease,
    logs::start_logging,
    metrics::{Inventory, Metrics},
    requests::{CountRequests, RequestCounts},
    rollouts::{PassOutcome, RolloutCounts, RolloutMetrics},
    server::{Page, Pages, bind, serve},
};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
