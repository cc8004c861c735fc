//! `Listener` (`getambassador.io`): a port, its protocols, and which Hosts it serves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    object_status::ObjectStatus,
    shapes::{Extra, StringOrList},
};

/// A port and what is served on it.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Listener",
    plural = "listeners",
    category = "ambassador-crds",
    namespaced,
    status = "ObjectStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A port and what is served on it.",
    printcolumn = r#"{"name":"Port","type":"string","jsonPath":".spec.port"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Stack","type":"string","jsonPath":".spec.protocolStack"}"#,
    printcolumn = r#"{"name":"StatsPrefix","type":"string","jsonPath":".spec.statsPrefix"}"#,
    printcolumn = r#"{"name":"Security","type":"string","jsonPath":".spec.securityModel"}"#,
    printcolumn = r#"{"name":"L7Depth","type":"string","jsonPath":".spec.l7Depth"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(rename = "ambassador_id", skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Port of the proxy, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// `HTTP`, `HTTPS`, `HTTPPROXY`, `HTTPSPROXY`, `TCP` or `TLS`. Short for a `protocolStack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// `TCP`, `TLS`, `HTTP`, `PROXY`, `UDP`, from the inside out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_stack: Option<Vec<String>>,
    /// When a request counts as secure: `XFP` (by `x-forwarded-proto`), `SECURE` or `INSECURE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_model: Option<String>,
    /// Prefix in figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_prefix: Option<String>,
    /// Number of trusted proxies in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l7_depth: Option<i64>,
    /// Streams a client may have open on one HTTP/2 connection.
    #[serde(rename = "http2MaxConcurrentStreams", skip_serializing_if = "Option::is_none")]
    pub http2_max_concurrent_streams: Option<i64>,
    /// Which Hosts it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_binding: Option<HostBinding>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Which Hosts a Listener serves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HostBinding {
    /// By namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceBinding>,
    /// By label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Namespaces of the Hosts that a Listener serves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct NamespaceBinding {
    /// `SELF`, `ALL` or `SELECTOR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Labels of the namespaces, for `SELECTOR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
