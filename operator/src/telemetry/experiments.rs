//! Metrics of Experiments, under Argo's names.

use std::sync::Arc;

use operator_core::measures;
use tokio::{sync::watch, time::Instant};

use super::{
    Inventory, Metrics,
    passes::{Gauges, PassMetrics, PassNames},
};
use crate::{lease::Tenure, rollouts::Stores};

const NAMES: PassNames = PassNames {
    seconds: ("experiment_reconcile", "Seconds of a pass over an Experiment."),
    errors: ("experiment_reconcile_error", "Failed passes over an Experiment."),
};

/// Shows Experiments and the passes over them. `tenure` is that of Rollouts.
pub(crate) fn show_experiments(
    metrics: &Metrics,
    tenure: watch::Receiver<Tenure>,
    stores: Arc<Stores>,
) -> PassMetrics {
    let passes = PassMetrics::new(NAMES);
    metrics.add(Experiments { tenure, stores, passes: passes.clone() });
    passes
}

/// What is read off the store of Experiments, by the holder of the lease alone.
#[derive(Debug)]
struct Experiments {
    tenure: watch::Receiver<Tenure>,
    stores: Arc<Stores>,
    passes: PassMetrics,
}

impl Inventory for Experiments {
    fn write(&self, page: &mut String) {
        if self.tenure.borrow().holds(Instant::now()) {
            let mut gauges = Gauges::default();
            for stored in self.stores.experiments.all() {
                if let Ok(experiment) = &stored.decoded {
                    measures::of_experiment(experiment, &mut |sample| gauges.add(sample));
                }
            }
            gauges.append_to(page);
        }
        self.passes.append_to(page);
    }
}
