//! What a pass has computed, before it is compared with what there was.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use proxy_config::model::{Change, Cluster, ClusterId, Key, Listener, Route, RouteId, SplitId, Version};

use super::backend::Backend;
use crate::{
    compiled::{Compiled, Delta, Leaving, SplitReport, Status},
    object::ObjectName,
};

/// New values by id; `None` is gone. A later entry for the same id replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) listener: Option<Arc<Listener>>,
    pub(super) routes: BTreeMap<RouteId, Option<Arc<Route>>>,
    clusters: BTreeMap<ClusterId, Option<Arc<Cluster>>>,
    pub(super) splits: BTreeMap<SplitId, Option<SplitReport>>,
    pub(super) statuses: BTreeMap<ObjectName, Option<Status>>,
    pub(super) pods: BTreeMap<Version, bool>,
    pub(super) leaving: BTreeMap<ObjectName, Option<Leaving>>,
    /// Pods that some backend picked or picks although they were chosen to go.
    pub(super) needed: BTreeSet<ObjectName>,
}

impl Pending {
    pub(super) fn replace_backend(&mut self, before: Option<&Backend>, now: Option<&Backend>) {
        if let Some(before) = before {
            self.clusters.insert(before.cluster.id.clone(), None);
        }
        if let Some(now) = now {
            self.clusters.insert(now.cluster.id.clone(), Some(Arc::clone(&now.cluster)));
        }
        self.needed.extend(before.into_iter().chain(now).flat_map(|it| &it.needed).cloned());
    }

    /// Brings `compiled` up to date and says what differs.
    pub(super) fn settle(self, compiled: &mut Compiled) -> Delta {
        let Self { listener, routes, clusters, splits, statuses, pods, leaving, needed: _ } = self;
        let mut delta = Delta::default();
        let mut removed = Vec::new();
        if let Some(listener) = listener {
            compiled.config.listeners.insert(listener.id.clone(), Arc::clone(&listener));
            delta.changes.push(Change::Listener(listener));
        }
        for (id, cluster) in settle(&mut compiled.config.clusters, clusters) {
            match cluster {
                Some(cluster) => delta.changes.push(Change::Cluster(cluster)),
                None => removed.push(Change::Removed(Key::Cluster(id))),
            }
        }
        for (id, route) in settle(&mut compiled.config.routes, routes) {
            match route {
                Some(route) => delta.changes.push(Change::Route(route)),
                None => delta.changes.push(Change::Removed(Key::Route(id))),
            }
        }
        delta.changes.append(&mut removed);
        let splits = splits.into_iter().map(|(id, report)| (id, report.map(Arc::new)));
        delta.splits = settle(&mut compiled.splits, splits.collect());
        delta.statuses = settle(&mut compiled.statuses, statuses);
        delta.leaving = settle(&mut compiled.leaving, leaving);
        for (version, there) in pods {
            let differs =
                if there { compiled.pods.insert(version.clone()) } else { compiled.pods.remove(&version) };
            if differs {
                delta.pods.insert(version, there);
            }
        }
        delta
    }
}

/// Puts the new values into `current` and returns those that differ from what was there.
fn settle<K: Ord + Clone, V: PartialEq + Clone>(
    current: &mut BTreeMap<K, V>,
    new: BTreeMap<K, Option<V>>,
) -> BTreeMap<K, Option<V>> {
    let mut changed = BTreeMap::new();
    for (key, value) in new {
        let differs = match (&value, current.get_mut(&key)) {
            (None, before) => before.is_some(),
            (Some(value), None) => {
                current.insert(key.clone(), value.clone());
                true
            }
            (Some(value), Some(before)) if before == value => false,
            (Some(value), Some(before)) => {
                drop(mem::replace(before, value.clone()));
                true
            }
        };
        if value.is_none() {
            current.remove(&key);
        }
        if differs {
            changed.insert(key, value);
        }
    }
    changed
}
