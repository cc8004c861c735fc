//! The exact request of each effect: pure.
//!
//! Preconditions travel with the request, so that the API server checks them against what it has: a JSON patch with
//! `test`, a merge patch with uid and `resourceVersion`, a PUT or DELETE with the same.

mod objects;
mod patches;

use std::collections::BTreeMap;

use crds::contract::{
    EPHEMERAL_METADATA_ANNOTATION as EPHEMERAL_METADATA, MANAGED_BY_ANNOTATION as MANAGED_BY,
    POD_TEMPLATE_HASH_LABEL as HASH_LABEL, REVISION_ANNOTATION as REVISION, WEIGHTS_ANNOTATION as WEIGHTS,
    WEIGHTS_SERVED, WORKLOAD_GENERATION_ANNOTATION as WORKLOAD_GENERATION,
};
use http::Request;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Resource,
    api::{ApiResource, Patch},
    core,
};
use operator_core::{
    effect::{Effect, Target},
    experiment::Blueprint,
    traffic::ObjectName,
    world::WorkloadKind,
};
use serde_json::{Value, json};

use self::objects::{
    analysis_runs, body, create, deleting, experiments, patching, pods, replica_sets, rollouts, services,
    split_objects, workloads,
};

/// The field manager of all writes. Not Argo's `rollouts-controller`, so that managed fields tell the two apart.
pub(crate) const FIELD_MANAGER: &str = "sluice-operator";

/// What a request needs beside its effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The Rollout's namespace.
    pub namespace: &'a str,
    /// The version in which Mappings are written; `None` while none is served.
    pub mappings: Option<&'a ApiResource>,
    /// The Rollout's `resourceVersion`: the world's, or that of our own last write in this plan.
    pub rollout_version: &'a str,
    /// The ReplicaSet of the effect has at least one annotation: a JSON patch cannot add to a map that is not there.
    pub annotated: bool,
    /// The pod templates that the effect takes from ReplicaSets, in its order.
    pub pod_templates: &'a [Value],
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    /// What to send.
    pub request: Request<Vec<u8>>,
    /// What it changes.
    pub subject: Subject,
    /// How.
    pub verb: Verb,
}

/// The object that a request changes, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A ReplicaSet.
    ReplicaSet(String),
    /// A pod.
    Pod(String),
    /// A Service.
    Service(String),
    /// A Mapping, or an object of another kind by its key.
    Mapping(String),
    /// An `AnalysisRun`.
    AnalysisRun(String),
    /// An Experiment.
    Experiment(String),
    /// The Rollout.
    Rollout(String),
    /// The workload that the Rollout refers to.
    Workload(WorkloadKind),
}

/// What a request does with its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// The object is new.
    Create,
    /// The answer is the object as it is now.
    Change,
    /// The object of this uid goes.
    Delete {
        /// The uid.
        uid: String,
    },
}

