//! Carries out effects with their preconditions, as the API server would.

use std::collections::BTreeMap;

use crds::contract;
use operator_core::effect::{Changes, Effect, Target};
use operator_core::world::WorkloadKind;
use serde_json::{Value, json};

use super::cluster::{Cluster, stamp};
use super::pods::{Metadata, Pod, ReplicaSet};

/// A precondition failed: the plan was made from a `World` that is no longer true.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub String);

/// What came of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// A PodDisruptionBudget does not allow it now.
    NotNow,
}

impl Cluster {
    pub(crate) fn execute(&mut self, effect: &Effect) -> Result<Outcome, Refused> {
        match effect {
            Effect::CreateReplicaSet { name, manifest } => self.create_replica_set(name, manifest)?,
            Effect::AdoptReplicaSet { target, .. } => self.set(target)?.owned = true,
            Effect::ScaleReplicaSet { target, from, to, annotations } => {
                let set = self.set(target)?;
                check(set.replicas == *from, "spec.replicas moved")?;
                set.replicas = *to;
                annotate(&mut set.annotations, annotations);
            }
            Effect::AnnotateReplicaSet { target, annotations } => {
                annotate(&mut self.set(target)?.annotations, annotations);
            }
            Effect::SetEphemeralMetadata { target, labels, annotations, applied } => {
                let set = self.set(target)?;
                annotate(&mut set.metadata.labels, labels);
                annotate(&mut set.metadata.annotations, annotations);
                annotate(
                    &mut set.annotations,
                    &one(contract::EPHEMERAL_METADATA_ANNOTATION, applied.clone()),
                );
            }
            Effect::ChangePod { target, labels, annotations } => {
                let pod = self.pod(target)?;
                annotate(&mut pod.metadata.labels, labels);
                annotate(&mut pod.metadata.annotations, annotations);
            }
            Effect::EvictPod { target } => {
                self.pod(target)?;
                if self.evictions_refused {
                    return Ok(Outcome::NotNow);
                }
                self.replica_sets.values_mut().for_each(|set| set.pods.retain(|pod| pod.uid != target.uid));
            }
            Effect::ScaleWorkload { kind, target, from, to } => {
                self.scale_workload(*kind, target, *from, *to)?;
            }
            Effect::DeleteReplicaSet { target } => {
                self.set(target)?;
                self.replica_sets.remove(&target.name);
            }
            Effect::SetServiceSelector { target, from, to, managed_by } => {
                let version = self.next_version();
                let service = object(&mut self.services, target)?;
                let held =
                    service.pointer("/spec/selector/rollouts-pod-template-hash").and_then(Value::as_str);
                check(held == from.as_deref(), "the selector moved")?;
                service["spec"]["selector"]["rollouts-pod-template-hash"] = json!(to);
                if let Some(owner) = managed_by {
                    service["metadata"]["annotations"][contract::MANAGED_BY_ANNOTATION] = json!(owner);
                }
                service["metadata"]["resourceVersion"] = json!(version);
            }
            Effect::CreateMapping { name, manifest } => {
                check(!self.mappings.contains_key(name), "AlreadyExists")?;
                let version = self.next_version();
                let mut manifest = manifest.clone();
                stamp(&mut manifest, None, "mapping", &version);
                self.mappings.insert(name.clone(), manifest);
            }
            Effect::UpdateMapping { target, manifest } => {
                let version = self.next_version();
                let mapping = object(&mut self.mappings, target)?;
                let same = mapping["metadata"]["resourceVersion"] == manifest["metadata"]["resourceVersion"];
                check(same, "the Mapping moved")?;
                mapping.clone_from(manifest);
                mapping["metadata"]["resourceVersion"] = json!(version);
            }
            Effect::DeleteMapping { target } => {
                object(&mut self.mappings, target)?;
                self.mappings.remove(&target.name);
            }
            Effect::SetRouteWeights { .. } => self.set_route_weights(effect)?,
            Effect::CreateAnalysisRun { name, manifest } => self.create_run(name, manifest)?,
            Effect::TerminateAnalysisRun { target } => self.terminate_run(target)?,
            Effect::DeleteAnalysisRun { target } => self.delete_run(target)?,
            Effect::CreateExperiment { name, blueprint } => self.create_experiment(name, blueprint)?,
            Effect::BeginExperiment { target } => self.begin_experiment(target)?,
            Effect::TerminateExperiment { target } => self.terminate_experiment(target)?,
            Effect::DeleteExperiment { target } => self.delete_experiment(target)?,
            Effect::CreateService { .. } | Effect::DeleteService { .. } => {
                panic!("a Rollout makes no Services: {effect:?}")
            }
            Effect::SetRolloutRevision { to, .. } => {
                self.annotate_rollout(contract::REVISION_ANNOTATION, Some(to.to_string()));
            }
            Effect::SetWorkloadGeneration { to, .. } => {
                self.annotate_rollout(contract::WORKLOAD_GENERATION_ANNOTATION, to.map(|to| to.to_string()));
            }
            Effect::DefaultReplicas { .. } => {
                let version = self.next_version();
                let rollout = self.rollout.as_mut().expect("a Rollout");
                rollout.spec.replicas = Some(1);
                rollout.metadata.resource_version = Some(version);
                rollout.metadata.generation = rollout.metadata.generation.map(|it| it + 1);
            }
            Effect::Event(_) => {}
        }
        self.run_replica_sets();
        Ok(Outcome::Done)
    }

