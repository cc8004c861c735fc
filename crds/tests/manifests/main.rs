//! Manifests that people apply: they must be read by the types and taken by the generated definitions.

mod admission;
mod documents;

use std::path::Path;

use serde_json::json;

use crate::documents::{Document, documents_below};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What is wrong with our documents below a folder, and how many there are.
fn check_all(folder: &Path) -> (usize, Vec<String>) {
    let documents = documents_below(folder);
    let ours: Vec<_> = documents.iter().filter(|document| document.is_ours()).collect();
    let errors = ours.iter().flat_map(|document| document.errors()).collect();
    (ours.len(), errors)
}

#[test]
fn examples_are_read_and_taken() {
    let (count, errors) = check_all(&here("../examples"));
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(count > 0, "examples/ has no object of a kind of ours");
}

#[test]
fn published_manifests_of_all_versions_are_read_and_taken() {
    let (count, errors) = check_all(&here("tests/manifests/fixtures"));
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(count >= 12, "only {count} documents were found");
}

#[test]
fn what_can_never_work_is_refused_with_its_path() {
    let cases = [
        (
            json!({"apiVersion": "getambassador.io/v2", "kind": "Mapping", "metadata": {"name": "a"},
                   "spec": {"prefix": "/a/", "service": "a", "weight": -5}}),
            "spec.weight: -5 is less than 0",
        ),
        (
            json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": "a"},
                   "spec": {"prefix": "/a/"}}),
            "spec: `service` is required",
        ),
        (
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"},
                   "spec": {"strategy": {"canary": {"steps": [{"setWeight": "20"}]}}}}),
            "spec.strategy.canary.steps[0].setWeight: \"20\" is not of type integer",
        ),
        (
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"},
                   "spec": {"strategy": {"canary": {"step": []}}}}),
            "spec.strategy.canary: `step` is not known",
        ),
        (
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"},
                   "spec": {"template": {"spec": {"containers": [{"image": "b"}]}}}}),
            "spec.template.spec.containers[0]: `name` is required",
        ),
    ];
    for (object, error) in cases {
        let document = Document { source: "case".to_owned(), object };
        assert_eq!(document.schema_errors(), [error]);
    }
}

#[test]
fn unknown_fields_of_a_pod_template_are_taken() {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"name": "b", "fieldOfTomorrow": 1}], "volumes": 5}}},
    });
    let document = Document { source: "case".to_owned(), object };
    assert_eq!(document.schema_errors(), [""; 0]);
}
