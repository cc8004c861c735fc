//! Reads a `TLSContext`, and `tls` of a Host, which has the same fields.

use proxy_config::model::{TlsVersion, TlsVersions};
use serde_json::Value;

use crate::{dialect::Document, fields::Fields, hostname::check_server_name, object::ObjectName};

/// A `TLSContext` that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsContext {
    /// Names that it terminates TLS for.
    pub(crate) hosts: Vec<String>,
    /// `secret`.
    pub(crate) secret: Option<ObjectName>,
    pub(crate) settings: TlsSettings,
    pub(crate) remarks: Vec<String>,
}

/// How TLS is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) versions: TlsVersions,
    /// `alpn_protocols`; empty: all.
    pub(crate) alpn: Vec<String>,
    /// `ca_secret`: who may have signed the other side's certificate.
    pub(crate) authorities: Option<ObjectName>,
    /// `crl_secret`.
    pub(crate) revoked: Option<ObjectName>,
    /// `cert_required`.
    pub(crate) required: bool,
    /// `sni`: the name that an upstream is told.
    pub(crate) sni: Option<String>,
    /// `redirect_cleartext_from`, of whatever port: requests in the clear for its hosts are sent to `https`.
    pub(crate) redirects: bool,
}

/// Files in the pod of Emissary, which our proxies do not have.
const FILES: [&str; 3] = ["cert_chain_file", "private_key_file", "cacert_chain_file"];

pub(crate) fn parse(document: &Document) -> Result<TlsContext, String> {
    let fields = Fields::of(&document.spec, "spec")?;
    let mut remarks = Vec::new();
    let settings = settings(&fields, &document.name, &mut remarks)?;
    let secret = fields.text("secret")?.filter(|name| !name.is_empty());
    let mut hosts = Vec::new();
    for host in fields.texts("hosts")?.unwrap_or_default() {
        let host = host.to_ascii_lowercase();
        match check_server_name(&host) {
            Ok(()) => hosts.push(host),
            Err(remark) => remarks.push(remark),
        }
    }
    Ok(TlsContext {
        hosts,
        secret: secret.map(|name| secret_name(&fields, &name, &document.name)).transpose()?,
        settings,
        remarks,
    })
}

pub(crate) fn settings(
    fields: &Fields<'_>,
    owner: &ObjectName,
    remarks: &mut Vec<String>,
) -> Result<TlsSettings, String> {
    let version = |field: &str| -> Result<Option<TlsVersion>, String> {
        match fields.text(field)?.as_deref() {
            None | Some("") => Ok(None),
            // Older ones are broken (RFC 8996) and not spoken.
            Some("v1.0" | "v1.1" | "v1.2") => Ok(Some(TlsVersion::V1_2)),
            Some("v1.3") => Ok(Some(TlsVersion::V1_3)),
            Some(other) => Err(format!("`{field}` is `{other}`, not v1.0, v1.1, v1.2 or v1.3")),
        }
    };
    let standard = TlsVersions::default();
    let versions = TlsVersions {
        min: version("min_tls_version")?.unwrap_or(standard.min),
        max: version("max_tls_version")?.unwrap_or(standard.max),
    };
    if versions.min > versions.max {
        return Err("`min_tls_version` is above `max_tls_version`".to_owned());
    }
    let secret = |field: &str| -> Result<Option<ObjectName>, String> {
        let name = fields.text(field)?.filter(|name| !name.is_empty());
        name.map(|name| secret_name(fields, &name, owner)).transpose()
    };
    if let Some(file) = FILES.iter().find(|field| fields.value(field).is_some()) {
        return Err(format!("`{file}` names a file, and the proxies have none: use a Secret"));
    }
    let ignored: Vec<String> = ["cipher_suites", "ecdh_curves"]
        .iter()
        .filter(|field| fields.value(field).is_some())
        .map(|field| format!("`{field}`"))
        .collect();
    if !ignored.is_empty() {
        remarks.push(format!("not acted on: {}", ignored.join(", ")));
    }
    let alpn = fields.text("alpn_protocols")?.unwrap_or_default();
    Ok(TlsSettings {
        versions,
        alpn: alpn.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        authorities: secret("ca_secret")?,
        revoked: secret("crl_secret")?,
        required: fields.flag("cert_required")?.unwrap_or(false),
        sni: fields.text("sni")?.filter(|name| !name.is_empty()),
        redirects: match fields.value("redirect_cleartext_from") {
            Some(Value::Number(port)) => port.as_u64() > Some(0),
            Some(Value::String(port)) => port.trim().parse::<u16>().is_ok_and(|port| port > 0),
            _ => false,
        },
    })
}

/// `name.namespace` is a Secret in that namespace, unless `secret_namespacing` is off.
fn secret_name(fields: &Fields<'_>, text: &str, owner: &ObjectName) -> Result<ObjectName, String> {
    let namespaced = fields.flag("secret_namespacing")?.unwrap_or(true);
    Ok(match text.rsplit_once('.').filter(|_| namespaced) {
        Some((name, namespace)) => ObjectName::new(namespace, name),
        None => owner.sibling(text),
    })
}