    fn create_replica_set(&mut self, name: &str, manifest: &Value) -> Result<(), Refused> {
        check(!self.replica_sets.contains_key(name), "AlreadyExists")?;
        let version = self.next_version();
        let text =
            |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let hash = text("/metadata/labels/rollouts-pod-template-hash");
        assert_eq!(
            hash,
            text("/spec/selector/matchLabels/rollouts-pod-template-hash"),
            "selector and label agree"
        );
        assert_eq!(
            hash,
            text("/spec/template/metadata/labels/rollouts-pod-template-hash"),
            "pods carry the label"
        );
        assert_eq!(manifest["spec"]["replicas"], 0, "created with no pods");
        let image = text("/spec/template/spec/containers/0/image");
        self.images.insert(hash.clone(), image.clone());
        let set = ReplicaSet {
            name: name.to_owned(),
            uid: format!("replicaset-{name}-{version}"),
            version,
            created: self.now,
            hash,
            image,
            owned: manifest.pointer("/metadata/ownerReferences/0/controller") == Some(&json!(true)),
            annotations: texts(&manifest["metadata"]["annotations"]),
            replicas: 0,
            min_ready: manifest["spec"]["minReadySeconds"].as_i64().unwrap_or(0).try_into().expect("seconds"),
            template: manifest["spec"]["template"].clone(),
            metadata: Metadata {
                labels: texts(&manifest["spec"]["template"]["metadata"]["labels"]),
                annotations: texts(&manifest["spec"]["template"]["metadata"]["annotations"]),
            },
            created_pods: 0,
            pods: Vec::new(),
        };
        self.replica_sets.insert(name.to_owned(), set);
        Ok(())
    }

    fn annotate_rollout(&mut self, key: &str, value: Option<String>) {
        let version = self.next_version();
        let metadata = &mut self.rollout.as_mut().expect("a Rollout").metadata;
        annotate(metadata.annotations.get_or_insert_default(), &one(key, value));
        metadata.resource_version = Some(version);
    }

    fn scale_workload(
        &mut self,
        kind: WorkloadKind,
        target: &Target,
        from: i32,
        to: i32,
    ) -> Result<(), Refused> {
        let version = self.next_version();
        let workload = self.workload.as_mut().ok_or_else(|| Refused("NotFound".to_owned()))?;
        check(workload["kind"] == kind.kind(), "another kind")?;
        check(workload["metadata"]["uid"] == target.uid.as_str(), "another uid")?;
        check(workload["spec"]["replicas"] == from, "spec.replicas moved")?;
        let generation = workload["metadata"]["generation"].as_i64().expect("a generation");
        workload["spec"]["replicas"] = json!(to);
        workload["metadata"]["generation"] = json!(generation + 1);
        workload["metadata"]["resourceVersion"] = json!(version);
        Ok(())
    }

    fn pod(&mut self, target: &Target) -> Result<&mut Pod, Refused> {
        let mut pods = self.replica_sets.values_mut().flat_map(|set| &mut set.pods);
        let pod = pods.find(|pod| pod.name == target.name).ok_or_else(|| Refused("NotFound".to_owned()))?;
        check(pod.uid == target.uid, "another uid")?;
        Ok(pod)
    }

    pub(super) fn set(&mut self, target: &Target) -> Result<&mut ReplicaSet, Refused> {
        let version = self.next_version();
        let set = self.replica_sets.get_mut(&target.name).ok_or_else(|| Refused("NotFound".to_owned()))?;
        check(set.uid == target.uid, "another uid")?;
        set.version = version;
        Ok(set)
    }
}

pub(super) fn object<'a>(
    objects: &'a mut BTreeMap<String, Value>,
    target: &Target,
) -> Result<&'a mut Value, Refused> {
    let object = objects.get_mut(&target.name).ok_or_else(|| Refused("NotFound".to_owned()))?;
    check(object["metadata"]["uid"] == target.uid.as_str(), "another uid")?;
    Ok(object)
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect()
}

fn one(key: &str, value: Option<String>) -> Changes {
    Changes::from([(key.to_owned(), value)])
}

fn annotate(held: &mut BTreeMap<String, String>, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => held.insert(key.clone(), value.clone()),
            None => held.remove(key),
        };
    }
}

pub(super) fn check(holds: bool, otherwise: &str) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused(otherwise.to_owned())) }
}
