//! What is known of the process: `process_*`, its version, and the one metric of the Go runtime that Argo's dashboard
//! shows.

use prometheus::{
    IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};

use super::VERSION;

/// Registers all of it.
pub(super) fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    registry.register(Box::new(Heap::new()?))?;
    constant(registry, "argo_rollouts_controller_info", "Running Argo-rollouts-compatible controller")?;
    constant(registry, "build_info", "A metric with a constant '1' value labeled by version")
}

fn constant(registry: &Registry, name: &str, help: &str) -> prometheus::Result<()> {
    let gauge = IntGaugeVec::new(Opts::new(name, help), &["version"])?;
    gauge.with_label_values(&[VERSION]).set(1);
    registry.register(Box::new(gauge))
}

/// `go_memstats_heap_alloc_bytes`. There is no Go here; what comes closest is the memory in use that is not a file's.
struct Heap(IntGauge);

impl Heap {
    fn new() -> prometheus::Result<Self> {
        let help = "Bytes of anonymous memory in use, under the name that Argo's dashboard shows.";
        Ok(Self(IntGauge::new("go_memstats_heap_alloc_bytes", help)?))
    }
}

impl Collector for Heap {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Not on Linux: then there is no such metric.
        let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Vec::new() };
        let Some(bytes) = anonymous(&status) else { return Vec::new() };
        self.0.set(bytes);
        self.0.collect()
    }
}

/// `RssAnon` of `/proc/<pid>/status`, in bytes.
fn anonymous(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_anonymous_memory() {
        let status = "Name:\tsluice-operator\nVmRSS:\t   20480 kB\nRssAnon:\t   10240 kB\nRssFile:\t 9 kB\n";
        assert_eq!(anonymous(status), Some(10_485_760));
        assert_eq!(anonymous("Name:\tx\n"), None);
    }
}
