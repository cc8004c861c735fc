//! Objects as they are created, by the rules of Argo.

use std::collections::BTreeMap;

use crds::analysis::AnalysisRunSpec;
use crds::contract::{
    EXPERIMENT_NAME_ANNOTATION, EXPERIMENT_TEMPLATE_NAME_ANNOTATION, INSTANCE_ID_LABEL,
    POD_TEMPLATE_HASH_LABEL, RUN_FINGERPRINT_ANNOTATION,
};
use crds::experiment::ExperimentTemplate;
use operator_core::hash;
use serde_json::{Value, json};

use super::Scene;

/// The hash of a pod template, without the hash that it may carry from elsewhere. `None` if it cannot be read, which
/// the validation of the spec has found out before.
pub(super) fn hash(template: &Value, collision_count: Option<i32>) -> Option<String> {
    let hash = hash::pod_template_hash(&without_hash(template), collision_count);
    hash.ok().map(|it| it.to_string())
}

/// A ReplicaSet without pods.
pub(super) fn replica_set(scene: &Scene<'_>, template: &ExperimentTemplate, name: &str, hash: &str) -> Value {
    let mut pods = without_hash(&template.template.0);
    let metadata = object(&mut pods["metadata"]);
    object(&mut metadata["labels"])[POD_TEMPLATE_HASH_LABEL] = json!(hash);
    let mut selector = template.selector.clone().unwrap_or_default();
    selector.match_labels.get_or_insert_default().insert(POD_TEMPLATE_HASH_LABEL.to_owned(), hash.to_owned());
    let mut spec = json!({"replicas": 0, "selector": selector, "template": pods});
    if template.min_ready_seconds > 0 {
        spec["minReadySeconds"] = json!(template.min_ready_seconds);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": scene.world.experiment.metadata.namespace,
            "labels": {POD_TEMPLATE_HASH_LABEL: hash},
            "annotations": marks(scene, &template.name),
            "ownerReferences": [owner(scene)],
        },
        "spec": spec,
    })
}

/// A Service for the pods with a hash.
pub(super) fn service(scene: &Scene<'_>, template: &str, name: &str, hash: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": scene.world.experiment.metadata.namespace,
            "annotations": marks(scene, template),
            "ownerReferences": [owner(scene)],
        },
        "spec": {"selector": {POD_TEMPLATE_HASH_LABEL: hash}, "ports": ports},
    })
}

/// The ports of a Service, one for each port of the containers.
pub(super) fn ports(template: &Value) -> Value {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let ports = containers.flat_map(|it| it.get("ports").and_then(Value::as_array).into_iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.get("containerPort")?;
            let mut listed = json!({"port": number, "targetPort": number});
            for field in ["name", "protocol"] {
                if let Some(value) = port.get(field).filter(|it| !it.is_null()) {
                    listed[field] = value.clone();
                }
            }
            Some(listed)
        })
        .collect()
}

/// An AnalysisRun.
pub(super) fn run(scene: &Scene<'_>, name: &str, spec: &AnalysisRunSpec, fingerprint: &str) -> Value {
    let metadata = &scene.world.experiment.metadata;
    let added = &scene.spec.analysis_run_metadata;
    let mut labels = BTreeMap::new();
    if let Some(instance) = metadata.labels.as_ref().and_then(|labels| labels.get(INSTANCE_ID_LABEL)) {
        labels.insert(INSTANCE_ID_LABEL.to_owned(), instance.clone());
    }
    labels.extend(added.labels.clone());
    let mut annotations = added.annotations.clone();
    annotations.insert(RUN_FINGERPRINT_ANNOTATION.to_owned(), fingerprint.to_owned());
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name,
            "namespace": metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner(scene)],
        },
        "spec": spec,
    })
}

fn marks(scene: &Scene<'_>, template: &str) -> Value {
    json!({EXPERIMENT_NAME_ANNOTATION: scene.name, EXPERIMENT_TEMPLATE_NAME_ANNOTATION: template})
}

fn owner(scene: &Scene<'_>) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "name": scene.name,
        "uid": scene.world.experiment.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    let labels = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        labels.remove(POD_TEMPLATE_HASH_LABEL);
    }
    template
}

/// The value, made an object where it is none.
fn object(value: &mut Value) -> &mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    value
}
