//! What the config server counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// The config server's metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Proxies that may carry traffic.
    pub(super) proxies: IntGauge,
    /// Those of them that serve the newest configuration and nothing else.
    pub(super) proxies_current: IntGauge,
    /// Commits sent, one per proxy.
    pub(super) commits: IntCounter,
    /// Commits that a proxy refused.
    pub(super) refused: IntCounter,
    /// Pods of proxies that were evicted because they did not acknowledge.
    pub(super) evicted: IntCounter,
    /// From sending a commit to its acknowledgement.
    pub(super) acknowledged: Histogram,
    /// From the first object of a batch to the moment at which it is compiled.
    pub(crate) compile: Histogram,
    /// Mappings that are not served.
    pub(crate) inactive_mappings: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = |name: &str, help: &str| {
            let buckets = vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        };
        let metrics = Self {
            proxies: IntGauge::new("sluice_config_proxies", "Proxies that may carry traffic")?,
            proxies_current: IntGauge::new(
                "sluice_config_proxies_current",
                "Proxies that serve the newest configuration and nothing else",
            )?,
            commits: IntCounter::new("sluice_config_commits_total", "Commits sent, one per proxy")?,
            refused: IntCounter::new("sluice_config_commits_refused_total", "Commits that a proxy refused")?,
            evicted: IntCounter::new(
                "sluice_config_proxies_evicted_total",
                "Proxies evicted because they did not acknowledge for 60 s what others had acknowledged",
            )?,
            acknowledged: seconds(
                "sluice_config_acknowledge_seconds",
                "From sending a commit to a proxy to its acknowledgement",
            )?,
            compile: seconds("sluice_routes_compile_seconds", "Compiling one batch of changed objects")?,
            inactive_mappings: IntGauge::new(
                "sluice_routes_inactive_mappings",
                "Mappings for this instance that are not served",
            )?,
        };
        registry.register(Box::new(metrics.proxies.clone()))?;
        registry.register(Box::new(metrics.proxies_current.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.evicted.clone()))?;
        registry.register(Box::new(metrics.acknowledged.clone()))?;
        registry.register(Box::new(metrics.compile.clone()))?;
        registry.register(Box::new(metrics.inactive_mappings.clone()))?;
        Ok(metrics)
    }
}
