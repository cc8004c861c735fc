//! The exact request of each effect: pure.
//!
//! Preconditions travel with the request, so that the API server checks them against what it has: a JSON patch with
//! `test`, a merge patch with uid and `resourceVersion`, a PUT or DELETE with the same.

use std::collections::BTreeMap;

use crds::contract::{
    EPHEMERAL_METADATA_ANNOTATION as EPHEMERAL_METADATA, MANAGED_BY_ANNOTATION as MANAGED_BY,
    POD_TEMPLATE_HASH_LABEL as HASH_LABEL, REVISION_ANNOTATION as REVISION, WEIGHTS_ANNOTATION as WEIGHTS,
    WEIGHTS_SERVED, WORKLOAD_GENERATION_ANNOTATION as WORKLOAD_GENERATION,
};
use http::Request;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    Resource,
    api::{
        ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy,
    },
    core,
};
use operator_core::{
    effect::{Effect, LabelChange, Target},
    experiment::Blueprint,
    gateway_route::WeightChange,
    key::{self, Kind},
    traffic::ObjectName,
    world::WorkloadKind,
};
use serde_json::{Value, json};

use crate::rollouts::{objects::WatchedWorkload, routes};

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
            let patch = scale_patch(target, *from, *to, annotations, scope.annotated);
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
            let patch = scale_patch(target, *from, *to, &BTreeMap::new(), true);
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
            let patch = route_weights(target, weights, label.as_ref(), *labelled);
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

/// Tests each backend before its weight is set: the user may have put another one there.
fn route_weights(
    target: &Target,
    weights: &[WeightChange],
    label: Option<&LabelChange>,
    labelled: bool,
) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": target.uid})];
    for WeightChange { backend, service, from, to } in weights {
        let weight = format!("{backend}/weight");
        patch.push(json!({"op": "test", "path": format!("{backend}/name"), "value": service}));
        if let Some(from) = from {
            patch.push(json!({"op": "test", "path": weight, "value": from}));
        }
        patch.push(json!({"op": "add", "path": weight, "value": to}));
    }
    if let Some(LabelChange { key, from, to }) = label {
        let pointer = format!("/metadata/labels/{}", key.replace('~', "~0").replace('/', "~1"));
        if let Some(from) = from {
            patch.push(json!({"op": "test", "path": pointer, "value": from}));
        }
        match to {
            Some(to) if labelled => patch.push(json!({"op": "add", "path": pointer, "value": to})),
            Some(to) => patch.push(json!({"op": "add", "path": "/metadata/labels", "value": {key: to}})),
            None => patch.push(json!({"op": "remove", "path": pointer})),
        }
    }
    Value::Array(patch)
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

/// Other fields of a ReplicaSet change all the time (its status does with every pod): only what the plan relied on is
/// tested.
fn scale_patch(
    target: &Target,
    from: i32,
    to: i32,
    annotations: &BTreeMap<String, Option<String>>,
    annotated: bool,
) -> Value {
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": target.uid}),
        json!({"op": "test", "path": "/spec/replicas", "value": from}),
        json!({"op": "replace", "path": "/spec/replicas", "value": to}),
    ];
    if !annotated && !annotations.is_empty() {
        patch.push(json!({"op": "test", "path": "/metadata/annotations", "value": null}));
        patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (name, value) in annotations {
        let pointer = format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
        // `add` sets or replaces. `remove` alone would fail if there is nothing to remove.
        patch.push(json!({"op": "add", "path": pointer, "value": value.as_deref().unwrap_or_default()}));
        if value.is_none() {
            patch.push(json!({"op": "remove", "path": pointer}));
        }
    }
    Value::Array(patch)
}

fn call(
    request: Result<Request<Vec<u8>>, core::request::Error>,
    subject: Subject,
    verb: Verb,
) -> Result<Call, Error> {
    Ok(Call { request: request.map_err(Error::Build)?, subject, verb })
}

fn replica_sets(scope: &Scope<'_>) -> core::Request {
    core::Request::new(ReplicaSet::url_path(&(), Some(scope.namespace)))
}

fn services(scope: &Scope<'_>) -> core::Request {
    core::Request::new(Service::url_path(&(), Some(scope.namespace)))
}

fn experiments(namespace: &str) -> core::Request {
    core::Request::new(crds::Experiment::url_path(&(), Some(namespace)))
}

fn pods(scope: &Scope<'_>) -> core::Request {
    core::Request::new(Pod::url_path(&(), Some(scope.namespace)))
}

