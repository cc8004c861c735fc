//! The pod template as raw JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `spec.template`, exactly as the API server holds it.
///
/// A typed pod template would drop fields that this build does not know; then pods would miss them and a change
/// of such a field would go unnoticed. So it stays JSON, and the few parts that matter are read from it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(schema_with = "crate::schema::any_object")]
pub struct PodTemplate(pub Value);

impl PodTemplate {
    /// Labels of the pods; entries that are not text are left out.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.metadata_map("labels")
    }

    /// Annotations of the pods; entries that are not text are left out.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.metadata_map("annotations")
    }

    /// Whether nothing was written: absent, `null`, `{}`, or only empty objects (what Go programs write for none).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty(&self.0)
    }

    fn metadata_map(&self, key: &str) -> BTreeMap<String, String> {
        let Some(entries) = self.0.pointer("/metadata").and_then(|metadata| metadata.get(key)?.as_object())
        else {
            return BTreeMap::new();
        };
        entries.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
