//! What is counted of each Rollout, and forgotten some time after its end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use operator_core::traffic::ObjectName;
use tokio::time::Instant;

use crate::telemetry::text::{Family, Histogram};

/// How long counts outlive their Rollout, as Argo's: the last scrape, a minute after the one before, still finds them.
const KEPT: Duration = Duration::from_secs(65);

/// Upper bounds of `rollout_reconcile`, in seconds: Argo's.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// The counts of all Rollouts.
#[derive(Clone, Debug, Default)]
pub struct RolloutCounts {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    rollouts: BTreeMap<ObjectName, Counts>,
    /// Those that are gone, in that order. One may have come back.
    gone: VecDeque<(Instant, ObjectName)>,
}

/// The counts of one Rollout.
#[derive(Debug)]
struct Counts {
    passes: Histogram,
    errors: u64,
    /// By type and reason.
    events: BTreeMap<(&'static str, String), u64>,
    /// What the last plan does or waits for.
    why: Option<&'static str>,
    gone: Option<Instant>,
}

impl Default for Counts {
    fn default() -> Self {
        let passes = Histogram::new(PASS_SECONDS);
        Self { passes, errors: 0, events: BTreeMap::new(), why: None, gone: None }
    }
}

impl RolloutCounts {
    /// A pass has ended.
    pub(super) fn reconciled(&self, rollout: &ObjectName, took: Duration) {
        self.change(rollout, |counts| counts.passes.observe(took.as_secs_f64()));
    }

    /// A pass has failed.
    pub(super) fn failed(&self, rollout: &ObjectName) {
        self.change(rollout, |counts| counts.errors += 1);
    }

    /// A plan was made.
    pub(super) fn planned(&self, rollout: &ObjectName, why: &'static str) {
        self.change(rollout, |counts| counts.why = Some(why));
    }

    /// An event was recorded.
    pub fn event(&self, rollout: &ObjectName, kind: &'static str, reason: &str) {
        self.change(rollout, |counts| *counts.events.entry((kind, reason.to_owned())).or_default() += 1);
    }

    /// A Rollout is gone.
    pub(super) fn forget(&self, rollout: &ObjectName, now: Instant) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.purge(now);
        if let Some(counts) = inner.rollouts.get_mut(rollout)
            && counts.gone.is_none()
        {
            counts.gone = Some(now);
            counts.why = None;
            inner.gone.push_back((now, rollout.clone()));
        }
    }

    /// All of them, as Argo names them.
    pub(super) fn families(&self, now: Instant) -> [Family; 3] {
        let mut passes = Family::histogram("rollout_reconcile", "Seconds of a pass over a Rollout.");
        let mut errors = Family::counter("rollout_reconcile_error", "Failed passes over a Rollout.");
        let mut events = Family::counter("rollout_events_total", "Events on a Rollout.");
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.purge(now);
        for (rollout, counts) in &inner.rollouts {
            let (name, namespace) =
                (("name", rollout.name.as_str()), ("namespace", rollout.namespace.as_str()));
            passes.add_histogram(&[name, namespace], &counts.passes);
            // What never happened has no series, as in Argo.
            if counts.errors > 0 {
                errors.add(&[name, namespace], counts.errors);
            }
            for ((kind, reason), count) in &counts.events {
                events.add(&[name, namespace, ("reason", reason), ("type", kind)], count);
            }
        }
        [passes, errors, events]
    }

    /// What each of them does or waits for.
    pub(super) fn reasons(&self) -> Family {
        let help = "Why a Rollout is where it is: the first reason of its last plan.";
        let mut reasons = Family::gauge("sluice_rollout_why", help);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (rollout, counts) in &inner.rollouts {
            if let Some(why) = counts.why {
                let labels =
                    [("name", rollout.name.as_str()), ("namespace", &rollout.namespace), ("why", why)];
                reasons.add(&labels, 1);
            }
        }
        reasons
    }

    fn change(&self, rollout: &ObjectName, change: impl FnOnce(&mut Counts)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = match inner.rollouts.get_mut(rollout) {
            Some(counts) => counts,
            None => inner.rollouts.entry(rollout.clone()).or_default(),
        };
        counts.gone = None;
        change(counts);
    }
}

impl Inner {
    fn purge(&mut self, now: Instant) {
        while let Some((since, rollout)) = self.gone.pop_front_if(|(since, _)| *since + KEPT <= now) {
            if self.rollouts.get(&rollout).is_some_and(|it| it.gone == Some(since)) {
                self.rollouts.remove(&rollout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(counts: &RolloutCounts) -> String {
        let mut page = String::new();
        for family in counts.families(Instant::now()) {
            family.append_to(&mut page);
        }
        counts.reasons().append_to(&mut page);
        page
    }

    #[tokio::test(start_paused = true)]
    async fn counts_outlive_their_rollout_for_one_more_scrape() {
        let counts = RolloutCounts::default();
        let app = ObjectName::new("web", "app");
        counts.reconciled(&app, Duration::from_millis(100));
        counts.event(&app, "Normal", "RolloutUpdated");
        counts.planned(&app, "up-to-date");
        assert!(
            page(&counts).contains(r#"sluice_rollout_why{name="app",namespace="web",why="up-to-date"} 1"#)
        );
        counts.event(&app, "Normal", "RolloutUpdated");
        counts.forget(&app, Instant::now());
        tokio::time::advance(Duration::from_mins(1)).await;
        let line =
            r#"rollout_events_total{name="app",namespace="web",reason="RolloutUpdated",type="Normal"} 2"#;
        assert!(page(&counts).contains(line), "{}", page(&counts));
        assert!(
            page(&counts).contains(r#"rollout_reconcile_bucket{name="app",namespace="web",le="0.15"} 1"#)
        );
        assert!(!page(&counts).contains("rollout_reconcile_error"));
        assert!(!page(&counts).contains("sluice_rollout_why"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(page(&counts), "");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_back_keeps_its_counts() {
        let counts = RolloutCounts::default();
        let app = ObjectName::new("web", "app");
        counts.failed(&app);
        counts.forget(&app, Instant::now());
        tokio::time::advance(Duration::from_secs(30)).await;
        counts.failed(&app);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(page(&counts).contains(r#"rollout_reconcile_error{name="app",namespace="web"} 2"#));
        counts.forget(&app, Instant::now());
        tokio::time::advance(Duration::from_mins(1)).await;
        counts.forget(&app, Instant::now());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(page(&counts), "");
    }
}