/// Why no request can be made of an effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No version of Mappings is served.
    #[error("failed to write a Mapping: the API server does not know the kind")]
    NoMappings,
    /// The request cannot be written; a name with forbidden characters for instance.
    #[error("failed to build the request")]
    Build(#[source] core::request::Error),
    /// The body cannot be written.
    #[error("failed to write the body of the request")]
    Body(#[source] serde_json::Error),
}

/// The request of an effect; `None` for an Event, which goes another way.
#[expect(clippy::too_many_lines, reason = "one arm for each effect")]
pub(crate) fn request(effect: &Effect, scope: &Scope<'_>) -> Result<Option<Call>, Error> {
    let call = match effect {
        Effect::CreateReplicaSet { name, manifest } => {
            let request = replica_sets(scope).create(&create(), body(manifest)?);
            call(request, Subject::ReplicaSet(name.clone()), Verb::Create)
        }
        Effect::AdoptReplicaSet { target, owner } => {
            // Owner references are merged by uid, so that others' stay.
            let patch = json!({"metadata": {
                "uid": target.uid,
                "resourceVersion": target.resource_version,
                "ownerReferences": [owner],
            }});
            let request = replica_sets(scope).patch(&target.name, &patching(), &Patch::Strategic(patch));
            call(request, Subject::ReplicaSet(target.name.clone()), Verb::Change)
        }
        Effect::ScaleReplicaSet { target, from, to, annotations } => {
            let patch = patches::scale(target, *from, *to, annotations, scope.annotated);
            let patch = Patch::<()>::Json(serde_json::from_value(patch).map_err(Error::Body)?);
            let request = replica_sets(scope).patch(&target.name, &patching(), &patch);
            call(request, Subject::ReplicaSet(target.name.clone()), Verb::Change)
        }
        Effect::AnnotateReplicaSet { target, annotations } => {
            let patch = json!({"metadata": {"uid": target.uid, "annotations": annotations}});
            let request = replica_sets(scope).patch(&target.name, &patching(), &Patch::Merge(patch));
            call(request, Subject::ReplicaSet(target.name.clone()), Verb::Change)
        }
        Effect::SetEphemeralMetadata { target, labels, annotations, applied } => {
            let patch = json!({
                "metadata": {"uid": target.uid, "annotations": {EPHEMERAL_METADATA: applied}},
                "spec": {"template": {"metadata": {"labels": labels, "annotations": annotations}}},
            });
            let request = replica_sets(scope).patch(&target.name, &patching(), &Patch::Merge(patch));
            call(request, Subject::ReplicaSet(target.name.clone()), Verb::Change)
        }
        Effect::ChangePod { target, labels, annotations } => {
            let patch =
                json!({"metadata": {"uid": target.uid, "labels": labels, "annotations": annotations}});
            let request = pods(scope).patch(&target.name, &patching(), &Patch::Merge(patch));
            call(request, Subject::Pod(target.name.clone()), Verb::Change)
        }
        Effect::EvictPod { target } => evict(scope, target),
        Effect::ScaleWorkload { kind, target, from, to } => {
            let patch = patches::scale(target, *from, *to, &BTreeMap::new(), true);
            let patch = Patch::<()>::Json(serde_json::from_value(patch).map_err(Error::Body)?);
            let request = workloads(*kind, scope.namespace).patch(&target.name, &patching(), &patch);
            call(request, Subject::Workload(*kind), Verb::Change)
        }
        Effect::DeleteReplicaSet { target } => {
            let request = replica_sets(scope).delete(&target.name, &deleting(target));
            call(request, Subject::ReplicaSet(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
        }
        Effect::SetServiceSelector { target, from: _, to, managed_by } => {
            // The version covers `from`, and a merge patch adds the annotations' map where there is none.
            let mut patch = json!({
                "metadata": {"uid": target.uid, "resourceVersion": target.resource_version},
                "spec": {"selector": {HASH_LABEL: to}},
            });
            if let Some(rollout) = managed_by {
                patch["metadata"]["annotations"] = json!({MANAGED_BY: rollout});
            }
            let request = services(scope).patch(&target.name, &patching(), &Patch::Merge(patch));
            call(request, Subject::Service(target.name.clone()), Verb::Change)
        }
        Effect::CreateMapping { name, manifest } => {
            let request = split_objects(scope, name)?.0.create(&create(), body(manifest)?);
            call(request, Subject::Mapping(name.clone()), Verb::Create)
        }
        Effect::UpdateMapping { target, manifest } => {
            let (objects, name) = split_objects(scope, &target.name)?;
            let request = objects.replace(name, &create(), body(manifest)?);
            call(request, Subject::Mapping(target.name.clone()), Verb::Change)
        }
        Effect::DeleteMapping { target } => {
            let (objects, name) = split_objects(scope, &target.name)?;
            let request = objects.delete(name, &deleting(target));
            call(request, Subject::Mapping(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
        }
        Effect::SetRouteWeights { target, weights, label, labelled } => {
            let (objects, name) = split_objects(scope, &target.name)?;
            let patch = patches::weights(target, weights, label.as_ref(), *labelled);
            let patch = Patch::<()>::Json(serde_json::from_value(patch).map_err(Error::Body)?);
            let request = objects.patch(name, &patching(), &patch);
            call(request, Subject::Mapping(target.name.clone()), Verb::Change)
        }
        Effect::CreateAnalysisRun { name, manifest } => create_run(scope, name, manifest),
        Effect::TerminateAnalysisRun { target } => terminate_run(scope, target),
        Effect::DeleteAnalysisRun { target } => delete_run(scope, target),
        Effect::CreateExperiment { name, blueprint } => create_experiment(scope, name, blueprint),
        Effect::BeginExperiment { target } => begin_experiment(scope, target),
        Effect::TerminateExperiment { target } => terminate_experiment(scope, target),
        Effect::DeleteExperiment { target } => delete_experiment(scope, target),
        Effect::CreateService { name, manifest } => create_service(scope, name, manifest),
        Effect::DeleteService { target } => delete_service(scope, target),
        Effect::SetRolloutRevision { target, from: _, to } => {
            rollout(scope, target, Some(json!({REVISION: to.to_string()})), None)
        }
        Effect::SetWorkloadGeneration { target, to } => {
            let generation = to.map(|to| to.to_string());
            rollout(scope, target, Some(json!({WORKLOAD_GENERATION: generation})), None)
        }
        Effect::DefaultReplicas { target } => rollout(scope, target, None, Some(json!({"replicas": 1}))),
        Effect::Event(_) => return Ok(None),
    };
    call.map(Some)
}

fn evict(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": target.name, "namespace": scope.namespace},
        "deleteOptions": {"preconditions": {"uid": target.uid}},
    });
    // `Request::evict` misspells the field of the preconditions, so that it sends none.
    let request = pods(scope).create_subresource("eviction", &target.name, &create(), body(&eviction)?);
    call(request, Subject::Pod(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
}

fn create_experiment(scope: &Scope<'_>, name: &str, blueprint: &Blueprint) -> Result<Call, Error> {
    let manifest = blueprint.manifest(scope.pod_templates);
    let request = experiments(scope.namespace).create(&create(), body(&manifest)?);
    call(request, Subject::Experiment(name.to_owned()), Verb::Create)
}

fn begin_experiment(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let annotations = json!({WEIGHTS: WEIGHTS_SERVED});
    let patch = json!({"metadata": {"uid": target.uid, "annotations": annotations}});
    let request = experiments(scope.namespace).patch(&target.name, &patching(), &Patch::Merge(patch));
    call(request, Subject::Experiment(target.name.clone()), Verb::Change)
}

fn terminate_experiment(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let patch = json!({"metadata": {"uid": target.uid}, "spec": {"terminate": true}});
    let request = experiments(scope.namespace).patch(&target.name, &patching(), &Patch::Merge(patch));
    call(request, Subject::Experiment(target.name.clone()), Verb::Change)
}

fn delete_experiment(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let request = experiments(scope.namespace).delete(&target.name, &deleting(target));
    call(request, Subject::Experiment(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
}

fn create_service(scope: &Scope<'_>, name: &str, manifest: &Value) -> Result<Call, Error> {
    let request = services(scope).create(&create(), body(manifest)?);
    call(request, Subject::Service(name.to_owned()), Verb::Create)
}

fn delete_service(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let request = services(scope).delete(&target.name, &deleting(target));
    call(request, Subject::Service(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
}

fn terminate_run(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let patch = json!({"metadata": {"uid": target.uid}, "spec": {"terminate": true}});
    let request = analysis_runs(scope).patch(&target.name, &patching(), &Patch::Merge(patch));
    call(request, Subject::AnalysisRun(target.name.clone()), Verb::Change)
}

fn delete_run(scope: &Scope<'_>, target: &Target) -> Result<Call, Error> {
    let request = analysis_runs(scope).delete(&target.name, &deleting(target));
    call(request, Subject::AnalysisRun(target.name.clone()), Verb::Delete { uid: target.uid.clone() })
}

fn create_run(scope: &Scope<'_>, name: &str, manifest: &Value) -> Result<Call, Error> {
    let request = analysis_runs(scope).create(&create(), body(manifest)?);
    call(request, Subject::AnalysisRun(name.to_owned()), Verb::Create)
}

/// The patch of a Rollout's `/status`.
pub(crate) fn status(namespace: &str, name: &str, patch: Value) -> Result<Request<Vec<u8>>, Error> {
    rollouts(namespace)
        .patch_subresource("status", name, &patching(), &Patch::Merge(patch))
        .map_err(Error::Build)
}

/// The patch of an Experiment with its status, for which the kind has no subresource.
pub(crate) fn experiment(namespace: &str, name: &str, patch: Value) -> Result<Request<Vec<u8>>, Error> {
    experiments(namespace).patch(name, &patching(), &Patch::Merge(patch)).map_err(Error::Build)
}

/// Reads one ReplicaSet.
pub(crate) fn get_replica_set(namespace: &str, name: &str) -> Result<Request<Vec<u8>>, Error> {
    let path = ReplicaSet::url_path(&(), Some(namespace));
    core::Request::new(path).get(name, &kube::api::GetParams::default()).map_err(Error::Build)
}

/// Reads one workload.
pub(crate) fn get_workload(kind: WorkloadKind, name: &ObjectName) -> Result<Request<Vec<u8>>, Error> {
    let get = &kube::api::GetParams::default();
    workloads(kind, &name.namespace).get(&name.name, get).map_err(Error::Build)
}

/// A change of the Rollout itself, refused unless it is at the version that the plan is about.
fn rollout(
    scope: &Scope<'_>,
    target: &Target,
    annotations: Option<Value>,
    spec: Option<Value>,
) -> Result<Call, Error> {
    let mut patch = json!({"metadata": {"uid": target.uid, "resourceVersion": scope.rollout_version}});
    if let Some(annotations) = annotations {
        patch["metadata"]["annotations"] = annotations;
    }
    if let Some(spec) = spec {
        patch["spec"] = spec;
    }
    let request = rollouts(scope.namespace).patch(&target.name, &patching(), &Patch::Merge(patch));
    call(request, Subject::Rollout(target.name.clone()), Verb::Change)
}

fn call(
    request: Result<Request<Vec<u8>>, core::request::Error>,
    subject: Subject,
    verb: Verb,
) -> Result<Call, Error> {
    Ok(Call { request: request.map_err(Error::Build)?, subject, verb })
}

#[cfg(test)]
mod tests;
