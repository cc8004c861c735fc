//! A field of the Rollout as the value of an argument: `valueFrom.fieldRef`.

use std::collections::BTreeMap;

use crds::rollout::Rollout;
use serde_json::Value;

use crate::spec::validate::names;

/// The value of a field. Fields of the metadata are those of Kubernetes' downward API; of all others the path leads
/// through the Rollout as it is stored, and lists take numbers: `spec.template.spec.containers[0].image`.
///
/// Numbers are written out in full (Argo writes large ones as `1e+06`).
///
/// # Errors
///
/// In Argo's words why there is no such value.
pub(super) fn value(rollout: &Rollout, path: &str) -> Result<String, String> {
    if path.starts_with("metadata") { of_metadata(rollout, path) } else { of_object(rollout, path) }
}

fn of_metadata(rollout: &Rollout, path: &str) -> Result<String, String> {
    let metadata = &rollout.metadata;
    if let Some((field, key)) = names::subscript(path) {
        let map = match field {
            "metadata.annotations" => &metadata.annotations,
            "metadata.labels" => &metadata.labels,
            _ => return Err(format!("fieldPath \"{field}\" does not support subscript")),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    match path {
        "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
        "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
        "metadata.name" => Ok(metadata.name.clone().unwrap_or_default()),
        "metadata.namespace" => Ok(metadata.namespace.clone().unwrap_or_default()),
        "metadata.uid" => Ok(metadata.uid.clone().unwrap_or_default()),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `key="value"`, one a line.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

fn of_object(rollout: &Rollout, path: &str) -> Result<String, String> {
    let invalid = || format!("invalid path {path} in rollout");
    let mut object = serde_json::to_value(rollout).map_err(|_| invalid())?;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        object = match object {
            Value::Array(mut items) => {
                let index: usize = part.parse().map_err(|_| format!("invalid index '{part}'"))?;
                if index >= items.len() {
                    return Err(format!("index {index} out of range"));
                }
                items.swap_remove(index)
            }
            Value::Object(mut fields) => fields.remove(part).unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(invalid()),
        };
    }
    match object {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(object.to_string()),
        Value::Null => Err(invalid()),
        Value::Array(_) | Value::Object(_) => {
            Err(format!("path {path} in rollout must terminate in a primitive value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_path_leads_to_its_value_or_says_why_not() {
        let rollout: Rollout = serde_json::from_value(json!({
            "metadata": {
                "name": "shop", "namespace": "web", "uid": "u",
                "labels": {"app": "shop", "team.dev/name": "a \"b\""},
                "annotations": {"note": "n"},
            },
            "spec": {
                "replicas": 1_000_000,
                "paused": true,
                "template": {"spec": {"containers": [{"image": "shop:2"}]}},
            },
            "status": {"stableRS": "abc"},
        }))
        .unwrap();
        let table = [
            ("metadata.name", Ok("shop")),
            ("metadata.namespace", Ok("web")),
            ("metadata.uid", Ok("u")),
            ("metadata.labels['app']", Ok("shop")),
            ("metadata.labels['none']", Ok("")),
            ("metadata.annotations['note']", Ok("n")),
            ("metadata.labels", Ok("app=\"shop\"\nteam.dev/name=\"a \\\"b\\\"\"")),
            ("metadata.generation", Err("unsupported fieldPath: metadata.generation")),
            ("metadata.name['x']", Err("fieldPath \"metadata.name\" does not support subscript")),
            ("spec.replicas", Ok("1000000")),
            ("spec.paused", Ok("true")),
            ("spec.template.spec.containers[0].image", Ok("shop:2")),
            ("status.stableRS", Ok("abc")),
            ("spec.template.spec.containers[1].image", Err("index 1 out of range")),
            ("spec.template.spec.containers[x].image", Err("invalid index 'x'")),
            ("spec.none", Err("invalid path spec.none in rollout")),
            ("spec.replicas.more", Err("invalid path spec.replicas.more in rollout")),
            ("spec.template", Err("path spec.template in rollout must terminate in a primitive value")),
            ("", Err("path  in rollout must terminate in a primitive value")),
        ];
        for (path, expected) in table {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(value(&rollout, path), expected, "{path}");
        }
    }
}
