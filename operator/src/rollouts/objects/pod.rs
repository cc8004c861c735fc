//! What is kept of a pod: there may be tens of thousands, so a name, three times and the few labels and annotations
//! that the engine may ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use crds::{
    contract,
    rollout::{PodMetadata, RolloutStrategy},
};
use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use operator_core::{traffic::ObjectName, world};
use serde::Deserialize;

use super::{Index, annotation, controller, created, hash, key, resource};
use crate::rollouts::{
    Stores,
    store::{Change, Stored},
};

/// A pod as the watch decodes it; it is kept as a [`Pod`].
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchedPod {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it is.
    #[serde(default)]
    pub status: PodStatus,
}

/// The part of a pod's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PodStatus {
    /// Conditions.
    #[serde(default)]
    pub conditions: Vec<PodCondition>,
}

/// A condition of a pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Since when.
    pub last_transition_time: Option<Time>,
}

resource!(WatchedPod, core::Pod);

/// Pods that come to nothing any more are not watched.
pub(crate) const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// A pod as it is kept.
#[derive(Debug)]
pub(crate) struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// The rest.
    pub pod: Arc<world::Pod>,
}

impl Stored for Pod {
    fn name(&self) -> ObjectName {
        ObjectName::new(self.namespace.clone(), self.pod.name.clone())
    }

    fn uid(&self) -> Option<&str> {
        Some(&self.pod.uid)
    }

    fn version(&self) -> Option<&str> {
        Some(&self.pod.resource_version)
    }
}

/// How a pod is found.
pub(crate) fn index_pod(pod: &Pod) -> Vec<Index> {
    vec![Index::Controller(pod.pod.replica_set.clone())]
}

impl Pod {
    /// What is kept of a pod. Its ReplicaSet and Rollout say for which labels and annotations the engine may ask, so
    /// they have to be known before: a key that comes later is taken for absent, and set.
    pub(crate) fn of(watched: &WatchedPod, stores: &Stores) -> Self {
        let metadata = &watched.metadata;
        let keys = Keys::of(metadata, stores);
        let ready = watched.status.conditions.iter().find(|it| it.type_ == "Ready" && it.status == "True");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let pod = world::Pod {
            name: text(&metadata.name),
            uid: text(&metadata.uid),
            resource_version: text(&metadata.resource_version),
            replica_set: controller(metadata).map(|it| it.uid.clone()).unwrap_or_default(),
            hash: hash(metadata).to_owned(),
            created: created(metadata),
            ready_since: ready.and_then(|it| time(it.last_transition_time.as_ref()?)),
            deleting: metadata.deletion_timestamp.is_some(),
            labels: only(metadata.labels.as_ref(), &keys.labels),
            annotations: only(metadata.annotations.as_ref(), &keys.annotations),
        };
        Self { namespace: text(&metadata.namespace), pod: Arc::new(pod) }
    }
}

impl Change<Pod> {
    /// Nothing that is kept has changed but the version.
    pub(crate) fn is_idle(&self) -> bool {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return false };
        let resource_version = new.pod.resource_version.clone();
        world::Pod { resource_version, ..(*old.pod).clone() } == *new.pod
    }
}

/// The keys that the engine may ask for.
struct Keys {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Keys {
    fn of(pod: &ObjectMeta, stores: &Stores) -> Self {
        let mut keys = Self {
            labels: BTreeSet::from([contract::DRAINING_LABEL.to_owned()]),
            annotations: [contract::POD_DELETION_COST_ANNOTATION, contract::DRAIN_UNTIL_ANNOTATION]
                .map(str::to_owned)
                .into(),
        };
        let namespace = pod.namespace.clone().unwrap_or_default();
        for set in stores.replica_sets.find(&Index::Version(ObjectName::new(namespace, hash(pod)))) {
            let applied = annotation(&set.metadata, contract::EPHEMERAL_METADATA_ANNOTATION);
            if let Some(applied) = applied.and_then(|it| serde_json::from_str(it).ok()) {
                keys.take(&applied);
            }
            let Some(owner) = controller(&set.metadata) else { continue };
            let name = ObjectName::new(key(&set.metadata).namespace, owner.name.clone());
            let rollout = stores.rollouts.get(&name);
            if let Some(Ok(rollout)) = rollout.as_ref().map(|it| &it.decoded) {
                roles(&rollout.spec.strategy).for_each(|it| keys.take(it));
            }
        }
        keys
    }

