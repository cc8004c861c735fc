//! A cluster that does what it is told.

mod execute;
mod experiments;
mod gateway;
mod measuring;
mod observe;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use crds::Rollout;
use crds::contract;
use operator_core::world::{Mapping, Pod, ReplicaSetStatus, Service, Templates};
use serde_json::json;

use self::experiments::VirtualExperiment;
use self::measuring::VirtualRun;
use crate::manifests::Manifests;

/// Everything that exists, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: DateTime<Utc>,
    /// How long a pod takes to become ready.
    pub(crate) pod_start: TimeDelta,
    pub(crate) rollout: Rollout,
    pub(crate) sets: BTreeMap<String, VirtualSet>,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) mappings: BTreeMap<String, Mapping>,
    runs: BTreeMap<String, VirtualRun>,
    experiments: BTreeMap<String, VirtualExperiment>,
    templates: Templates,
    version: u64,
}

/// A ReplicaSet with its pods.
#[derive(Clone, Debug)]
pub(crate) struct VirtualSet {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) replicas: i32,
    /// Oldest first. When they are ready follows from their age.
    pub(crate) pods: Vec<Pod>,
    /// How many it ever created.
    pub(crate) created_pods: u32,
    uid: String,
    version: String,
    created: DateTime<Utc>,
    annotations: BTreeMap<String, String>,
    min_ready: i32,
    labels: BTreeMap<String, String>,
    pod_annotations: BTreeMap<String, String>,
}

/// When every forecast begins.
const START: i64 = 1_893_456_000;

impl Cluster {
    pub(crate) fn new(manifests: &Manifests, pod_start: TimeDelta) -> Self {
        let now = DateTime::from_timestamp(START, 0).unwrap_or_default();
        let mut cluster = Self {
            now,
            pod_start,
            rollout: manifests.rollout.clone(),
            sets: BTreeMap::new(),
            services: manifests.services.clone(),
            mappings: manifests.mappings.clone(),
            runs: BTreeMap::new(),
            experiments: BTreeMap::new(),
            templates: manifests.templates.clone(),
            version: 1,
        };
        let created = serde_json::from_value(json!(now)).ok();
        let metadata = &mut cluster.rollout.metadata;
        metadata.uid = Some("rollout".to_owned());
        metadata.creation_timestamp = created;
        metadata.generation = Some(1);
        cluster.touch_rollout();
        cluster
    }

    /// The next resource version; every write takes one.
    pub(crate) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Gives the Rollout another version.
    pub(crate) fn touch_rollout(&mut self) {
        self.rollout.metadata.resource_version = Some(self.next_version());
    }

    /// Makes pods match what their ReplicaSets ask for.
    pub(crate) fn run_replica_sets(&mut self) {
        let (now, start) = (self.now, self.pod_start);
        for set in self.sets.values_mut() {
            let wanted = usize::try_from(set.replicas).unwrap_or_default();
            // Those go first that are not ready, then those that were chosen to go, then the youngest.
            set.pods.sort_by_key(|pod| {
                let ready = pod.created + start <= now;
                (
                    Reverse(ready),
                    pod.annotations.contains_key(contract::POD_DELETION_COST_ANNOTATION),
                    pod.created,
                )
            });
            set.pods.truncate(wanted);
            while set.pods.len() < wanted {
                set.created_pods += 1;
                let name = format!("{}-{}", set.name, set.created_pods);
                set.pods.push(Pod {
                    uid: format!("pod-{name}"),
                    name,
                    resource_version: "1".to_owned(),
                    replica_set: set.uid.clone(),
                    hash: set.hash.clone(),
                    created: now,
                    ready_since: None,
                    deleting: false,
                    labels: set.labels.clone(),
                    annotations: set.pod_annotations.clone(),
                });
            }
        }
    }

    /// The next moment at which a pod becomes ready or available, or something about a run or an Experiment changes.
    pub(crate) fn next_change(&self) -> Option<DateTime<Utc>> {
        let pods = self.sets.values().flat_map(|set| {
            let available = TimeDelta::seconds(set.min_ready.into());
            set.pods.iter().flat_map(move |pod| {
                let ready = pod.created + self.pod_start;
                [ready, ready + available]
            })
        });
        let runs = self.runs.values().filter_map(|it| it.over);
        let experiments = self.experiments.values().flat_map(VirtualExperiment::moments);
        pods.chain(runs).chain(experiments).filter(|moment| *moment > self.now).min()
    }

    /// Pods of a version that are ready and were not chosen to go; if there are none of these, all that are ready.
    pub(crate) fn endpoints(&self, hash: &str) -> u32 {
        let ready = self
            .sets
            .values()
            .filter(|set| set.hash == hash)
            .flat_map(|set| set.pods.iter().filter(|pod| pod.created + self.pod_start <= self.now));
        let (going, staying): (Vec<_>, Vec<_>) = ready.partition(|pod| is_draining(pod));
        let picked = if staying.is_empty() { going } else { staying };
        u32::try_from(picked.len()).unwrap_or(u32::MAX)
    }
}

impl VirtualSet {
    pub(crate) fn status(&self, now: DateTime<Utc>, pod_start: TimeDelta) -> ReplicaSetStatus {
        let ready_for = |seconds: i32| {
            let since = |pod: &&Pod| pod.created + pod_start + TimeDelta::seconds(seconds.into()) <= now;
            i32::try_from(self.pods.iter().filter(since).count()).unwrap_or(i32::MAX)
        };
        ReplicaSetStatus {
            replicas: i32::try_from(self.pods.len()).unwrap_or(i32::MAX),
            ready: ready_for(0),
            available: ready_for(self.min_ready),
            failure: None,
        }
    }
}

/// The pod was chosen to go.
pub(crate) fn is_draining(pod: &Pod) -> bool {
    pod.labels.contains_key(contract::DRAINING_LABEL)
}
