//! Logs and metrics.
//!
//! Requests are counted in atomics that exist since the snapshot was built; a scrape copies them into families.
//! So a request never looks up a label.

use std::{
    fmt::{Display, Write as _},
    io::IsTerminal as _,
    sync::atomic::Ordering,
};

use prometheus::{
    Encoder as _, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};
use proxy_config::model::Position;
use proxy_core::{
    counters::CLASSES,
    latency::{Counted, edge},
    snapshot::{Builder, Copied},
};
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::{args::LogFormat, shared::Shared};

/// Starts to write log lines to standard error.
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter.parse::<EnvFilter>()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// What a scrape shows.
pub(crate) struct Page<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) builder: &'a Builder,
    pub(crate) served: Option<Position>,
    pub(crate) stream_is_up: bool,
    pub(crate) streams_failed: u64,
    pub(crate) ready: bool,
    pub(crate) commits_taken: u64,
    pub(crate) commits_refused: u64,
    pub(crate) tls_unusable: usize,
    pub(crate) listeners: Vec<(String, u16, bool)>,
    /// Whether every arm has a histogram of its own.
    pub(crate) arm_latencies: bool,
}

/// A histogram in Prometheus' text format.
struct HistogramText(String, &'static str);

impl HistogramText {
    fn new(name: &'static str, help: &str) -> Self {
        Self(format!("# HELP {name} {help}\n# TYPE {name} histogram\n"), name)
    }

    /// Adds what was counted. Only every fourth edge is shown: each is twice the one before.
    fn add(&mut self, labels: &[(&str, &str)], counted: &Counted) {
        let Self(text, name) = self;
        let labels = labels
            .iter()
            .fold(String::new(), |text, (name, value)| format!("{text}{name}=\"{}\",", escaped(value)));
        let mut below = 0;
        let mut line = |suffix: &str, labels: &str, value: &dyn Display| {
            // A String takes everything.
            let _ = match labels.trim_end_matches(',') {
                "" => writeln!(text, "{name}{suffix} {value}"),
                labels => writeln!(text, "{name}{suffix}{{{labels}}} {value}"),
            };
        };
        for (bucket, count) in counted.buckets.iter().enumerate() {
            below += count;
            match edge(bucket) {
                Some(edge) if bucket % 4 == 0 => {
                    line("_bucket", &format!("{labels}le=\"{}\"", edge.as_secs_f64()), &below);
                }
                Some(_) => {}
                None => line("_bucket", &format!("{labels}le=\"+Inf\""), &below),
            }
        }
        line("_sum", &labels, &counted.total.as_secs_f64());
        line("_count", &labels, &below);
    }
}

/// A label's value (Prometheus, "Text format details").
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Page<'_> {
    /// The page in Prometheus' text format.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        self.requests(&registry)?;
        self.connections(&registry)?;
        self.configuration(&registry)?;
        let mut page = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut page)?;
        let mut page = String::from_utf8_lossy(&page).into_owned();
        self.latencies(&mut page);
        Ok(page)
    }

    /// Written straight: a histogram of the library counts by itself.
    fn latencies(&self, page: &mut String) {
        let mut all = self.builder.retired_latencies().clone();
        let mut family = HistogramText::new(
            "sluice_proxy_first_try_seconds",
            "How long first tries took, up to the response head or the failure.",
        );
        for counters in self.builder.counters() {
            let Some(counted) = counters.latencies() else { continue };
            if self.arm_latencies {
                let (split, arm) = (counters.split.as_str(), counters.arm.as_str());
                family.add(&[("split", split), ("arm", arm), ("hash", &counters.hash)], &counted);
            }
            all.add(&counted);
        }
        if !self.arm_latencies {
            family.add(&[], &all);
        }
        page.push_str(&family.0);
    }

    fn requests(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let answers = counter(
            registry,
            "sluice_proxy_requests_total",
            "Answers to requests that were drawn for an arm, by status class.",
            &["split", "arm", "hash", "code"],
        )?;
        let bad = counter(
            registry,
            "sluice_proxy_first_tries_bad_total",
            "Requests whose first try ended with a 5xx, a connect failure, a reset or a timeout.",
            &["split", "arm", "hash"],
        )?;
        for counters in self.builder.counters() {
            let labels = [counters.split.as_str(), counters.arm.as_str(), &counters.hash];
            // Arms without requests are many, and nobody misses their zeros.
            if counters.requests() > 0 {
                bad.with_label_values(&labels).inc_by(counters.bad());
            }
            for (class, count) in CLASSES.iter().zip(counters.answers()) {
                if count > 0 {
                    let [split, arm, hash] = labels;
                    answers.with_label_values(&[split, arm, hash, class]).inc_by(count);
                }
            }
        }
        let copies = counter(
            registry,
            "sluice_proxy_mirrored_requests_total",
            "Copies of requests for mirrors, by what became of them.",
            &["split", "mirror", "outcome"],
        )?;
        for counters in self.builder.mirrors() {
            for outcome in Copied::ALL {
                let labels = [counters.split.as_str(), counters.mirror.as_str(), outcome.as_str()];
                copies.with_label_values(&labels).inc_by(counters.of(outcome));
            }
        }
        let own = counter(
            registry,
            "sluice_proxy_own_answers_total",
            "Answers of the proxy itself, by the reason in their header x-sluice-reason.",
            &["reason"],
        )?;
        for (reason, count) in self.shared.reasons() {
            own.with_label_values(&[reason.as_str()]).inc_by(count);
        }
        for refused in self.builder.refused() {
            own.with_label_values(&[&refused.reason]).inc_by(refused.count());
        }
        let full = counter(
            registry,
            "sluice_proxy_limited_total",
            "Requests, connections and retries that a limit of their cluster kept back.",
            &["limit"],
        )?;
        for (limit, count) in self.shared.full() {
            full.with_label_values(&[limit.as_str()]).inc_by(count);
        }
        let checks = counter(
            registry,
            "sluice_proxy_health_checks_total",
            "Answers of endpoints to health checks.",
            &["outcome"],
        )?;
        for (outcome, count) in ["good", "bad"].into_iter().zip(&self.shared.health_checks) {
            checks.with_label_values(&[outcome]).inc_by(count.load(Ordering::Relaxed));
        }
        gauge(
            registry,
            "sluice_proxy_endpoints_unhealthy",
            "Endpoints that do not pass a health check.",
            &[],
        )?
        .with_label_values::<&str>(&[])
        .set(i64::try_from(self.builder.unhealthy()).unwrap_or(i64::MAX));
        let in_flight = gauge(
            registry,
            "sluice_proxy_requests_in_flight",
            "Requests under way, response bodies included, by version of pods.",
            &["namespace", "hash"],
        )?;
        for load in self.builder.loads() {
            let labels = [&*load.version.namespace, &*load.version.hash];
            in_flight.with_label_values(&labels).set(i64::try_from(load.requests).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    fn connections(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let load = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed);
        let closed = load(&self.shared.closed);
        let accepted = load(&self.shared.accepted);
        let sessions = load(&self.shared.sessions);
        let totals = [
            ("sluice_proxy_retries_total", "Tries after the first.", load(&self.shared.retries)),
            (
                "sluice_proxy_upstream_connects_total",
                "Connections made to endpoints.",
                load(&self.shared.connects),
            ),
            (
                "sluice_proxy_upstream_connect_failures_total",
                "Connections to endpoints that could not be made in time.",
                load(&self.shared.connect_failures),
            ),
            (
                "sluice_proxy_upstream_ejections_total",
                "Endpoints that were left out for a time because they failed.",
                load(&self.shared.ejections),
            ),
            ("sluice_proxy_downstream_connections_total", "Connections accepted from clients.", accepted),
            (
                "sluice_proxy_downstream_sessions_total",
                "Sessions of clients that send datagrams, ever.",
                sessions,
            ),
            (
                "sluice_proxy_datagrams_dropped_total",
                "Datagrams that were thrown away: too many sessions, no route or endpoint, a full queue of the system.",
                load(&self.shared.datagrams_dropped),
            ),
            (
                "sluice_proxy_downstream_timeouts_total",
                "Connections that ended because the client stood still in the middle of a head or an answer.",
                load(&self.shared.stalled),
            ),
            (
                "sluice_proxy_downstream_tls_failures_total",
                "Connections that ended before TLS was agreed on.",
                load(&self.shared.tls_failures),
            ),
            (
                "sluice_proxy_downstream_header_failures_total",
                "Connections of trusted peers that did not begin with a header of the PROXY protocol.",
                load(&self.shared.header_failures),
            ),
        ];
        for (name, help, count) in totals {
            counter(registry, name, help, &[])?.with_label_values::<&str>(&[]).inc_by(count);
        }
        let gauges = [
            (
                "sluice_proxy_downstream_connections",
                "Connections of clients that are open.",
                accepted.saturating_sub(closed),
            ),
            (
                "sluice_proxy_downstream_sessions",
                "Sessions of clients that send datagrams.",
                sessions.saturating_sub(load(&self.shared.sessions_ended)),
            ),
        ];
        for (name, help, value) in gauges {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            gauge(registry, name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        }
        let dropped = self.shared.access.as_ref().map_or(0, |it| it.dropped());
        let help = "Lines of the access log that were not written because too many waited.";
        counter(registry, "sluice_proxy_access_log_dropped_total", help, &[])?
            .with_label_values::<&str>(&[])
            .inc_by(dropped);
        Ok(())
    }

    fn configuration(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let commits = counter(
            registry,
            "sluice_proxy_config_commits_total",
            "Commits from the operator, by what became of them.",
            &["outcome"],
        )?;
        commits.with_label_values(&["taken"]).inc_by(self.commits_taken);
        commits.with_label_values(&["refused"]).inc_by(self.commits_refused);
        let help = "Attempts to have a stream to the operator that ended without a commit.";
        let failures = counter(registry, "sluice_proxy_config_stream_failures_total", help, &[])?;
        failures.with_label_values::<&str>(&[]).inc_by(self.streams_failed);
        let position = self.served.unwrap_or_default();
        let gauges = [
            (
                "sluice_proxy_config_seq",
                "The commit that every worker routes by; 0 before the first.",
                i64::try_from(position.seq).unwrap_or(i64::MAX),
            ),
            (
                "sluice_proxy_config_epoch",
                "How often the operators' lease changed hands, as of that commit.",
                position.epoch.transitions,
            ),
            (
                "sluice_proxy_config_stream_up",
                "Whether the stream to the operator is open.",
                i64::from(self.stream_is_up),
            ),
            (
                "sluice_proxy_tls_unusable",
                "Certificates, hosts and clusters that cannot be used for TLS; the log says why.",
                i64::try_from(self.tls_unusable).unwrap_or(i64::MAX),
            ),
            ("sluice_proxy_ready", "Whether the proxy should get traffic.", i64::from(self.ready)),
        ];
        for (name, help, value) in gauges {
            gauge(registry, name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        }
        let help = "Whether a listener of the configuration is open.";
        let listeners = gauge(registry, "sluice_proxy_listener_up", help, &["listener", "port"])?;
        for (id, port, up) in &self.listeners {
            listeners.with_label_values(&[id.as_str(), &port.to_string()]).set(i64::from(*up));
        }
        let build = gauge(registry, "sluice_proxy_build_info", "Always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(())
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
