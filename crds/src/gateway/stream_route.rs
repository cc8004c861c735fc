//! `TLSRoute`, `TCPRoute` and `UDPRoute`: what is not looked into.

use serde::{Deserialize, Serialize};

use super::reference::{BackendReference, ParentReference};

/// The spec of a route for connections or datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRouteSpec {
    /// What it attaches to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Of a TLSRoute: only for these server names; none: for all of its listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Its rules, of which only the first has a meaning.
    #[serde(default)]
    pub rules: Vec<StreamRule>,
}

/// Where connections go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRule {
    /// Its name within the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who shares them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<StreamBackend>,
}

/// Who gets a part of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct StreamBackend {
    /// Who.
    #[serde(flatten)]
    pub backend: BackendReference,
    /// Its part of the sum of all weights; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}
