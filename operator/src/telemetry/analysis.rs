//! Metrics of AnalysisRuns, under Argo's names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use operator_core::{
    measures::{self, Gauge, Sample},
    traffic::ObjectName,
};
use tokio::{sync::watch, time::Instant};

use super::{
    Inventory, Metrics,
    text::{Family, Histogram},
};
use crate::{analysis::Stores, lease::Tenure};

/// Upper bounds of `analysis_run_reconcile`, in seconds: Argo's.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// What is measured of runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnalysisMetrics {
    counts: Arc<Mutex<BTreeMap<ObjectName, Counts>>>,
}

/// The counts of one run.
#[derive(Debug)]
struct Counts {
    passes: Histogram,
    errors: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { passes: Histogram::new(PASS_SECONDS), errors: 0 }
    }
}

impl AnalysisMetrics {
    /// Shows runs and their counts. `tenure` is that of Rollouts.
    pub(crate) fn register(metrics: &Metrics, tenure: watch::Receiver<Tenure>, stores: Arc<Stores>) -> Self {
        let counted = Self::default();
        metrics.add(Runs { tenure, stores, metrics: counted.clone() });
        counted
    }

    /// A pass over a run has ended.
    pub(crate) fn reconciled(&self, run: &ObjectName, took: Duration) {
        self.change(run, |counts| counts.passes.observe(took.as_secs_f64()));
    }

    /// A pass over a run has failed.
    pub(crate) fn failed(&self, run: &ObjectName) {
        self.change(run, |counts| counts.errors += 1);
    }

    /// A run is gone.
    pub(crate) fn forget(&self, run: &ObjectName) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    fn change(&self, run: &ObjectName, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(run) {
            Some(counts) => change(counts),
            None => change(counts.entry(run.clone()).or_default()),
        }
    }

    fn families(&self) -> [Family; 2] {
        let mut passes =
            Family::histogram("analysis_run_reconcile", "Seconds of a pass over an AnalysisRun.");
        let mut errors =
            Family::counter("analysis_run_reconcile_error", "Failed passes over an AnalysisRun.");
        for (run, counts) in self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let labels = [("name", run.name.as_str()), ("namespace", run.namespace.as_str())];
            passes.add_histogram(&labels, &counts.passes);
            // What never happened has no series, as in Argo.
            if counts.errors > 0 {
                errors.add(&labels, counts.errors);
            }
        }
        [passes, errors]
    }
}

/// What is read off the store of runs, by the holder of the lease alone.
#[derive(Debug)]
struct Runs {
    tenure: watch::Receiver<Tenure>,
    stores: Arc<Stores>,
    metrics: AnalysisMetrics,
}

impl Inventory for Runs {
    fn write(&self, page: &mut String) {
        if self.tenure.borrow().holds(Instant::now()) {
            for family in self.gauges().into_values() {
                family.append_to(page);
            }
        }
        for family in self.metrics.families() {
            family.append_to(page);
        }
    }
}

impl Runs {
    fn gauges(&self) -> BTreeMap<Gauge, Family> {
        let mut families = BTreeMap::new();
        let mut show = |Sample { gauge, labels, value }: Sample<'_>| {
            let family = || Family::gauge(gauge.name(), gauge.help());
            families.entry(gauge).or_insert_with(family).add(labels, value);
        };
        for stored in self.stores.runs.all() {
            if let Ok(run) = &stored.decoded {
                measures::of_analysis_run(run, &mut show);
            }
        }
        families
    }
}
