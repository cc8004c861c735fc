//! Builds the `World` from the simulated cluster, as the shell does from its stores.

use std::collections::{BTreeMap, BTreeSet};

use crds::contract;
use operator_core::world::{Lookup, Mapping, Owner, ReplicaSet, ReplicaSetAnnotations, Service, World};
use serde_json::Value;

use super::cluster::Cluster;
use super::pods;

impl Cluster {
    pub(crate) fn observe(&self) -> World {
        let rollout = self.rollout().clone();
        let canary = rollout.spec.strategy.canary.clone().unwrap_or_default();
        let bases: BTreeSet<String> = canary
            .traffic_routing
            .and_then(|routing| routing.ambassador)
            .map(|ambassador| ambassador.mappings.into_iter().collect())
            .unwrap_or_default();
        let uid = rollout.metadata.uid.clone().unwrap_or_default();
        let canary_mappings: BTreeMap<String, Mapping> = self
            .mappings
            .iter()
            .map(|(name, object)| (name.clone(), mapping(object, &uid)))
            .filter(|(name, mapping)| {
                let base = name.strip_suffix(contract::CANARY_MAPPING_SUFFIX);
                mapping.owned || base.is_some_and(|base| bases.contains(base))
            })
            .collect();
        let services = [canary.stable_service, canary.canary_service];
        World {
            now: self.now,
            replica_sets: self.replica_sets.values().map(|set| self.replica_set(set)).collect(),
            services: services
                .into_iter()
                .flatten()
                .map(|name| (name.clone(), lookup(self.services.get(&name).map(service))))
                .collect(),
            mappings: bases
                .iter()
                .map(|name| (name.clone(), lookup(self.mappings.get(name).map(|it| mapping(it, &uid)))))
                .collect(),
            canary_mappings,
            rivals: self.rivals.clone(),
            traffic: self.data_plane.traffic(),
            rollout,
        }
    }

    fn replica_set(&self, set: &pods::ReplicaSet) -> ReplicaSet {
        let annotation = |key: &str| set.annotations.get(key).cloned();
        ReplicaSet {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.version.clone(),
            created: set.created,
            hash: set.hash.clone(),
            owner: if set.owned { Owner::ThisRollout } else { Owner::Nobody },
            deleting: false,
            annotations: ReplicaSetAnnotations {
                revision: annotation(contract::REVISION_ANNOTATION).and_then(|it| it.parse().ok()),
                revision_history: annotation(contract::REVISION_HISTORY_ANNOTATION),
                desired_replicas: annotation(contract::DESIRED_REPLICAS_ANNOTATION)
                    .and_then(|it| it.parse().ok()),
                scale_down_deadline: annotation(contract::SCALE_DOWN_DEADLINE_ANNOTATION)
                    .and_then(|it| it.parse().ok()),
                fingerprint: annotation(contract::TEMPLATE_FINGERPRINT_ANNOTATION),
            },
            replicas: set.replicas,
            min_ready_seconds: set.min_ready,
            status: set.status(self),
        }
    }
}

fn lookup<T>(object: Option<T>) -> Lookup<T> {
    object.map_or(Lookup::Missing, Lookup::Found)
}

fn text(object: &Value, key: &str) -> String {
    object["metadata"][key].as_str().unwrap_or_default().to_owned()
}

fn service(object: &Value) -> Service {
    let selector = object["spec"]["selector"].as_object().into_iter().flatten();
    Service {
        uid: text(object, "uid"),
        resource_version: text(object, "resourceVersion"),
        selector: selector
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        managed_by: object["metadata"]["annotations"][contract::MANAGED_BY_ANNOTATION]
            .as_str()
            .map(str::to_owned),
    }
}

fn mapping(object: &Value, uid: &str) -> Mapping {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    Mapping {
        uid: text(object, "uid"),
        resource_version: text(object, "resourceVersion"),
        owned: owners.into_iter().any(|owner| owner["uid"] == uid && owner["controller"] == true),
        deleting: false,
        changed_by: None,
        object: object.clone(),
    }
}
