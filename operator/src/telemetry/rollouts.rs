//! Metrics of Rollouts, under Argo's names, so that dashboards keep working.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::{
    Rollout,
    rollout::{RolloutSpec, RolloutStatus, TrafficRouting},
};
use kube::ResourceExt;
use operator_core::{traffic::ObjectName, why::Why};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::rollouts::{Stores, Worklist};

/// What is measured of Rollouts.
#[derive(Clone, Debug)]
pub struct RolloutMetrics {
    passes: HistogramVec,
    errors: IntCounterVec,
    reasons: Reasons,
}

/// Why each Rollout is where it is, as of its last plan.
type Reasons = Arc<Mutex<BTreeMap<ObjectName, &'static str>>>;

impl RolloutMetrics {
    /// Registers everything.
    ///
    /// # Errors
    /// If a name is taken.
    pub fn register(
        registry: &Registry,
        stores: Arc<Stores>,
        list: Arc<Worklist>,
    ) -> prometheus::Result<Self> {
        let buckets = vec![0.01, 0.15, 0.25, 0.5, 1.0];
        let options = HistogramOpts::new("rollout_reconcile", "Rollout reconciliation performance.");
        let passes = HistogramVec::new(options.buckets(buckets), &["namespace", "name"])?;
        let options = Opts::new("rollout_reconcile_error", "Error occurring during the rollout");
        let errors = IntCounterVec::new(options, &["namespace", "name"])?;
        let reasons = Reasons::default();
        registry.register(Box::new(passes.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        let gauges = Gauges::new()?;
        registry.register(Box::new(Inventory { gauges, stores, list, reasons: reasons.clone() }))?;
        Ok(Self { passes, errors, reasons })
    }

    /// A pass over a Rollout has ended.
    pub fn reconciled(&self, rollout: &ObjectName, took: Duration) {
        let labels = [rollout.namespace.as_str(), rollout.name.as_str()];
        self.passes.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// A pass over a Rollout has failed.
    pub fn failed(&self, rollout: &ObjectName) {
        self.errors.with_label_values(&[rollout.namespace.as_str(), rollout.name.as_str()]).inc();
    }

    /// A plan was made.
    pub fn planned(&self, rollout: &ObjectName, why: &Why) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.insert(rollout.clone(), why.label());
    }

    /// A Rollout is gone.
    pub fn forget(&self, rollout: &ObjectName) {
        let labels = [rollout.namespace.as_str(), rollout.name.as_str()];
        // A Rollout that never failed has no such metric.
        let _ = self.passes.remove_label_values(&labels);
        let _ = self.errors.remove_label_values(&labels);
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).remove(rollout);
    }
}

/// What is read off the stores when somebody asks.
#[derive(Debug)]
struct Inventory {
    gauges: Gauges,
    stores: Arc<Stores>,
    list: Arc<Worklist>,
    reasons: Reasons,
}

#[derive(Debug)]
struct Gauges {
    info: IntGaugeVec,
    available: IntGaugeVec,
    unavailable: IntGaugeVec,
    desired: IntGaugeVec,
    updated: IntGaugeVec,
    why: IntGaugeVec,
    depth: IntGaugeVec,
}

impl Gauges {
    fn new() -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let object = ["namespace", "name"];
        Ok(Self {
            info: gauge(
                "rollout_info",
                "Information about rollout.",
                &["namespace", "name", "strategy", "traffic_router", "phase"],
            )?,
            available: gauge(
                "rollout_info_replicas_available",
                "The number of available replicas per rollout.",
                &object,
            )?,
            unavailable: gauge(
                "rollout_info_replicas_unavailable",
                "The number of unavailable replicas per rollout.",
                &object,
            )?,
            desired: gauge(
                "rollout_info_replicas_desired",
                "The number of desired replicas per rollout.",
                &object,
            )?,
            updated: gauge(
                "rollout_info_replicas_updated",
                "The number of updated replicas per rollout.",
                &object,
            )?,
            why: gauge(
                "sluice_rollout_why",
                "Why a Rollout is where it is: the first reason of its last plan.",
                &["namespace", "name", "why"],
            )?,
            depth: gauge("workqueue_depth", "Current depth of workqueue", &["name"])?,
        })
    }

    fn all(&self) -> [&IntGaugeVec; 7] {
        let Self { info, available, unavailable, desired, updated, why, depth } = self;
        [info, available, unavailable, desired, updated, why, depth]
    }

    fn show(&self, rollout: &Rollout) {
        let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
        let status = rollout.status.clone().unwrap_or_default();
        let labels = [
            namespace.as_str(),
            name.as_str(),
            strategy(&rollout.spec),
            router(&rollout.spec),
            phase(&status),
        ];
        self.info.with_label_values(&labels).set(1);
        let labels = [namespace.as_str(), name.as_str()];
        let desired = rollout.spec.replicas.unwrap_or(1);
        self.desired.with_label_values(&labels).set(desired.into());
        self.available.with_label_values(&labels).set(status.available_replicas.into());
        self.updated.with_label_values(&labels).set(status.updated_replicas.into());
        let unavailable = status.replicas.saturating_sub(status.available_replicas);
        self.unavailable.with_label_values(&labels).set(unavailable.into());
    }
}

