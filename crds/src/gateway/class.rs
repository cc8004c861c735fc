//! `GatewayClass`: which controller has which Gateways.

use serde::{Deserialize, Serialize};

/// The spec of a GatewayClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The name of the controller.
    pub controller_name: String,
    /// Settings of the controller for its Gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ParametersReference>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Where settings are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParametersReference {
    /// Its API group; empty is the core group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; absent for a kind without, and where the Gateway's own is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