fn workloads(kind: WorkloadKind, namespace: &str) -> core::Request {
    core::Request::new(WatchedWorkload::url_path(&kind, Some(namespace)))
}

fn rollouts(namespace: &str) -> core::Request {
    core::Request::new(crds::Rollout::url_path(&(), Some(namespace)))
}

fn analysis_runs(scope: &Scope<'_>) -> core::Request {
    core::Request::new(crds::analysis::AnalysisRun::url_path(&(), Some(scope.namespace)))
}

/// The objects of the key's kind, and the name.
fn split_objects<'k>(scope: &Scope<'_>, key: &'k str) -> Result<(core::Request, &'k str), Error> {
    let (kind, name) = key::parse(key);
    let namespace = Some(scope.namespace);
    let path = match (kind, routes::resource(kind)) {
        (Kind::Ingress, _) => Ingress::url_path(&(), namespace),
        (_, Some(routes)) => DynamicObject::url_path(&routes, namespace),
        (_, None) => DynamicObject::url_path(scope.mappings.ok_or(Error::NoMappings)?, namespace),
    };
    Ok((core::Request::new(path), name))
}

fn body(manifest: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(manifest).map_err(Error::Body)
}

fn create() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn patching() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn deleting(target: &Target) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: Some(target.uid.clone()),
            resource_version: Some(target.resource_version.clone()),
        }),
        ..DeleteParams::default()
    }
}

#[cfg(test)]
mod tests {
    use operator_core::experiment::Pods;

    use super::*;

    const TARGET: &str = "app-5d8";

    fn target() -> Target {
        Target { name: TARGET.to_owned(), uid: "u1".to_owned(), resource_version: "42".to_owned() }
    }

    fn mapping_resource() -> ApiResource {
        ApiResource {
            group: "getambassador.io".to_owned(),
            version: "v3alpha1".to_owned(),
            api_version: "getambassador.io/v3alpha1".to_owned(),
            kind: "Mapping".to_owned(),
            plural: "mappings".to_owned(),
        }
    }

    /// Method, path, content type and body of an effect's request.
    fn sent(effect: &Effect, annotated: bool) -> (String, String, Value) {
        let mappings = mapping_resource();
        let scope = Scope {
            namespace: "web",
            mappings: Some(&mappings),
            rollout_version: "43",
            annotated,
            pod_templates: &[json!({"spec": {"of": "the ReplicaSet"}})],
        };
        let call = request(effect, &scope).unwrap().unwrap();
        let (head, body) = call.request.into_parts();
        let kind = head.headers.get(http::header::CONTENT_TYPE).map_or("", |it| it.to_str().unwrap());
        let line = format!("{} {}", head.method, head.uri);
        (line, kind.to_owned(), serde_json::from_slice(&body).unwrap())
    }

    fn check(effect: &Effect, line: &str, kind: &str, body: Value) {
        assert_eq!(sent(effect, true), (line.to_owned(), kind.to_owned(), body));
    }

    const PODS: &str = "/api/v1/namespaces/web/pods";
    const SETS: &str = "/apis/apps/v1/namespaces/web/replicasets";
    const MAPPINGS: &str = "/apis/getambassador.io/v3alpha1/namespaces/web/mappings";
    const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/web/ingresses";
    const RUNS: &str = "/apis/argoproj.io/v1alpha1/namespaces/web/analysisruns";
    const EXPERIMENTS: &str = "/apis/argoproj.io/v1alpha1/namespaces/web/experiments";
    const MANAGER: &str = "fieldManager=sluice-operator";