    fn take(&mut self, metadata: &PodMetadata) {
        self.labels.extend(metadata.labels.keys().cloned());
        self.annotations.extend(metadata.annotations.keys().cloned());
    }
}

/// The metadata of all roles that a strategy knows.
fn roles(strategy: &RolloutStrategy) -> impl Iterator<Item = &PodMetadata> {
    let canary = strategy.canary.iter().flat_map(|it| [&it.canary_metadata, &it.stable_metadata]);
    let blue_green = strategy.blue_green.iter().flat_map(|it| [&it.preview_metadata, &it.active_metadata]);
    canary.chain(blue_green).flatten()
}

fn only(map: Option<&BTreeMap<String, String>>, keys: &BTreeSet<String>) -> BTreeMap<String, String> {
    let entries = map.into_iter().flatten().filter(|(key, _)| keys.contains(*key));
    entries.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn time(time: &Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.0.as_second(), 0)
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::rollouts::objects::{ReplicaSet, StoredRollout};

    fn stores() -> Stores {
        let stores = Stores::default();
        let rollout = json!({
            "metadata": {"namespace": "web", "name": "app", "uid": "r", "resourceVersion": "1"},
            "spec": {"strategy": {"canary": {"canaryMetadata": {"labels": {"role": "canary"}}}}},
        });
        stores.rollouts.apply(Event::Apply(StoredRollout::deserialize(rollout).unwrap()));
        let set = json!({"metadata": {
            "namespace": "web", "name": "app-abc", "uid": "s", "resourceVersion": "2",
            "labels": {"rollouts-pod-template-hash": "abc"},
            "annotations": {"rollout.argoproj.io/ephemeral-metadata": r#"{"annotations":{"old":"1"}}"#},
            "ownerReferences": [
                {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "r", "controller": true},
            ],
        }});
        stores.replica_sets.apply(Event::Apply(ReplicaSet::deserialize(set).unwrap()));
        stores
    }

    fn watched(version: &str, ready: &str) -> WatchedPod {
        let pod: Value = json!({
            "metadata": {
                "namespace": "web", "name": "app-abc-1", "uid": "p", "resourceVersion": version,
                "creationTimestamp": "2026-11-20T10:00:00Z",
                "labels": {"rollouts-pod-template-hash": "abc", "app": "shop", "role": "canary"},
                "annotations": {"old": "1", "cni/ip": "10.0.0.1"},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-abc", "uid": "s", "controller": true},
                ],
            },
            "spec": {"containers": []},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-20T10:00:05Z"},
            ]},
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn of_a_pods_metadata_only_what_roles_name_is_kept() {
        let kept = Pod::of(&watched("3", "True"), &stores());
        assert_eq!(kept.pod.labels, BTreeMap::from([("role".to_owned(), "canary".to_owned())]));
        assert_eq!(kept.pod.annotations, BTreeMap::from([("old".to_owned(), "1".to_owned())]));
        assert_eq!(kept.pod.created, DateTime::from_timestamp(1_795_168_800, 0).unwrap());
        assert_eq!(kept.pod.ready_since, DateTime::from_timestamp(1_795_168_805, 0));
        assert_eq!((kept.pod.replica_set.as_str(), kept.pod.hash.as_str()), ("s", "abc"));
        assert_eq!(Pod::of(&watched("3", "False"), &stores()).pod.ready_since, None);
    }

    #[test]
    fn a_new_version_of_the_same_pod_is_no_news() {
        let (stores, of) = (stores(), |it: WatchedPod, stores: &Stores| Some(Arc::new(Pod::of(&it, stores))));
        let old = of(watched("3", "True"), &stores);
        let idle = Change { old: old.clone(), new: of(watched("4", "True"), &stores) };
        assert!(idle.is_idle());
        let unready = Change { old: old.clone(), new: of(watched("4", "False"), &stores) };
        assert!(!unready.is_idle());
        assert!(!Change { old, new: None }.is_idle());
    }
}
