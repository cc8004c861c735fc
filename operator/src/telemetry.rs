//! Metrics, health and logs.

mod health;
mod leases;
mod logs;
mod requests;
mod rollouts;
mod server;

pub use self::{
    health::{Gate, Readiness},
    leases::show_lease,
    logs::start_logging,
    requests::{CountRequests, RequestCounts},
    rollouts::RolloutMetrics,
    server::{Page, Pages, bind, serve},
};

use prometheus::{IntGaugeVec, Opts, Registry};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A registry with what is known of the process: `process_*`, `build_info` and Argo's
/// `argo_rollouts_controller_info`.
///
/// # Errors
/// If two metrics have one name, which a test rules out.
pub fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    constant(&registry, "argo_rollouts_controller_info", "Running Argo-rollouts-compatible controller")?;
    constant(&registry, "build_info", "A metric with a constant '1' value labeled by version")?;
    Ok(registry)
}

fn constant(registry: &Registry, name: &str, help: &str) -> prometheus::Result<()> {
    let gauge = IntGaugeVec::new(Opts::new(name, help), &["version"])?;
    gauge.with_label_values(&[VERSION]).set(1);
    registry.register(Box::new(gauge))
}
