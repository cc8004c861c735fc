//! Validates a value against a structural schema, as the API server does with strict field validation.

use std::collections::BTreeSet;

use serde_json::Value;

/// Everything that is wrong with an object, by path.
pub(crate) fn errors(schema: &Value, object: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check(schema, object, "", &mut errors);
    errors
}

fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    let mut error = |text: String| errors.push(format!("{path}: {text}").trim_start_matches(": ").to_owned());
    if schema["x-kubernetes-int-or-string"] == true && (value.is_i64() || value.is_string()) {
        return;
    }
    if let Some(kind) = schema["type"].as_str()
        && !has_type(kind, value)
    {
        error(format!("{value} is not of type {kind}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        error(format!("{value} is not one of {}", schema["enum"]));
    }
    if let (Some(minimum), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < minimum
    {
        error(format!("{value} is less than {}", schema["minimum"]));
    }
    match value {
        Value::Object(fields) => {
            for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if fields.get(required).is_none_or(Value::is_null) {
                    error(format!("`{required}` is required"));
                }
            }
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let child = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if let Some(property) = schema["properties"].get(key) {
                    check(property, value, &child, errors);
                } else if schema["additionalProperties"].is_object() {
                    check(&schema["additionalProperties"], value, &child, errors);
                } else if schema["x-kubernetes-preserve-unknown-fields"] != true
                    && !is_of_every_object(&child)
                {
                    errors.push(format!("{path}: `{key}` is not known"));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{index}]"), errors);
            }
            check_keys(schema, items, path, errors);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Items of a keyed list differ in their keys, where an absent key has its default.
fn check_keys(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<String>) {
    let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else { return };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let key = |key: &Value| {
            let name = key.as_str().unwrap_or_default();
            let default = &schema["items"]["properties"][name]["default"];
            item.get(name).unwrap_or(default).to_string()
        };
        if !seen.insert(keys.iter().map(key).collect::<Vec<_>>()) {
            errors.push(format!("{path}[{index}]: is there twice"));
        }
    }
}

fn has_type(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        other => unreachable!("{other} is no type of a schema"),
    }
}

fn is_of_every_object(path: &str) -> bool {
    ["apiVersion", "kind", "metadata"].contains(&path)
}
