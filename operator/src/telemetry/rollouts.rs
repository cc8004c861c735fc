//! Metrics of Rollouts, under Argo's names, so that dashboards keep working.

mod counts;
mod inventory;
mod workqueue;

use std::{sync::Arc, time::Duration};

use crds::rollout::status::{CompletionStatus, RolloutDuration};
use operator_core::{measures, traffic::ObjectName, why::Why};
use prometheus::{HistogramOpts, HistogramVec, exponential_buckets};
use tokio::{sync::watch, time::Instant};

pub use self::counts::RolloutCounts;
use super::Metrics;
use crate::{
    lease::Tenure,
    rollouts::{Stores, Worklist},
};

/// What is measured of Rollouts.
#[derive(Clone, Debug)]
pub struct RolloutMetrics {
    counts: RolloutCounts,
    passes: HistogramVec,
    durations: Durations,
}

/// How a pass over a Rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassOutcome {
    /// Nothing was to be done.
    Settled,
    /// Something was written.
    Moved,
    /// It failed.
    Failed,
}

impl PassOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Moved => "moved",
            Self::Failed => "failed",
        }
    }
}

/// How long updates took.
#[derive(Clone, Debug)]
struct Durations {
    total: HistogramVec,
    progression: HistogramVec,
    manual_pause: HistogramVec,
}

impl RolloutMetrics {
    /// Registers everything. `counts` may count already; `tenure` is that of Rollouts.
    ///
    /// # Errors
    /// If a name is taken.
    pub fn register(
        metrics: &Metrics,
        counts: RolloutCounts,
        tenure: watch::Receiver<Tenure>,
        stores: Arc<Stores>,
        list: Arc<Worklist>,
    ) -> prometheus::Result<Self> {
        let help = "Seconds of a pass over a Rollout, by how it ended.";
        // Argo's `rollout_reconcile` does not tell anything below 10 ms apart: 10 us to 8 s in steps of 1.6.
        let options = HistogramOpts::new("sluice_rollout_pass_seconds", help)
            .buckets(exponential_buckets(1e-5, 1.6, 30)?);
        let passes = HistogramVec::new(options, &["outcome"])?;
        metrics.registry.register(Box::new(passes.clone()))?;
        let durations = Durations::register(metrics)?;
        metrics.add(inventory::Rollouts { tenure, stores, list, counts: counts.clone() });
        Ok(Self { counts, passes, durations })
    }

    /// A pass over a Rollout has ended.
    pub fn reconciled(&self, rollout: &ObjectName, outcome: PassOutcome, took: Duration) {
        self.counts.reconciled(rollout, took);
        self.passes.with_label_values(&[outcome.as_str()]).observe(took.as_secs_f64());
    }

    /// A pass over a Rollout has failed.
    pub fn failed(&self, rollout: &ObjectName) {
        self.counts.failed(rollout);
    }

    /// A plan was made.
    pub fn planned(&self, rollout: &ObjectName, why: &Why) {
        self.counts.planned(rollout, why.label());
    }

    /// A status was recorded: it may say that an update has ended.
    pub fn recorded(&self, before: Option<&RolloutDuration>, after: Option<&RolloutDuration>) {
        if let Some(update) = measures::ended(before, after) {
            self.durations.observe(&update);
        }
    }

    /// A Rollout is gone.
    pub fn forget(&self, rollout: &ObjectName) {
        self.counts.forget(rollout, Instant::now());
    }
}

impl Durations {
    fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        let histogram = |name, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = HistogramVec::new(options, &["status"])?;
            metrics.registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(Self {
            total: histogram(
                "rollout_duration_seconds",
                "Seconds of an update from its start to its end.",
                &[30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0],
            )?,
            progression: histogram(
                "rollout_progression_duration_seconds",
                "Seconds of an update in which it did not wait for its user.",
                &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0],
            )?,
            manual_pause: histogram(
                "rollout_manual_pause_duration_seconds",
                "Seconds of an update in which it waited for its user.",
                &[0.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0],
            )?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "no update takes 2^52 seconds")]
    fn observe(&self, update: &measures::Update) {
        let status = [word(update.status)];
        self.total.with_label_values(&status).observe(update.total as f64);
        self.progression.with_label_values(&status).observe(update.progression() as f64);
        self.manual_pause.with_label_values(&status).observe(update.manual_pause as f64);
    }
}

