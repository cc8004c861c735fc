//! What is read off the stores when somebody asks.

use std::{collections::BTreeMap, sync::Arc};

use operator_core::measures::{self, Gauge, Sample};
use tokio::{sync::watch, time::Instant};

use super::{RolloutCounts, workqueue};
use crate::{
    lease::Tenure,
    rollouts::{Stores, Worklist},
    telemetry::{Inventory, text::Family},
};

/// Everything there is of each Rollout and of the templates of their analyses, and their queue.
///
/// What a Rollout is like is told by the holder of the lease alone: a standby knows it too, and a sum over all
/// operators would count every Rollout twice.
#[derive(Debug)]
pub(super) struct Rollouts {
    pub(super) tenure: watch::Receiver<Tenure>,
    pub(super) stores: Arc<Stores>,
    pub(super) list: Arc<Worklist>,
    pub(super) counts: RolloutCounts,
}

impl Inventory for Rollouts {
    fn write(&self, page: &mut String) {
        let now = Instant::now();
        // One after the other, so that not all of them are in memory beside the page.
        if self.tenure.borrow().holds(now) {
            for family in self.gauges().into_values() {
                family.append_to(page);
            }
            self.counts.reasons().append_to(page);
        }
        for family in self.counts.families(now) {
            family.append_to(page);
        }
        for family in workqueue::families(&self.list.measure(now)) {
            family.append_to(page);
        }
    }
}

impl Rollouts {
    /// One pass over the store.
    fn gauges(&self) -> BTreeMap<Gauge, Family> {
        let mut families = BTreeMap::new();
        let mut show = |Sample { gauge, labels, value }: Sample<'_>| {
            let family = || Family::gauge(gauge.name(), gauge.help());
            families.entry(gauge).or_insert_with(family).add(labels, value);
        };
        for stored in self.stores.rollouts.all() {
            if let Ok(rollout) = &stored.decoded {
                measures::of_rollout(rollout, &mut show);
            } else {
                let namespace = stored.metadata.namespace.as_deref().unwrap_or_default();
                let name = stored.metadata.name.as_deref().unwrap_or_default();
                measures::of_unreadable_rollout(namespace, name, &mut show);
            }
        }
        let stores = &self.stores;
        for stored in stores.templates.all().into_iter().chain(stores.cluster_templates.all()) {
            if let Ok(template) = &stored.spec {
                measures::of_analysis_template(&stored.metadata, template, &mut show);
            }
        }
        families
    }
}
