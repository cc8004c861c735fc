//! What becomes of an object of `getambassador.io` that has no status in Emissary.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::go_json;

/// Whether an object is in use. Emissary's own definitions of these kinds have no status: where they are installed, it is not
/// kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// `Running`, `Inactive`, or absent.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is not in use, or what in it is not done.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of which generation this is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
