//! Builds the `World` from the simulated cluster, as the shell does from its stores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::SubsecRound as _;
use crds::contract;
use crds::rollout::PodTemplate;
use operator_core::references::services::named;
use operator_core::spec::{MappingRouting, beside, split_objects};
use operator_core::world::{
    Lookup, Mapping, Owner, Pod, ReplicaSet, ReplicaSetAnnotations, Service, Workload, WorkloadKind, World,
};
use serde_json::Value;

use super::cluster::Cluster;
use super::pods;

impl Cluster {
    pub(crate) fn observe(&self) -> World {
        let rollout = self.rollout().clone();
        let canary = rollout.spec.strategy.canary.clone().unwrap_or_default();
        let routing = canary.traffic_routing.unwrap_or_default();
        let bases: BTreeSet<String> = split_objects(&routing).into_iter().collect();
        let beside = beside::of_rollout(&rollout);
        let rollout_name = rollout.metadata.name.clone().unwrap_or_default();
        let uid = rollout.metadata.uid.clone().unwrap_or_default();
        let canary_mappings: BTreeMap<String, Mapping> = self
            .mappings
            .iter()
            .map(|(name, object)| (name.clone(), mapping(object, &uid)))
            .filter(|(name, mapping)| {
                let copy = |base: &String| MappingRouting::copy_name(&rollout_name, base);
                let named = || bases.iter().any(|base| base != name && copy(base) == *name);
                mapping.owned || beside.contains(name) || named()
            })
            .collect();
        let services = named(&rollout.spec.strategy);
        let service = |(_, name): (_, &str)| (name.to_owned(), lookup(self.services.get(name).map(service)));
        World {
            now: self.now,
            replica_sets: self.replica_sets.values().map(|set| self.replica_set(set)).collect(),
            pods: self.replica_sets.values().flat_map(|set| self.pods(set)).collect(),
            workload: self.named_workload(),
            services: services.into_iter().map(service).collect(),
            mappings: bases
                .iter()
                .map(|name| (name.clone(), lookup(self.mappings.get(name).map(|it| mapping(it, &uid)))))
                .collect(),
            canary_mappings,
            analysis: self.analyses(),
            experiments: self.observed_experiments(),
            rivals: self.rivals.clone(),
            traffic: self.data_plane.traffic(),
            guard: self.guard.clone(),
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
                ephemeral: annotation(contract::EPHEMERAL_METADATA_ANNOTATION)
                    .and_then(|it| serde_json::from_str(&it).ok()),
            },
            replicas: set.replicas,
            min_ready_seconds: set.min_ready,
            status: set.status(self),
        }
    }

    fn pods(&self, set: &pods::ReplicaSet) -> Vec<Arc<Pod>> {
        let pod = |it: &pods::Pod| Pod {
            name: it.name.clone(),
            uid: it.uid.clone(),
            resource_version: "1".to_owned(),
            replica_set: set.uid.clone(),
            hash: set.hash.clone(),
            created: it.created.trunc_subsecs(0),
            ready_since: set.ready_since(it, self),
            deleting: false,
            labels: it.metadata.labels.clone(),
            annotations: it.metadata.annotations.clone(),
        };
        if set.owned { set.pods.iter().map(|it| Arc::new(pod(it))).collect() } else { Vec::new() }
    }

    fn named_workload(&self) -> Option<Lookup<Workload>> {
        let reference = self.rollout().spec.workload_ref.as_ref()?;
        let kind = WorkloadKind::of(reference)?;
        let found = self.workload.as_ref().filter(|it| {
            it["kind"] == kind.kind() && it["metadata"]["name"].as_str() == reference.name.as_deref()
        });
        Some(lookup(found.map(|object| workload(kind, object))))
    }
}

fn lookup<T>(object: Option<T>) -> Lookup<T> {
    object.map_or(Lookup::Missing, Lookup::Found)
}

fn text(object: &Value, key: &str) -> String {
    object["metadata"][key].as_str().unwrap_or_default().to_owned()
}

fn workload(kind: WorkloadKind, object: &Value) -> Workload {
    Workload {
        kind,
        name: text(object, "name"),
        uid: text(object, "uid"),
        resource_version: text(object, "resourceVersion"),
        generation: object["metadata"]["generation"].as_i64().expect("a generation"),
        replicas: object["spec"]["replicas"].as_i64().map(|it| it.try_into().expect("few pods")),
        selector: serde_json::from_value(object["spec"]["selector"].clone()).expect("a selector"),
        template: PodTemplate(object["spec"]["template"].clone()),
    }
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
        ports: Vec::new(),
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
