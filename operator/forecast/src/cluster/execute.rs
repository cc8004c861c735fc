//! Carries out effects. Nobody else writes, so their preconditions hold.

use std::collections::BTreeMap;

use crds::analysis::AnalysisRunSpec;
use crds::contract;
use operator_core::analysis::Role;
use operator_core::effect::{Changes, Effect, Target};
use operator_core::world::{AnalysisRun, Mapping, Pod};
use serde_json::{Value, json};

use super::measuring::{self, VirtualRun};
use super::{Cluster, VirtualSet};

impl Cluster {
    pub(crate) fn execute(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateReplicaSet { name, manifest } => self.create_replica_set(name, manifest),
            Effect::ScaleReplicaSet { target, to, annotations, .. } => {
                self.change_set(target, |set| {
                    set.replicas = *to;
                    annotate(&mut set.annotations, annotations);
                });
            }
            Effect::AnnotateReplicaSet { target, annotations } => {
                self.change_set(target, |set| annotate(&mut set.annotations, annotations));
            }
            Effect::SetEphemeralMetadata { target, labels, annotations, applied } => {
                let key = contract::EPHEMERAL_METADATA_ANNOTATION.to_owned();
                let applied = Changes::from([(key, applied.clone())]);
                self.change_set(target, |set| {
                    annotate(&mut set.labels, labels);
                    annotate(&mut set.pod_annotations, annotations);
                    annotate(&mut set.annotations, &applied);
                });
            }
            Effect::ChangePod { target, labels, annotations } => {
                for pod in self.pods_mut().filter(|pod| pod.uid == target.uid) {
                    annotate(&mut pod.labels, labels);
                    annotate(&mut pod.annotations, annotations);
                }
            }
            Effect::EvictPod { target } => {
                self.sets.values_mut().for_each(|set| set.pods.retain(|pod| pod.uid != target.uid));
            }
            Effect::DeleteReplicaSet { target } => drop(self.sets.remove(&target.name)),
            Effect::SetServiceSelector { target, to, managed_by, .. } => {
                let version = self.next_version();
                if let Some(service) = self.services.get_mut(&target.name) {
                    service.selector.insert(contract::POD_TEMPLATE_HASH_LABEL.to_owned(), to.clone());
                    service.managed_by = managed_by.clone().or_else(|| service.managed_by.take());
                    service.resource_version = version;
                }
            }
            Effect::CreateMapping { name, manifest }
            | Effect::UpdateMapping { target: Target { name, .. }, manifest } => {
                self.write_mapping(name, manifest);
            }
            Effect::DeleteMapping { target } => drop(self.mappings.remove(&target.name)),
            Effect::SetRouteWeights { target, weights, label, .. } => {
                self.set_route_weights(target, weights, label.as_ref());
            }
            Effect::CreateAnalysisRun { name, manifest } => self.create_run(name, manifest),
            Effect::TerminateAnalysisRun { target } => {
                let now = self.now;
                self.runs.get_mut(&target.name).into_iter().for_each(|run| run.terminate(now));
            }
            Effect::DeleteAnalysisRun { target } => drop(self.runs.remove(&target.name)),
            Effect::CreateExperiment { name, blueprint } => self.create_experiment(name, blueprint),
            Effect::BeginExperiment { target } => self.begin_experiment(target),
            Effect::TerminateExperiment { target } => self.terminate_experiment(target),
            Effect::DeleteExperiment { target } => drop(self.experiments.remove(&target.name)),
            Effect::SetRolloutRevision { to, .. } => {
                let annotations = self.rollout.metadata.annotations.get_or_insert_default();
                annotations.insert(contract::REVISION_ANNOTATION.to_owned(), to.to_string());
                self.touch_rollout();
            }
            Effect::DefaultReplicas { .. } => {
                self.rollout.spec.replicas = Some(1);
                self.touch_rollout();
            }
            // There are no ReplicaSets to adopt and no workloads; Services come from plans of Experiments.
            Effect::AdoptReplicaSet { .. }
            | Effect::ScaleWorkload { .. }
            | Effect::SetWorkloadGeneration { .. }
            | Effect::CreateService { .. }
            | Effect::DeleteService { .. }
            | Effect::Event(_) => {}
        }
        self.run_replica_sets();
    }

    fn create_replica_set(&mut self, name: &str, manifest: &Value) {
        let version = self.next_version();
        let template = &manifest["spec"]["template"]["metadata"];
        let set = VirtualSet {
            name: name.to_owned(),
            uid: format!("replicaset-{name}-{version}"),
            version,
            created: self.now,
            hash: text(&manifest["metadata"]["labels"][contract::POD_TEMPLATE_HASH_LABEL])
                .unwrap_or_default(),
            annotations: texts(&manifest["metadata"]["annotations"]),
            replicas: 0,
            min_ready: manifest["spec"]["minReadySeconds"]
                .as_i64()
                .and_then(|it| it.try_into().ok())
                .unwrap_or(0),
            labels: texts(&template["labels"]),
            pod_annotations: texts(&template["annotations"]),
            created_pods: 0,
            pods: Vec::new(),
        };
        self.sets.insert(name.to_owned(), set);
    }

    fn write_mapping(&mut self, name: &str, manifest: &Value) {
        let version = self.next_version();
        let uid =
            self.mappings.get(name).map_or_else(|| format!("mapping-{name}-{version}"), |it| it.uid.clone());
        let mut object = manifest.clone();
        object["metadata"]["uid"] = json!(uid);
        object["metadata"]["resourceVersion"] = json!(version);
        let mapping = Mapping {
            uid,
            resource_version: version,
            owned: true,
            deleting: false,
            changed_by: None,
            object,
        };
        self.mappings.insert(name.to_owned(), mapping);
    }

    /// A run that finds nothing wrong.
    fn create_run(&mut self, name: &str, manifest: &Value) {
        let version = self.next_version();
        let metadata = &manifest["metadata"];
        let labels = &metadata["labels"];
        let kind = labels[contract::ROLLOUT_TYPE_LABEL].as_str();
        let run = AnalysisRun {
            uid: format!("analysisrun-{name}"),
            resource_version: version,
            created: self.now,
            owned: true,
            deleting: false,
            hash: text(&labels[contract::POD_TEMPLATE_HASH_LABEL]),
            role: kind.and_then(|kind| Role::of_labels(kind, labels[contract::STEP_INDEX_LABEL].as_str())),
            fingerprint: text(&metadata["annotations"][contract::RUN_FINGERPRINT_ANNOTATION]),
            terminate: false,
            phase: None,
            message: None,
        };
        let spec: AnalysisRunSpec = serde_json::from_value(manifest["spec"].clone()).unwrap_or_default();
        let over = measuring::takes(&spec).map(|takes| self.now + takes);
        self.runs.insert(name.to_owned(), VirtualRun { object: run, over });
    }

    fn change_set(&mut self, target: &Target, change: impl FnOnce(&mut VirtualSet)) {
        let version = self.next_version();
        if let Some(set) = self.sets.get_mut(&target.name) {
            set.version = version;
            change(set);
        }
    }

    fn pods_mut(&mut self) -> impl Iterator<Item = &mut Pod> {
        self.sets.values_mut().flat_map(|set| &mut set.pods)
    }
}

fn annotate(held: &mut BTreeMap<String, String>, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => held.insert(key.clone(), value.clone()),
            None => held.remove(key),
        };
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}