/// The word in the status.
const fn word(status: CompletionStatus) -> &'static str {
    match status {
        CompletionStatus::Promoted => "Promoted",
        CompletionStatus::FastPromoted => "FastPromoted",
        CompletionStatus::Aborted => "Aborted",
        CompletionStatus::Superseded => "Superseded",
        CompletionStatus::RolledBack => "RolledBack",
        CompletionStatus::FastRolledBack => "FastRolledBack",
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use kube::runtime::watcher::Event;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{lease::Epoch, rollouts::StoredRollout};

    fn held() -> Tenure {
        let until = Instant::now() + Duration::from_secs(10);
        Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until }
    }

    fn registered(tenure: Tenure, object: serde_json::Value) -> (Metrics, RolloutMetrics) {
        let metrics = Metrics::default();
        let stores = Arc::new(Stores::default());
        let counts = RolloutCounts::default();
        let (_, tenure) = watch::channel(tenure);
        let rollouts =
            RolloutMetrics::register(&metrics, counts, tenure, stores.clone(), Arc::default()).unwrap();
        stores.rollouts.apply(Event::Apply(StoredRollout::deserialize(object).unwrap()));
        (metrics, rollouts)
    }

    fn assert_shown(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.text().unwrap();
        for line in lines {
            assert!(text.lines().any(|it| it == *line), "{line} in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_shows_under_argos_names() {
        let (metrics, rollouts) = registered(
            held(),
            json!({
                "metadata": {"namespace": "web", "name": "app"},
                "spec": {"replicas": 5, "strategy": {"canary": {"trafficRouting": {"ambassador": {"mappings": ["m"]}}}}},
                "status": {
                    "replicas": 6, "availableReplicas": 5, "updatedReplicas": 1,
                    "canary": {"guard": {"podHash": "abc", "verdict": "Pass"}},
                    "conditions": [
                        {"type": "Progressing", "status": "Unknown", "reason": "RolloutPaused", "message": ""},
                    ],
                },
            }),
        );
        let app = ObjectName::new("web", "app");
        rollouts.reconciled(&app, PassOutcome::Failed, Duration::from_millis(20));
        rollouts.failed(&app);
        rollouts.planned(&app, &Why::UpToDate);
        assert_shown(
            &metrics,
            &[
                r#"rollout_info{name="app",namespace="web",phase="Paused",strategy="canary",traffic_router="Ambassador"} 1"#,
                r#"rollout_info_replicas_desired{name="app",namespace="web"} 5"#,
                r#"rollout_info_replicas_available{name="app",namespace="web"} 5"#,
                r#"rollout_info_replicas_unavailable{name="app",namespace="web"} 1"#,
                r#"rollout_info_replicas_updated{name="app",namespace="web"} 1"#,
                r#"rollout_phase{name="app",namespace="web",phase="Paused",strategy="canary"} 1"#,
                r#"rollout_reconcile_error{name="app",namespace="web"} 1"#,
                r#"rollout_reconcile_bucket{name="app",namespace="web",le="0.15"} 1"#,
                r#"sluice_rollout_guard{name="app",namespace="web",verdict="PASS"} 1"#,
                r#"sluice_rollout_why{name="app",namespace="web",why="up-to-date"} 1"#,
                r#"sluice_rollout_pass_seconds_count{outcome="failed"} 1"#,
                r#"workqueue_depth{name="Rollouts"} 0"#,
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_malformed_rollout_shows_as_invalid() {
        let (metrics, _) = registered(
            held(),
            json!({"metadata": {"namespace": "web", "name": "app"}, "spec": {"replicas": "x"}}),
        );
        let line =
            r#"rollout_info{name="app",namespace="web",phase="InvalidSpec",strategy="",traffic_router=""} 1"#;
        assert_shown(&metrics, &[line]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_does_not_show_the_rollouts_of_the_holder() {
        let standby = Tenure::Foreign { holder: "other".to_owned(), address: None };
        let (metrics, _) =
            registered(standby, json!({"metadata": {"namespace": "web", "name": "app"}, "spec": {}}));
        assert!(!metrics.text().unwrap().contains("rollout_info"));
        assert_shown(&metrics, &[r#"workqueue_depth{name="Rollouts"} 0"#]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_update_is_observed_once() {
        let (metrics, rollouts) =
            registered(held(), json!({"metadata": {"namespace": "web", "name": "app"}, "spec": {}}));
        let running = RolloutDuration {
            rollout_started_at: DateTime::from_timestamp(1_795_168_800, 0),
            total_manual_pause_duration_seconds: Some(40),
            ..RolloutDuration::default()
        };
        let promoted = RolloutDuration {
            finished_at: DateTime::from_timestamp(1_795_168_900, 0),
            completion_status: Some(CompletionStatus::Promoted),
            ..running.clone()
        };
        rollouts.recorded(Some(&running), Some(&promoted));
        rollouts.recorded(Some(&promoted), Some(&promoted));
        assert_shown(
            &metrics,
            &[
                r#"rollout_duration_seconds_sum{status="Promoted"} 100"#,
                r#"rollout_duration_seconds_count{status="Promoted"} 1"#,
                r#"rollout_progression_duration_seconds_sum{status="Promoted"} 60"#,
                r#"rollout_manual_pause_duration_seconds_sum{status="Promoted"} 40"#,
            ],
        );
    }
}
