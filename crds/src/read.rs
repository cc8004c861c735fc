//! Reads objects, and says where one is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::definition;
use crate::schema::validate::{ViolationKind, violations};

/// Why an object cannot be read, with the paths of the values that are wrong.
///
/// serde alone says what is wrong but not where, which is no help in a manifest of a hundred lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Reads an object of a kind of ours, whatever its version.
///
/// # Errors
///
/// If a value has the wrong type or a required field is missing; unknown fields are no error.
pub fn read<K: CustomResourceExt + DeserializeOwned>(object: &Value) -> Result<K, Unreadable> {
    K::deserialize(object).map_err(|error| explain::<K>(object, &error))
}

/// What serde's error means, by the schema of the kind; serde's own words and the path if the schema has nothing
/// against the object, as against a number beyond 32 bits.
fn explain<K: CustomResourceExt + DeserializeOwned>(object: &Value, error: &serde_json::Error) -> Unreadable {
    static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
        let definitions = definition::all().into_values();
        definitions.map(|definition| (name(&definition), schema(&definition).clone())).collect()
    });
    let found = SCHEMAS.get(K::crd_name()).map(|schema| violations(schema, object)).unwrap_or_default();
    let reasons: Vec<_> = found
        .iter()
        .filter(|violation| !matches!(violation.kind, ViolationKind::Unknown(_)))
        .map(ToString::to_string)
        .collect();
    if !reasons.is_empty() {
        return Unreadable(reasons.join("; "));
    }
    // Reading with paths costs time, so only what cannot be read is read that way.
    match serde_path_to_error::deserialize::<_, K>(object) {
        Err(located) => Unreadable(located.to_string()),
        Ok(_) => Unreadable(error.to_string()),
    }
}

fn name(definition: &Value) -> String {
    definition["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// The schema of the last version, which is the stored one.
fn schema(definition: &Value) -> &Value {
    let version = definition["spec"]["versions"].as_array().and_then(|versions| versions.last());
    version.map_or(&Value::Null, |version| &version["schema"]["openAPIV3Schema"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Mapping, Rollout};

    #[test]
    fn every_wrong_value_is_named_by_its_path() {
        let object = json!({
            "metadata": {"name": "app"},
            "spec": {"replicas": "three", "paused": 1, "strategy": {"canary": {"steps": [{"setWeight": 20.5}]}}},
        });
        let error = read::<Rollout>(&object).unwrap_err();
        let text = "spec.paused: 1 is not of type boolean; \
                    spec.replicas: \"three\" is not of type integer; \
                    spec.strategy.canary.steps[0].setWeight: 20.5 is not of type integer";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn what_the_schema_cannot_say_is_said_by_serde_with_its_path() {
        let object = json!({
            "metadata": {"name": "app"},
            "spec": {"prefix": "/", "service": "a", "ambassador_id": 5},
        });
        let error = read::<Mapping>(&object).unwrap_err();
        let text = "spec.ambassador_id: invalid type: integer `5`, expected a string or a list of strings";
        assert_eq!(error.to_string(), text);
        let object = json!({
            "metadata": {"name": "app"},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"setWeight": 3_000_000_000_u32}]}}},
        });
        let error = read::<Rollout>(&object).unwrap_err();
        let text =
            "spec.strategy.canary.steps[1].setWeight: invalid value: integer `3000000000`, expected i32";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn an_object_of_an_older_version_with_unknown_fields_is_read() {
        let object = json!({
            "apiVersion": "getambassador.io/v1", "kind": "Mapping", "metadata": {"name": "a"}, "other": 1,
            "spec": {"prefix": "/", "service": "a", "unknown": true},
        });
        assert!(read::<Mapping>(&object).is_ok());
    }
}
