//! Builds the `World`, as the operator does from its stores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::contract;
use operator_core::references::services::named;
use operator_core::spec::{MappingRouting, split_objects};
use operator_core::world::{Analyses, Lookup, Mapping, Owner, Pod, ReplicaSet, ReplicaSetAnnotations, World};

use super::{Cluster, VirtualSet};

impl Cluster {
    pub(crate) fn observe(&self) -> World {
        let bases = self.base_mappings();
        let found = |found: Option<&Mapping>| found.cloned().map_or(Lookup::Missing, Lookup::Found);
        let services = named(&self.rollout.spec.strategy).into_iter().map(|(_, name)| {
            let found = self.services.get(name).cloned();
            (name.to_owned(), found.map_or(Lookup::Missing, Lookup::Found))
        });
        World {
            now: self.now,
            rollout: self.rollout.clone(),
            replica_sets: self.sets.values().map(|set| self.replica_set(set)).collect(),
            pods: self.sets.values().flat_map(|set| &set.pods).map(|pod| Arc::new(self.pod(pod))).collect(),
            workload: None,
            services: services.collect(),
            mappings: bases.iter().map(|name| (name.clone(), found(self.mappings.get(name)))).collect(),
            canary_mappings: self.canary_mappings(&bases),
            analysis: Analyses {
                runs: self.runs.iter().map(|(name, it)| (name.clone(), it.observed(self.now))).collect(),
                templates: self.templates.clone(),
            },
            experiments: self
                .experiments
                .iter()
                .map(|(name, it)| (name.clone(), it.observed(self.now)))
                .collect(),
            rivals: Vec::new(),
            traffic: self.traffic(),
            guard: None,
        }
    }

    /// The names of the Mappings that the Rollout lists, and the keys of the Ingresses.
    pub(crate) fn base_mappings(&self) -> BTreeSet<String> {
        let canary = self.rollout.spec.strategy.canary.as_ref();
        let routing = canary.and_then(|it| it.traffic_routing.as_ref());
        routing.map(split_objects).unwrap_or_default().into_iter().collect()
    }

    /// The key of what has the canary's weight: of a copy beside a base, or of the base itself.
    pub(crate) fn canary_of(&self, base: &str) -> String {
        MappingRouting::copy_name(self.rollout.metadata.name.as_deref().unwrap_or_default(), base)
    }

    fn canary_mappings(&self, bases: &BTreeSet<String>) -> BTreeMap<String, Mapping> {
        let copies = bases.iter().map(|base| self.canary_of(base)).filter(|copy| !bases.contains(copy));
        let named: BTreeSet<String> = copies.collect();
        let all = self.mappings.iter().filter(|(name, mapping)| mapping.owned || named.contains(*name));
        all.map(|(name, mapping)| (name.clone(), mapping.clone())).collect()
    }

    fn pod(&self, pod: &Pod) -> Pod {
        let ready = pod.created + self.pod_start;
        Pod { ready_since: (ready <= self.now).then_some(ready), ..pod.clone() }
    }

    fn replica_set(&self, set: &VirtualSet) -> ReplicaSet {
        let annotation = |key: &str| set.annotations.get(key).cloned();
        ReplicaSet {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.version.clone(),
            created: set.created,
            hash: set.hash.clone(),
            owner: Owner::ThisRollout,
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
            status: set.status(self.now, self.pod_start),
        }
    }
}
