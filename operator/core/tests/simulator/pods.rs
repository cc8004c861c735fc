//! The ReplicaSet controller and the kubelet: pods appear at once and become ready after a while, or never.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use crds::contract;
use operator_core::world::ReplicaSetStatus;
use serde_json::Value;

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
    /// Its pod template as it was created.
    pub(crate) template: Value,
    /// The metadata that its template has beside the Rollout's.
    pub(crate) metadata: Metadata,
    /// How many pods it ever created: each has a name of its own.
    pub(crate) created_pods: usize,
    /// Oldest first. With `Cluster::pod_interval` some are yet to be.
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

impl Pod {
    /// It was chosen to go.
    pub(crate) fn is_draining(&self) -> bool {
        self.metadata.labels.contains_key(contract::DRAINING_LABEL)
    }

    fn is_cheap(&self) -> bool {
        self.metadata.annotations.contains_key(contract::POD_DELETION_COST_ANNOTATION)
    }
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
    /// Makes pods match `spec.replicas`.
    pub(crate) fn run_replica_sets(&mut self) {
        if self.replica_sets_stall {
            return;
        }
        let (now, interval) = (self.now, self.pod_interval);
        let leaving: BTreeSet<String> = self
            .replica_sets
            .values()
            .flat_map(|set| self.leaving(set, set.replicas))
            .map(|pod| pod.name.clone())
            .collect();
        for set in self.replica_sets.values_mut() {
            set.pods.retain(|pod| !leaving.contains(&pod.name));
            while i32::try_from(set.pods.len()).expect("few pods") < set.replicas {
                set.created_pods += 1;
                let name = format!("{}-{}", set.name, set.created_pods);
                let uid = format!("pod-{name}");
                let created = set.pods.last().map_or(now, |last| now.max(last.created + interval));
                set.pods.push(Pod { name, uid, created, metadata: set.metadata.clone() });
            }
        }
    }

    /// The pods that go when a ReplicaSet is scaled: those that are not ready, then the cheap ones, then the youngest.
    pub(crate) fn leaving<'c>(&self, set: &'c ReplicaSet, to: i32) -> Vec<&'c Pod> {
        let mut pods: Vec<&Pod> = set.pods.iter().collect();
        pods.sort_by_key(|pod| (set.ready_since(pod, self).is_some(), !pod.is_cheap(), Reverse(pod.created)));
        let excess = pods.len().saturating_sub(usize::try_from(to).unwrap_or(0));
        pods.truncate(excess);
        pods
    }

    /// Ready pods by hash that a Service selects.
    pub(crate) fn endpoints(&self, service: &str) -> BTreeMap<String, u32> {
        if let Some(trial) = self.trial_endpoints(service) {
            return trial;
        }
        let Some(service) = self.services.get(service) else { return BTreeMap::new() };
        let wanted = service.pointer("/spec/selector/rollouts-pod-template-hash").and_then(|it| it.as_str());
        let selected = self.replica_sets.values().filter(|set| wanted.is_none_or(|hash| hash == set.hash));
        let ready = selected.filter_map(|set| {
            let ready = set.pods.iter().filter(|pod| set.ready_since(pod, self).is_some());
            let (draining, staying): (Vec<_>, Vec<_>) = ready.partition(|pod| pod.is_draining());
            let picked = if staying.is_empty() { draining.len() } else { staying.len() };
            (picked > 0).then(|| (set.hash.clone(), u32::try_from(picked).expect("few pods")))
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
