//! Reads a `TCPMapping`: a way for connections instead of requests (emissary.md §1.8).

use crate::{
    dialect::{ApiVersion, Document},
    fields::Fields,
    hostname::{check_server_name, parse_glob},
    mapping::{Connection, ServiceReference, limits, parse_service},
    weights::Written,
};
use proxy_config::model::HostMatch;
use serde_json::Value;

/// A `TCPMapping` that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpMapping {
    /// Those with equal ones share connections.
    pub(crate) key: TcpKey,
    pub(crate) weight: Written,
    pub(crate) service: ServiceReference,
    pub(crate) resolver: Option<String>,
    pub(crate) connection: Connection,
    /// Without a byte in either direction.
    pub(crate) idle_timeout_ms: Option<u32>,
    pub(crate) remarks: Vec<String>,
}

/// Which connections a `TCPMapping` takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TcpKey {
    pub(crate) port: u16,
    /// The server name of TLS connections, which end at the proxy.
    pub(crate) host: Option<String>,
}

pub(crate) fn parse(document: &Document) -> Result<TcpMapping, String> {
    let fields = Fields::of(&document.spec, "spec")?;
    let mut remarks = Vec::new();
    let port = fields.number("port", 1, 65_535)?.ok_or("`port` is missing")?;
    if fields.text("address")?.is_some_and(|address| !["", "0.0.0.0"].contains(&address.as_str())) {
        return Err("`address` is not served: the proxies listen on all their addresses".to_owned());
    }
    let host = match fields.text("host")?.filter(|host| !host.is_empty()) {
        None => None,
        Some(host) => match parse_glob(&host)? {
            HostMatch::Any | HostMatch::Exact(_) | HostMatch::Suffix(_) | HostMatch::Label(_) => {
                let host = host.to_ascii_lowercase();
                check_server_name(&host)?;
                Some(host)
            }
            HostMatch::Authority(_) | HostMatch::Prefix(_) | HostMatch::Regex(_) => {
                return Err(format!("`host` is `{host}`, which is no server name"));
            }
        },
    };
    let text = fields.text("service")?.filter(|service| !service.is_empty()).ok_or("`service` is missing")?;
    let (mut service, remark) = parse_service(&text, &document.name.namespace)?;
    remarks.extend(remark);
    // Before v3alpha1 the scheme of a TCPMapping meant nothing.
    service.tls &= document.version == ApiVersion::V3;
    let context = match fields.value("tls") {
        Some(Value::String(context)) => Some(context.clone()).filter(|context| !context.is_empty()),
        Some(Value::Bool(flag)) => {
            service.tls |= flag;
            None
        }
        _ => None,
    };
    service.tls |= context.is_some();
    let weight = match fields.value("weight") {
        None => Written::Nothing,
        Some(value) => {
            let weight = value.as_f64().ok_or("`weight` is not a number")?.clamp(0.0, 100.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 10000 after clamping"
            )]
            Written::Parts((weight * 100.0).round() as u16)
        }
    };
    let tag = fields.text("cluster_tag")?.unwrap_or_default();
    let connection = Connection {
        tls_context: context,
        tag,
        limits: limits(fields.value("circuit_breakers"), "default")?,
        ..Connection::default()
    };
    let ignored: Vec<String> = ["enable_ipv4", "enable_ipv6"]
        .iter()
        .filter(|field| fields.value(field).is_some())
        .map(|field| format!("`{field}`"))
        .collect();
    if !ignored.is_empty() {
        remarks.push(format!("not acted on: {}", ignored.join(", ")));
    }
    Ok(TcpMapping {
        key: TcpKey { port: u16::try_from(port).map_err(|_| "`port` is out of range")?, host },
        weight,
        service,
        resolver: fields.text("resolver")?.filter(|name| !name.is_empty()),
        connection,
        idle_timeout_ms: idle_timeout_ms(&fields)?,
        remarks,
    })
}

/// `idle_timeout_ms`, which is a text in Emissary's schema and a number in its examples; 0 is none.
fn idle_timeout_ms(fields: &Fields<'_>) -> Result<Option<u32>, String> {
    let written = match fields.value("idle_timeout_ms") {
        Some(Value::String(text)) => {
            let number = text.trim().parse::<u32>();
            Some(number.map_err(|_| format!("`idle_timeout_ms` is `{text}`, not a number of milliseconds"))?)
        }
        _ => fields.number("idle_timeout_ms", 0, u32::MAX)?,
    };
    Ok(written.filter(|milliseconds| *milliseconds > 0))
}
