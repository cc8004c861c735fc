//! Reads a `Listener`.

use std::collections::BTreeMap;

use proxy_config::model::Security;

use super::selector::Selector;
use crate::{dialect::Document, fields::Fields, object::ObjectName};

/// A Listener that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) speaks: Speaks,
    /// Whether connections begin with a header of the PROXY protocol.
    pub(crate) proxied: bool,
    pub(crate) security: Security,
    /// `l7Depth`.
    pub(crate) trusted_hops: Option<u32>,
    pub(crate) binding: Binding,
    pub(crate) remarks: Vec<String>,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP in the clear.
    Http,
    /// TLS, and HTTP in the clear beside it.
    Https,
    /// Whatever TCPMappings carry, in the clear.
    Tcp,
    /// Whatever TCPMappings carry, over TLS.
    Tls,
}

/// What `protocol` or `protocolStack` say.
struct Stack {
    speaks: Speaks,
    proxied: bool,
}

/// Which Hosts a Listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Only those of its own namespace.
    own_namespace: bool,
    /// Only those with these labels.
    selector: Selector,
}

impl Binding {
    /// Whether a Host in `namespace` with `labels` is one of them.
    pub(crate) fn takes(
        &self,
        listener: &ObjectName,
        host: &ObjectName,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        (!self.own_namespace || listener.namespace == host.namespace) && self.selector.selects(labels)
    }
}

pub(crate) fn parse(document: &Document) -> Result<Listener, String> {
    let fields = Fields::of(&document.spec, "spec")?;
    let port = fields.number("port", 1, 65_535)?.ok_or("`port` is missing")?;
    let mut remarks = Vec::new();
    let Stack { speaks, proxied } = stack(&fields)?;
    let security = match fields.text("securityModel")?.as_deref() {
        Some("XFP") => Security::ForwardedProto,
        Some("SECURE") => Security::Always,
        Some("INSECURE") => Security::Never,
        Some(other) => return Err(format!("`securityModel` is `{other}`, not XFP, SECURE or INSECURE")),
        None => return Err("`securityModel` is missing".to_owned()),
    };
    for ignored in ["statsPrefix", "http2MaxConcurrentStreams"] {
        if fields.value(ignored).is_some() {
            remarks.push(format!("not acted on: `{ignored}`"));
        }
    }
    Ok(Listener {
        port: u16::try_from(port).map_err(|_| "`port` is out of range")?,
        speaks,
        proxied,
        security,
        trusted_hops: fields.number("l7Depth", 0, 255)?,
        binding: binding(&fields)?,
        remarks,
    })
}

/// `protocol` is a short form of `protocolStack`.
fn stack(fields: &Fields<'_>) -> Result<Stack, String> {
    let stack = fields.texts("protocolStack")?;
    let stack: Vec<&str> = match (&stack, fields.text("protocol")?.as_deref()) {
        (Some(stack), _) => stack.iter().map(String::as_str).collect(),
        (None, Some("HTTP")) => vec!["HTTP", "TCP"],
        (None, Some("HTTPS")) => vec!["TLS", "HTTP", "TCP"],
        (None, Some("HTTPPROXY")) => vec!["PROXY", "HTTP", "TCP"],
        (None, Some("HTTPSPROXY")) => vec!["TLS", "PROXY", "HTTP", "TCP"],
        (None, Some("TCP")) => vec!["TCP"],
        (None, Some("TLS")) => vec!["TLS", "TCP"],
        (None, Some("UDP")) => vec!["UDP"],
        (None, Some(other)) => {
            return Err(format!(
                "`protocol` is `{other}`, not HTTP, HTTPS, HTTPPROXY, HTTPSPROXY, TCP, TLS or UDP"
            ));
        }
        (None, None) => return Err("`protocol` is missing".to_owned()),
    };
    let has = |protocol| stack.contains(&protocol);
    if let Some(unknown) = stack.iter().find(|it| !["HTTP", "TLS", "PROXY", "TCP", "UDP"].contains(it)) {
        return Err(format!("`protocolStack` has `{unknown}`, not HTTP, TLS, PROXY, TCP or UDP"));
    }
    if has("UDP") {
        return Err("UDP, and so HTTP/3, is not served".to_owned());
    }
    let speaks = match (has("HTTP"), has("TLS")) {
        (true, false) => Speaks::Http,
        (true, true) => Speaks::Https,
        (false, false) => Speaks::Tcp,
        (false, true) => Speaks::Tls,
    };
    // The header comes before TLS, wherever in the stack it is named: a balancer that does not end TLS cannot write into it.
    Ok(Stack { speaks, proxied: has("PROXY") })
}

fn binding(fields: &Fields<'_>) -> Result<Binding, String> {
    if fields.value("hostBinding").is_none() {
        return Err("`hostBinding` is missing".to_owned());
    }
    let within = |error: String| format!("in `hostBinding`: {error}");
    let binding = fields.object("hostBinding")?;
    let namespace = binding.object("namespace").map_err(within)?;
    let own_namespace = match namespace.text("from").map_err(within)?.as_deref() {
        None | Some("ALL") => false,
        Some("SELF") => true,
        Some(other) => return Err(format!("`hostBinding.namespace.from` is `{other}`, not SELF or ALL")),
    };
    let selector = binding.object("selector").map_err(within)?;
    Ok(Binding { own_namespace, selector: Selector::parse(&selector, "hostBinding.selector")? })
}
