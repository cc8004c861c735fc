//! The JSON patches: each tests the values that the plan relied on before it changes something.

use std::collections::BTreeMap;

use operator_core::{
    effect::{LabelChange, Target},
    gateway_route::WeightChange,
};
use serde_json::{Value, json};

/// Tests each backend before its weight is set: the user may have put another one there.
pub(super) fn weights(
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

/// Other fields of a ReplicaSet change all the time (its status does with every pod): only what the plan relied on is
/// tested.
pub(super) fn scale(
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
