//! Metrics of AnalysisRuns, under Argo's names.

use std::sync::Arc;

use operator_core::measures;
use tokio::{sync::watch, time::Instant};

use super::{
    Inventory, Metrics,
    passes::{Gauges, PassMetrics, PassNames},
};
use crate::{analysis::Stores, lease::Tenure};

const NAMES: PassNames = PassNames {
    seconds: ("analysis_run_reconcile", "Seconds of a pass over an AnalysisRun."),
    errors: ("analysis_run_reconcile_error", "Failed passes over an AnalysisRun."),
};

/// Shows runs and the passes over them. `tenure` is that of Rollouts.
pub(crate) fn show_runs(
    metrics: &Metrics,
    tenure: watch::Receiver<Tenure>,
    stores: Arc<Stores>,
) -> PassMetrics {
    let passes = PassMetrics::new(NAMES);
    metrics.add(Runs { tenure, stores, passes: passes.clone() });
    passes
}

/// What is read off the store of runs, by the holder of the lease alone.
#[derive(Debug)]
struct Runs {
    tenure: watch::Receiver<Tenure>,
    stores: Arc<Stores>,
    passes: PassMetrics,
}

impl Inventory for Runs {
    fn write(&self, page: &mut String) {
        if self.tenure.borrow().holds(Instant::now()) {
            let mut gauges = Gauges::default();
            for stored in self.stores.runs.all() {
                if let Ok(run) = &stored.decoded {
                    measures::of_analysis_run(run, &mut |sample| gauges.add(sample));
                }
            }
            gauges.append_to(page);
        }
        self.passes.append_to(page);
    }
}
