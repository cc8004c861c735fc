//! `TLSContext` (`getambassador.io`): certificates and TLS settings, for clients or towards Services.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    object_status::ObjectStatus,
    shapes::{Extra, StringOrList},
};

/// Certificates and TLS settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "TLSContext",
    plural = "tlscontexts",
    category = "ambassador-crds",
    namespaced,
    status = "ObjectStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Certificates and TLS settings.",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#
)]
pub struct TLSContextSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Host names it terminates TLS for; absent = only for connections to Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Secret with the certificate and its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// File with the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_chain_file: Option<String>,
    /// File with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    /// Secret with the authorities that the other side's certificate must come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<String>,
    /// File with these authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cacert_chain_file: Option<String>,
    /// Secret with revoked certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl_secret: Option<String>,
    /// Protocols to negotiate, such as `h2,http/1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn_protocols: Option<String>,
    /// Clients must present a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_required: Option<bool>,
    /// `v1.0` to `v1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tls_version: Option<String>,
    /// `v1.0` to `v1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tls_version: Option<String>,
    /// Cipher suites by OpenSSL name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suites: Option<Vec<String>>,
    /// Curves by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecdh_curves: Option<Vec<String>>,
    /// Whether `name.namespace` names a Secret in another namespace; absent = yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_namespacing: Option<bool>,
    /// Port without TLS whose requests are redirected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<i64>,
    /// Host name that a Service is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}
