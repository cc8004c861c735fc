//! The ReplicaSet controller and the kubelet: pods appear at once and become ready after a while, or never.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use operator_core::world::ReplicaSetStatus;

use super::cluster::Cluster;

#[derive(Clone, Debug)]
pub(crate) struct ReplicaSet {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) hash: String,
    pub(crate) image: String,
    pub(crate) owned: bool,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) replicas: i32,
    pub(crate) min_ready: i32,
    /// The metadata that its template has beside the Rollout's.
    pub(crate) metadata: Metadata,
    /// How many pods it ever created: each has a name of its own.
    pub(crate) created_pods: usize,
    /// Oldest first.
    pub(crate) pods: Vec<Pod>,
}

/// A pod. One that is evicted is gone at once.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) metadata: Metadata,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl ReplicaSet {
    pub(crate) fn status(&self, cluster: &Cluster) -> ReplicaSetStatus {
        let count = |extra: i32| {
            let ready = self.pods.iter().filter(|pod| self.ready(pod.created, extra, cluster)).count();
            i32::try_from(ready).expect("few pods")
        };
        ReplicaSetStatus {
            replicas: i32::try_from(self.pods.len()).expect("few pods"),
            ready: count(0),
            available: count(self.min_ready),
            failure: None,
        }
    }

    /// Since when a pod is ready.
    pub(crate) fn ready_since(&self, pod: &Pod, cluster: &Cluster) -> Option<DateTime<Utc>> {
        self.ready(pod.created, 0, cluster).then(|| pod.created + cluster.pod_start)
    }

    fn ready(&self, created: DateTime<Utc>, extra: i32, cluster: &Cluster) -> bool {
        !cluster.bad_images.contains(&self.image)
            && created + cluster.pod_start + TimeDelta::seconds(extra.into()) <= cluster.now
    }
}

impl Cluster {
    /// Makes pods match `spec.replicas`; unready and young pods go first.
    pub(crate) fn run_replica_sets(&mut self) {
        let now = self.now;
        for set in self.replica_sets.values_mut() {
            let wanted = usize::try_from(set.replicas).unwrap_or(0);
            set.pods.truncate(wanted);
            while set.pods.len() < wanted {
                set.created_pods += 1;
                let name = format!("{}-{}", set.name, set.created_pods);
                let uid = format!("pod-{name}");
                set.pods.push(Pod { name, uid, created: now, metadata: set.metadata.clone() });
            }
        }
    }

    /// Ready pods by hash that a Service selects.
    pub(crate) fn endpoints(&self, service: &str) -> BTreeMap<String, u32> {
        let Some(service) = self.services.get(service) else { return BTreeMap::new() };
        let wanted = service.pointer("/spec/selector/rollouts-pod-template-hash").and_then(|it| it.as_str());
        let selected = self.replica_sets.values().filter(|set| wanted.is_none_or(|hash| hash == set.hash));
        let ready = selected.filter_map(|set| {
            let ready = u32::try_from(set.status(self).ready).unwrap_or(0);
            (ready > 0).then(|| (set.hash.clone(), ready))
        });
        ready.collect()
    }

    /// The next moment at which a pod becomes ready or available.
    pub(crate) fn next_pod_change(&self) -> Option<DateTime<Utc>> {
        let moments: BTreeSet<DateTime<Utc>> = self
            .replica_sets
            .values()
            .flat_map(|set| {
                set.pods.iter().flat_map(|pod| {
                    let ready = pod.created + self.pod_start;
                    [ready, ready + TimeDelta::seconds(set.min_ready.into())]
                })
            })
            .collect();
        moments.into_iter().find(|moment| *moment > self.now)
    }
}
