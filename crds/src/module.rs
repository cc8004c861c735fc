//! `Module` (`getambassador.io`): settings of the whole installation.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shapes::{Extra, StringOrList};

/// Settings of the whole installation; only the Module named `ambassador` counts.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Module",
    plural = "modules",
    category = "ambassador-crds",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "Settings of the whole installation."
)]
pub struct ModuleSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// The settings by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub config: Option<Value>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}