    #[test]
    fn weights_of_a_route_are_tested_before_they_are_set() {
        let change = |backend: &str, service: &str, from: Option<i64>, to: i64| WeightChange {
            backend: format!("/spec/rules/0/backendRefs/{backend}"),
            service: service.to_owned(),
            from,
            to,
        };
        let label = LabelChange { key: "a.org/canary".to_owned(), from: None, to: Some("yes".to_owned()) };
        let target = Target { name: key::of(Kind::HttpRoute, "web"), ..target() };
        let weights = vec![change("0", "stable", None, 70), change("1", "canary", Some(0), 30)];
        let effect = |label, labelled| Effect::SetRouteWeights {
            target: target.clone(),
            weights: weights.clone(),
            label,
            labelled,
        };
        let backend = |index: i32, field: &str| format!("/spec/rules/0/backendRefs/{index}/{field}");
        let mut body = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": "u1"}),
            json!({"op": "test", "path": backend(0, "name"), "value": "stable"}),
            json!({"op": "add", "path": backend(0, "weight"), "value": 70}),
            json!({"op": "test", "path": backend(1, "name"), "value": "canary"}),
            json!({"op": "test", "path": backend(1, "weight"), "value": 0}),
            json!({"op": "add", "path": backend(1, "weight"), "value": 30}),
        ];
        let line =
            format!("PATCH /apis/gateway.networking.k8s.io/v1/namespaces/web/httproutes/web?&{MANAGER}");
        let kind = "application/json-patch+json";
        check(&effect(None, true), &line, kind, json!(body));
        body.push(json!({"op": "add", "path": "/metadata/labels", "value": {"a.org/canary": "yes"}}));
        check(&effect(Some(label.clone()), false), &line, kind, json!(body));
        body.pop();
        body.push(json!({"op": "add", "path": "/metadata/labels/a.org~1canary", "value": "yes"}));
        check(&effect(Some(label), true), &line, kind, json!(body));
    }

    #[test]
    fn a_canary_ingress_is_written_under_its_name() {
        let manifest = json!({"kind": "Ingress", "metadata": {"name": "a"}});
        let create = Effect::CreateMapping { name: key::of(Kind::Ingress, "a"), manifest: manifest.clone() };
        check(&create, &format!("POST {INGRESSES}?&{MANAGER}"), "application/json", manifest.clone());
        let target = Target { name: key::of(Kind::Ingress, "a"), ..target() };
        let update = Effect::UpdateMapping { target: target.clone(), manifest: manifest.clone() };
        check(&update, &format!("PUT {INGRESSES}/a?&{MANAGER}"), "application/json", manifest);
        let (line, _, body) = sent(&Effect::DeleteMapping { target }, true);
        assert_eq!(line, format!("DELETE {INGRESSES}/a?"));
        assert_eq!(body["preconditions"], json!({"uid": "u1", "resourceVersion": "42"}));
    }

    #[test]
    fn a_replica_set_is_created_as_the_plan_says() {
        let manifest = json!({"kind": "ReplicaSet", "spec": {"replicas": 0}});
        let effect = Effect::CreateReplicaSet { name: TARGET.to_owned(), manifest: manifest.clone() };
        check(&effect, &format!("POST {SETS}?&{MANAGER}"), "application/json", manifest);
    }

    #[test]
    fn adopting_keeps_other_owners_and_is_refused_for_another_version() {
        let owner = json!({"kind": "Rollout", "uid": "r"});
        check(
            &Effect::AdoptReplicaSet { target: target(), owner: owner.clone() },
            &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
            "application/strategic-merge-patch+json",
            json!({"metadata": {"uid": "u1", "resourceVersion": "42", "ownerReferences": [owner]}}),
        );
    }

    #[test]
    fn scaling_tests_what_the_plan_saw() {
        let annotations = BTreeMap::from([
            ("rollout.argoproj.io/desired-replicas".to_owned(), Some("5".to_owned())),
            ("scale-down-deadline".to_owned(), None),
        ]);
        let effect = Effect::ScaleReplicaSet { target: target(), from: 2, to: 5, annotations };
        let (desired, deadline) = (
            "/metadata/annotations/rollout.argoproj.io~1desired-replicas",
            "/metadata/annotations/scale-down-deadline",
        );
        let body = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/spec/replicas", "value": 2},
            {"op": "replace", "path": "/spec/replicas", "value": 5},
            {"op": "add", "path": desired, "value": "5"},
            {"op": "add", "path": deadline, "value": ""},
            {"op": "remove", "path": deadline},
        ]);
        check(&effect, &format!("PATCH {SETS}/app-5d8?&{MANAGER}"), "application/json-patch+json", body);

        let (_, _, bare) = sent(&effect, false);
        assert_eq!(bare[3], json!({"op": "test", "path": "/metadata/annotations", "value": null}));
        assert_eq!(bare[4], json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }

    #[test]
    fn annotating_removes_with_null() {
        let annotations = BTreeMap::from([("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)]);
        check(
            &Effect::AnnotateReplicaSet { target: target(), annotations },
            &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": {"uid": "u1", "annotations": {"a": "1", "b": null}}}),
        );
    }

    #[test]
    fn the_pods_of_a_role_are_marked_in_the_template_and_the_annotation() {
        let effect = Effect::SetEphemeralMetadata {
            target: target(),
            labels: BTreeMap::from([
                ("role".to_owned(), Some("canary".to_owned())),
                ("old".to_owned(), None),
            ]),
            annotations: BTreeMap::new(),
            applied: Some(r#"{"labels":{"role":"canary"}}"#.to_owned()),
        };
        let applied = json!({"rollout.argoproj.io/ephemeral-metadata": r#"{"labels":{"role":"canary"}}"#});
        check(
            &effect,
            &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({
                "metadata": {"uid": "u1", "annotations": applied},
                "spec": {"template": {"metadata": {"labels": {"role": "canary", "old": null}, "annotations": {}}}},
            }),
        );
    }

    #[test]
    fn a_pod_is_marked_and_evicted_by_its_uid() {
        let (labels, annotations) = (
            BTreeMap::from([("role".to_owned(), None)]),
            BTreeMap::from([("a".to_owned(), Some("1".to_owned()))]),
        );
        check(
            &Effect::ChangePod { target: target(), labels, annotations },
            &format!("PATCH {PODS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": {"uid": "u1", "labels": {"role": null}, "annotations": {"a": "1"}}}),
        );
        check(
            &Effect::EvictPod { target: target() },
            &format!("POST {PODS}/app-5d8/eviction?&{MANAGER}"),
            "application/json",
            json!({
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": "app-5d8", "namespace": "web"},
                "deleteOptions": {"preconditions": {"uid": "u1"}},
            }),
        );
    }

    #[test]
    fn a_workload_is_scaled_as_a_replica_set_is() {
        let body = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/spec/replicas", "value": 5},
            {"op": "replace", "path": "/spec/replicas", "value": 2},
        ]);
        let scale =
            Effect::ScaleWorkload { kind: WorkloadKind::Deployment, target: target(), from: 5, to: 2 };
        let line = format!("PATCH /apis/apps/v1/namespaces/web/deployments/app-5d8?&{MANAGER}");
        check(&scale, &line, "application/json-patch+json", body);
    }

    #[test]
    fn workloads_are_read_by_kind_and_name() {
        for (kind, path) in [
            (WorkloadKind::Deployment, "/apis/apps/v1/namespaces/web/deployments/app"),
            (WorkloadKind::ReplicaSet, "/apis/apps/v1/namespaces/web/replicasets/app"),
            (WorkloadKind::PodTemplate, "/api/v1/namespaces/web/podtemplates/app"),
        ] {
            let request = get_workload(kind, &ObjectName::new("web", "app")).unwrap();
            assert_eq!(request.uri().path(), path);
        }
    }

    #[test]
    fn deleting_names_uid_and_version() {
        let body = json!({
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u1", "resourceVersion": "42"},
        });
        let set = Effect::DeleteReplicaSet { target: target() };
        check(&set, &format!("DELETE {SETS}/app-5d8?"), "application/json", body.clone());
        let mapping = Effect::DeleteMapping { target: target() };
        check(&mapping, &format!("DELETE {MAPPINGS}/app-5d8?"), "application/json", body);
    }

    #[test]
    fn a_run_is_created_told_to_end_and_deleted() {
        let manifest = json!({"kind": "AnalysisRun", "spec": {"metrics": []}});
        let create = Effect::CreateAnalysisRun { name: TARGET.to_owned(), manifest: manifest.clone() };
        check(&create, &format!("POST {RUNS}?&{MANAGER}"), "application/json", manifest);
        check(
            &Effect::TerminateAnalysisRun { target: target() },
            &format!("PATCH {RUNS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": {"uid": "u1"}, "spec": {"terminate": true}}),
        );
        let body = json!({
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u1", "resourceVersion": "42"},
        });
        let delete = Effect::DeleteAnalysisRun { target: target() };
        check(&delete, &format!("DELETE {RUNS}/app-5d8?"), "application/json", body);
    }

    #[test]
    fn an_experiment_is_created_with_pod_templates_told_to_begin_and_to_end_and_deleted() {
        let pods = Pods { replica_set: target(), labels: BTreeMap::new(), annotations: BTreeMap::new() };
        let manifest = json!({"kind": "Experiment", "spec": {"templates": [{"name": "a"}]}});
        let blueprint = Box::new(Blueprint::new(manifest, vec![pods]));
        let template = json!({"name": "a", "template": {"spec": {"of": "the ReplicaSet"}}});
        check(
            &Effect::CreateExperiment { name: TARGET.to_owned(), blueprint },
            &format!("POST {EXPERIMENTS}?&{MANAGER}"),
            "application/json",
            json!({"kind": "Experiment", "spec": {"templates": [template]}}),
        );
        check(
            &Effect::BeginExperiment { target: target() },
            &format!("PATCH {EXPERIMENTS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": {"uid": "u1", "annotations": {"sluice.dev/weights": "served"}}}),
        );
        check(
            &Effect::TerminateExperiment { target: target() },
            &format!("PATCH {EXPERIMENTS}/app-5d8?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": {"uid": "u1"}, "spec": {"terminate": true}}),
        );
        let body = json!({
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u1", "resourceVersion": "42"},
        });
        let delete = Effect::DeleteExperiment { target: target() };
        check(&delete, &format!("DELETE {EXPERIMENTS}/app-5d8?"), "application/json", body);
    }

    #[test]
    fn a_service_of_an_experiment_is_created_and_deleted() {
        let manifest = json!({"kind": "Service", "spec": {"ports": []}});
        let create = Effect::CreateService { name: TARGET.to_owned(), manifest: manifest.clone() };
        let services = "/api/v1/namespaces/web/services";
        check(&create, &format!("POST {services}?&{MANAGER}"), "application/json", manifest);
        let body = json!({
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u1", "resourceVersion": "42"},
        });
        let delete = Effect::DeleteService { target: target() };
        check(&delete, &format!("DELETE {services}/app-5d8?"), "application/json", body);
    }

    #[test]
    fn a_service_is_switched_at_the_version_the_plan_saw() {
        let switch = |managed_by: Option<&str>| Effect::SetServiceSelector {
            target: target(),
            from: None,
            to: "abc".to_owned(),
            managed_by: managed_by.map(str::to_owned),
        };
        let line = format!("PATCH /api/v1/namespaces/web/services/app-5d8?&{MANAGER}");
        let mut body = json!({
            "metadata": {"uid": "u1", "resourceVersion": "42"},
            "spec": {"selector": {"rollouts-pod-template-hash": "abc"}},
        });
        check(&switch(None), &line, "application/merge-patch+json", body.clone());
        body["metadata"]["annotations"] = json!({"argo-rollouts.argoproj.io/managed-by-rollouts": "app"});
        check(&switch(Some("app")), &line, "application/merge-patch+json", body);
    }

    #[test]
    fn mappings_are_posted_and_put_because_argos_role_grants_no_patch() {
        let manifest = json!({"kind": "Mapping", "metadata": {"resourceVersion": "42"}});
        let create = Effect::CreateMapping { name: TARGET.to_owned(), manifest: manifest.clone() };
        check(&create, &format!("POST {MAPPINGS}?&{MANAGER}"), "application/json", manifest.clone());
        let update = Effect::UpdateMapping { target: target(), manifest: manifest.clone() };
        check(&update, &format!("PUT {MAPPINGS}/app-5d8?&{MANAGER}"), "application/json", manifest);
    }

    #[test]
    fn the_rollout_is_patched_at_the_version_of_our_own_last_write() {
        let path = "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app-5d8";
        let guard = json!({"uid": "u1", "resourceVersion": "43"});
        let mut body = json!({"metadata": guard.clone()});
        body["metadata"]["annotations"] = json!({"rollout.argoproj.io/revision": "3"});
        check(
            &Effect::SetRolloutRevision { target: target(), from: None, to: 3 },
            &format!("{path}?&{MANAGER}"),
            "application/merge-patch+json",
            body.clone(),
        );
        body["metadata"]["annotations"] = json!({"rollout.argoproj.io/workload-generation": null});
        check(
            &Effect::SetWorkloadGeneration { target: target(), to: None },
            &format!("{path}?&{MANAGER}"),
            "application/merge-patch+json",
            body,
        );
        check(
            &Effect::DefaultReplicas { target: target() },
            &format!("{path}?&{MANAGER}"),
            "application/merge-patch+json",
            json!({"metadata": guard, "spec": {"replicas": 1}}),
        );
    }

    #[test]
    fn without_mappings_served_the_effect_fails_with_a_reason() {
        let scope = Scope {
            namespace: "web",
            mappings: None,
            rollout_version: "1",
            annotated: true,
            pod_templates: &[],
        };
        let effect = Effect::DeleteMapping { target: target() };
        assert!(matches!(request(&effect, &scope), Err(Error::NoMappings)));
    }
}
