//! Which labels a canary Mapping takes from its base.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Annotation of the canary Mapping: the labels it has from its base, comma separated. Without it a label that the
/// base loses could not be told from one that somebody else added.
const COPIED: &str = "sluice.dev/copied-labels";

/// Copies the base's labels and removes those it no longer has. Labels from elsewhere stay.
///
/// Labels by which GitOps tools find their objects are not copied: the tool would take the canary Mapping for one of
/// its own that is gone from Git, and delete it.
pub(super) fn copy(base: &Value, metadata: &mut Map<String, Value>) {
    let mut wanted: BTreeMap<&str, &Value> = BTreeMap::new();
    for (key, value) in base["metadata"]["labels"].as_object().into_iter().flatten() {
        if !is_tracking(key) {
            wanted.insert(key, value);
        }
    }
    let before =
        metadata.get("annotations").and_then(|it| it[COPIED].as_str()).unwrap_or_default().to_owned();
    let copied = wanted.keys().copied().collect::<Vec<_>>().join(",");

    let mut labels = take(metadata, "labels");
    for gone in before.split(',').filter(|key| !wanted.contains_key(key)) {
        labels.remove(gone);
    }
    for (key, value) in wanted {
        labels.insert(key.to_owned(), value.clone());
    }
    labels.insert(MANAGED_BY.to_owned(), json!("sluice"));
    metadata.insert("labels".to_owned(), Value::Object(labels));

    if copied.is_empty() && before.is_empty() {
        return;
    }
    let mut annotations = take(metadata, "annotations");
    annotations.insert(COPIED.to_owned(), json!(copied));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
}

/// Argo CD by label (the default key is also what Helm charts write), Flux, Helm's own.
fn is_tracking(key: &str) -> bool {
    const PREFIXES: [&str; 3] =
        ["argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"];
    key == "app.kubernetes.io/instance"
        || key == MANAGED_BY
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn take(metadata: &mut Map<String, Value>, field: &str) -> Map<String, Value> {
    match metadata.remove(field) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
