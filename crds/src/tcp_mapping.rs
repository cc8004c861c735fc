//! `TCPMapping` (`getambassador.io`): a route for connections instead of requests.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mapping::CircuitBreaker;
use crate::object_status::ObjectStatus;
use crate::shapes::{BoolOrString, Extra, StringOrList};

/// What connections it takes, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "TCPMapping",
    plural = "tcpmappings",
    category = "ambassador-crds",
    namespaced,
    status = "ObjectStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A route from a port, and a TLS server name, to a Service.",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#
)]
pub struct TCPMappingSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Port of the proxy, 1 to 65535.
    pub port: i64,
    /// Address of the proxy; absent = all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// TLS server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `[scheme://]name[.namespace][:port]`.
    pub service: String,
    /// Percent of the connections of all `TCPMappings` that match the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub weight: Option<i64>,
    /// Who resolves `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// Send TLS: the name of a `TLSContext`, or `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<BoolOrString>,
    /// Limits a proxy keeps towards the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breakers: Option<Vec<CircuitBreaker>>,
    /// Use IPv4 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Milliseconds without a byte before the connection is closed, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<String>,
    /// Separate figures for the same Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Name in figures; absent = from `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}
