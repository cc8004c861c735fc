//! The schema of a pod template inside our kinds.
//!
//! The API server is part of the pod template hash: what its schema adds (defaults) is hashed. So this schema says
//! what Argo's says and nothing more: the same defaults, list-map-keys and required fields, by path, in
//! `pod_template_facts.json`. Everything else is preserved as it was written; a full schema would be above the
//! 262 144 bytes that a client-side `kubectl apply` can carry, and would drop fields of later Kubernetes versions.

use serde::Deserialize;
use serde_json::{Value, json};

/// What the schema says, by path from `template`; `[]` is a list's item.
#[derive(Deserialize)]
struct Facts {
    defaults: Vec<(String, Value)>,
    list_map_keys: Vec<(String, Vec<String>)>,
    required: Vec<(String, Vec<String>)>,
    preserve_unknown: Vec<String>,
}

const FACTS: &str = include_str!("pod_template_facts.json");

/// The schema of a pod template.
///
/// # Panics
///
/// If the table of facts in this crate is broken, which its tests would show.
#[must_use]
pub fn schema() -> Value {
    let facts: Facts = serde_json::from_str(FACTS).expect("pod_template_facts.json is a table of facts");
    let mut template = object();
    node(&mut template, "metadata");
    for (path, default) in facts.defaults {
        let (parent, field) = path.rsplit_once('.').expect("a default belongs to a field");
        let properties = &mut at(&mut template, parent)["properties"];
        properties[field] = json!({ "type": type_of(&default), "default": default });
    }
    for (path, keys) in facts.list_map_keys {
        let list = at(&mut template, &path);
        *list = list_of(list["items"].take());
        for key in &keys {
            let property = &mut list["items"]["properties"][key];
            if property.is_null() {
                *property = key_schema(key);
            }
        }
        list["x-kubernetes-list-type"] = "map".into();
        list["x-kubernetes-list-map-keys"] = keys.into();
    }
    for (path, fields) in facts.required {
        at(&mut template, &path)["required"] = fields.into();
    }
    for path in facts.preserve_unknown {
        *at(&mut template, &path) = json!({ "x-kubernetes-preserve-unknown-fields": true });
    }
    template
}

/// The node at a path such as `template.spec.containers[].env`, made of objects and lists where it is missing.
fn at<'a>(template: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').skip(1).fold(template, node)
}

/// The node of one path segment below an object.
fn node<'a>(parent: &'a mut Value, segment: &str) -> &'a mut Value {
    let (field, is_list) = match segment.strip_suffix("[]") {
        Some(field) => (field, true),
        None => (segment, false),
    };
    let child = &mut parent["properties"][field];
    if is_list {
        if child["type"] != "array" {
            *child = list_of(Value::Null);
        }
        &mut child["items"]
    } else {
        if child.is_null() {
            *child = object();
        }
        child
    }
}

fn object() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn list_of(items: Value) -> Value {
    let items = if items.is_null() { object() } else { items };
    json!({ "type": "array", "items": items })
}

/// Keys of list items are texts, except for one.
fn key_schema(key: &str) -> Value {
    match key {
        "containerPort" => json!({ "type": "integer", "format": "int32" }),
        _ => json!({ "type": "string" }),
    }
}

fn type_of(default: &Value) -> &'static str {
    match default {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_its_protocol_by_default_and_is_keyed_by_it() {
        let schema = schema();
        let ports = schema.pointer("/properties/spec/properties/containers/items/properties/ports").unwrap();
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        assert_eq!(ports["items"]["required"], json!(["containerPort"]));
        assert_eq!(ports["items"]["properties"]["protocol"], json!({"type": "string", "default": "TCP"}));
        assert_eq!(ports["items"]["x-kubernetes-preserve-unknown-fields"], json!(true));
    }

    #[test]
    fn every_fact_is_in_the_schema_once() {
        fn count(value: &Value, key: &str) -> usize {
            match value {
                Value::Object(fields) => {
                    usize::from(fields.contains_key(key))
                        + fields.values().map(|v| count(v, key)).sum::<usize>()
                }
                Value::Array(items) => items.iter().map(|v| count(v, key)).sum(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
            }
        }
        let facts: Facts = serde_json::from_str(FACTS).unwrap();
        let schema = schema();
        assert_eq!(count(&schema, "default"), facts.defaults.len());
        assert_eq!(count(&schema, "x-kubernetes-list-map-keys"), facts.list_map_keys.len());
        assert_eq!(count(&schema, "required"), facts.required.len());
    }
}