impl Collector for Inventory {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // New vectors each time: what is gone leaves no trace. The names were tried when this was registered.
        let Ok(gauges) = Gauges::new() else { return Vec::new() };
        for stored in self.stores.rollouts.all() {
            if let Ok(rollout) = &stored.decoded {
                gauges.show(rollout);
            } else {
                let metadata = &stored.metadata;
                let namespace = metadata.namespace.as_deref().unwrap_or_default();
                let name = metadata.name.as_deref().unwrap_or_default();
                gauges.info.with_label_values(&[namespace, name, "", "", "InvalidSpec"]).set(1);
            }
        }
        for (rollout, why) in self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauges.why.with_label_values(&[rollout.namespace.as_str(), rollout.name.as_str(), *why]).set(1);
        }
        let depth = i64::try_from(self.list.waiting()).unwrap_or(i64::MAX);
        gauges.depth.with_label_values(&["Rollouts"]).set(depth);
        gauges.all().into_iter().flat_map(Collector::collect).collect()
    }
}

fn strategy(spec: &RolloutSpec) -> &'static str {
    match (&spec.strategy.canary, &spec.strategy.blue_green) {
        (Some(_), _) => "canary",
        (None, Some(_)) => "blueGreen",
        (None, None) => "none",
    }
}

fn router(spec: &RolloutSpec) -> &'static str {
    let Some(routing) = spec.strategy.canary.as_ref().and_then(|it| it.traffic_routing.as_ref()) else {
        return "";
    };
    let TrafficRouting { alb, ambassador, apisix, app_mesh, istio, nginx, smi, traefik, .. } = routing;
    let named = [
        (istio.is_some(), "Istio"),
        (alb.is_some(), "ALB"),
        (ambassador.is_some(), "Ambassador"),
        (nginx.is_some(), "Nginx"),
        (smi.is_some(), "SMI"),
        (app_mesh.is_some(), "AppMesh"),
        (traefik.is_some(), "Traefik"),
        (apisix.is_some(), "Apisix"),
        (!routing.plugins.is_empty(), "Plugin"),
    ];
    named.into_iter().find(|(is, _)| *is).map_or("", |(_, name)| name)
}

/// Argo's phase of this metric: from the conditions, and not the same words as `status.phase`.
fn phase(status: &RolloutStatus) -> &'static str {
    let condition = |kind: &str| status.conditions.iter().find(|it| it.kind == kind);
    if condition("InvalidSpec").is_some_and(|it| it.status == "True") {
        return "InvalidSpec";
    }
    match condition("Progressing").map(|it| it.reason.as_str()) {
        Some("NewReplicaSetAvailable") => "Completed",
        Some("RolloutPaused") => "Paused",
        Some("ReplicaSetCreateError") => "Error",
        Some("ProgressDeadlineExceeded") => "Timeout",
        Some("RolloutAborted") => "Abort",
        _ => "Progressing",
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use prometheus::TextEncoder;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::rollouts::StoredRollout;

    fn scrape(object: serde_json::Value) -> String {
        let registry = Registry::new();
        let stores = Arc::new(Stores::default());
        let metrics = RolloutMetrics::register(&registry, stores.clone(), Arc::default()).unwrap();
        stores.rollouts.apply(Event::Apply(StoredRollout::deserialize(object).unwrap()));
        metrics.failed(&ObjectName::new("web", "app"));
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn a_rollout_shows_under_argos_names() {
        let text = scrape(json!({
            "metadata": {"namespace": "web", "name": "app"},
            "spec": {"replicas": 5, "strategy": {"canary": {"trafficRouting": {"ambassador": {"mappings": ["m"]}}}}},
            "status": {"replicas": 6, "availableReplicas": 5, "updatedReplicas": 1, "conditions": [
                {"type": "Progressing", "status": "Unknown", "reason": "RolloutPaused", "message": ""},
            ]},
        }));
        for line in [
            r#"rollout_info{name="app",namespace="web",phase="Paused",strategy="canary",traffic_router="Ambassador"} 1"#,
            r#"rollout_info_replicas_desired{name="app",namespace="web"} 5"#,
            r#"rollout_info_replicas_available{name="app",namespace="web"} 5"#,
            r#"rollout_info_replicas_unavailable{name="app",namespace="web"} 1"#,
            r#"rollout_info_replicas_updated{name="app",namespace="web"} 1"#,
            r#"rollout_reconcile_error{name="app",namespace="web"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_malformed_rollout_shows_as_invalid() {
        let text =
            scrape(json!({"metadata": {"namespace": "web", "name": "app"}, "spec": {"replicas": "x"}}));
        let line =
            r#"rollout_info{name="app",namespace="web",phase="InvalidSpec",strategy="",traffic_router=""} 1"#;
        assert!(text.contains(line), "{text}");
    }
}
