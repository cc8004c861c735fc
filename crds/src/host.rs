//! `Host` (`getambassador.io`): a host name, its certificate, and which Mappings it serves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shapes::{Extra, StringOrList};

/// A host name and how it is served.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Host",
    plural = "hosts",
    category = "ambassador-crds",
    namespaced,
    status = "HostStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A host name and how it is served.",
    printcolumn = r#"{"name":"Hostname","type":"string","jsonPath":".spec.hostname"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(rename = "ambassador_id", alias = "ambassadorId", skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Host name with at most one `*`, at the beginning or the end; may have a port; absent = `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Labels of the Mappings it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_selector: Option<LabelSelector>,
    /// Older name of `mappingSelector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How a certificate is obtained; `authority: none` = not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub acme_provider: Option<Value>,
    /// The Secret with the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<HostSecret>,
    /// The `TLSContext` with TLS settings. Not together with `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_context: Option<HostTlsContext>,
    /// TLS settings, with the fields of a `TLSContext`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub tls: Option<Value>,
    /// What happens to requests without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_policy: Option<RequestPolicy>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A Secret, in the Host's namespace unless another is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct HostSecret {
    /// Name of the Secret.
    #[serde(default)]
    pub name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A `TLSContext` in the Host's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct HostTlsContext {
    /// Name of the `TLSContext`.
    #[serde(default)]
    pub name: String,
}

/// What happens to requests by how they arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RequestPolicy {
    /// Requests without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<InsecureRequestPolicy>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What happens to requests without TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsecureRequestPolicy {
    /// `Redirect` (absent means the same), `Reject` or `Route`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// A port that receives them besides those of the Listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_port: Option<i64>,
}

/// State of a Host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// `Initial`, `Pending`, `Ready` or `Error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is in error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Of which generation this is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}
