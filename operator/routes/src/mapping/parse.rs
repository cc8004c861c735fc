//! Reads a Mapping, in the shape of any API version (emissary.md §1.2, §1.3).

use std::sync::Arc;

use proxy_config::model::{Case, Edit, HeaderEdit, Value as Template};
use serde_json::Value;

use super::{
    Mapping, MatchKey, PathKind, connection,
    headers::{self, EditFields},
    matching::{self, HostAndHeaders},
    policy, rewriting,
    service::{ServiceHost, ServiceReference, parse_service},
};
use crate::{
    compat::Compat,
    dialect::{Document, violation},
    fields::{Fields, kind, texts},
    module::Module,
    weights::Written,
};

/// Emissary's defaults.
const TIMEOUT_MS: u32 = 3_000;
const IDLE_TIMEOUT_MS: u32 = 300_000;

/// Acted on below; in order, so that they are found fast.
const SERVED: [&str; 50] = [
    "add_linkerd_headers",
    "add_request_headers",
    "add_response_headers",
    "allow_upgrade",
    "ambassador_id",
    "auto_host_rewrite",
    "bypass_error_response_overrides",
    "case_sensitive",
    "circuit_breakers",
    "cluster_tag",
    "connect_timeout_ms",
    "cors",
    "error_response_overrides",
    "grpc",
    "headers",
    "health_checks",
    "host",
    "host_redirect",
    "host_regex",
    "host_rewrite",
    "hostname",
    "idle_timeout_ms",
    "load_balancer",
    "method",
    "method_regex",
    "outlier_detection",
    "path_redirect",
    "precedence",
    "prefix",
    "prefix_exact",
    "prefix_redirect",
    "prefix_regex",
    "priority",
    "query_parameters",
    "redirect_response_code",
    "regex_headers",
    "regex_query_parameters",
    "regex_redirect",
    "regex_rewrite",
    "remove_request_headers",
    "remove_response_headers",
    "resolver",
    "retry_policy",
    "rewrite",
    "service",
    "shadow",
    "timeout_ms",
    "tls",
    "use_websocket",
    "weight",
];

/// Written by conversions between versions, or for documentation: no request depends on them.
const SILENT: [&str; 10] = [
    "docs",
    "stats_name",
    "v3StatsName",
    "modules",
    "v2BoolHeaders",
    "v2BoolQueryParameters",
    "v2CommaSeparatedOrigins",
    "v2ExplicitTLS",
    "v2Representation",
    "v2Shorthand",
];

/// Fields in which the members of a group must agree in Emissary, besides those that make the group.
const CORE: [&str; 9] = [
    "bypass_auth",
    "circuit_breakers",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "connect_timeout_ms",
    "keepalive",
    "load_balancer",
    "prefix_exact",
    "prefix_regex",
];

/// Fields that are numbers, and those that are true or false.
const NUMBERS: [&str; 8] = [
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "connect_timeout_ms",
    "idle_timeout_ms",
    "precedence",
    "redirect_response_code",
    "timeout_ms",
    "weight",
];
const FLAGS: [&str; 12] = [
    "add_linkerd_headers",
    "auto_host_rewrite",
    "bypass_auth",
    "case_sensitive",
    "grpc",
    "host_redirect",
    "host_regex",
    "method_regex",
    "prefix_exact",
    "prefix_regex",
    "shadow",
    "use_websocket",
];

/// A Mapping's fields, and the Module's where the Mapping has none.
pub(super) struct Reader<'a> {
    pub(super) fields: Fields<'a>,
    module: &'a Module,
    home: &'a str,
}

impl<'a> Reader<'a> {
    /// A field that the Module may have. One that is written, empty or not, hides the Module's.
    pub(super) fn value(&self, field: &str) -> Option<&'a Value> {
        self.fields.value(field).or_else(|| self.module.default_of(field))
    }

    /// Such a field with a text or a list of them.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<String>>, String> {
        let value = self.value(field).filter(|value| !value.is_null());
        value.map(|value| texts(field, value)).transpose()
    }
}

/// Reads a Mapping with the defaults of `module`; `home` is the operator's own namespace.
///
/// # Errors
/// A sentence for its owner about why it cannot be served.
pub fn parse(document: &Document, module: &Module, home: &str, compat: Compat) -> Result<Mapping, String> {
    let Fields(object) = Fields::of(&document.spec, "spec")?;
    let mut remarks = Vec::new();
    if compat == Compat::Strict {
        if let Some(reason) = violation(document.kind, document.version, &document.spec) {
            return Err(reason);
        }
        return read(&Reader { fields: Fields(object), module, home }, document, compat, remarks);
    }
    let meant: Vec<(&String, Value)> =
        object.iter().filter_map(|(name, value)| Some((name, as_meant(name, value)?))).collect();
    if meant.is_empty() {
        return read(&Reader { fields: Fields(object), module, home }, document, compat, remarks);
    }
    let names: Vec<String> = meant.iter().map(|(name, _)| format!("`{name}`")).collect();
    remarks.push(format!("written as a text and read as it is meant: {}", names.join(", ")));
    let mut object = object.clone();
    object.extend(meant.into_iter().map(|(name, value)| (name.clone(), value)));
    read(&Reader { fields: Fields(&object), module, home }, document, compat, remarks)
}

/// The number or flag that a text is: annotations are full of `weight: "20"`.
fn as_meant(name: &str, value: &Value) -> Option<Value> {
    let Value::String(text) = value else { return None };
    if NUMBERS.contains(&name) {
        text.trim().parse::<i64>().ok().map(Value::from)
    } else if FLAGS.contains(&name) {
        truth(text.trim()).map(Value::Bool)
    } else {
        None
    }
}

/// The words of YAML 1.1.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

fn read(
    reader: &Reader<'_>,
    document: &Document,
    compat: Compat,
    mut remarks: Vec<String>,
) -> Result<Mapping, String> {
    let fields = &reader.fields;
    let path = matching::path_kind(fields)?;
    let prefix = fields.text("prefix")?.filter(|prefix| !prefix.is_empty()).ok_or("`prefix` is missing")?;
    if path != PathKind::Regex && !prefix.starts_with('/') {
        return Err(format!("`prefix` is `{prefix}`, which no path begins with: write `/{prefix}`"));
    }
    if prefix.chars().any(char::is_control) {
        return Err("`prefix` has control characters".to_owned());
    }
    let HostAndHeaders { host, named, headers } =
        matching::host_and_headers(fields, document.version, &mut remarks)?;
    let precedence = fields.integer("precedence")?.unwrap_or(0);
    let precedence = i32::try_from(precedence)
        .map_err(|_| format!("`precedence` is {precedence}, which is out of range"))?;
    let text = fields.text("service")?.filter(|service| !service.is_empty()).ok_or("`service` is missing")?;
    let namespace = if reader.module.resolves_at_home() { reader.home } else { &*document.name.namespace };
    let (mut service, remark) = parse_service(&text, namespace)?;
    remarks.extend(remark);
    let connection = connection::connection(reader, &mut remarks)?;
    service.tls |= connection.tls_context.is_some() || fields.value("tls") == Some(&Value::Bool(true));
    let timeout = |milliseconds: u32| (milliseconds > 0).then_some(milliseconds);
    let redirect = match fields.flag("host_redirect")? {
        Some(true) => {
            Some(rewriting::redirect(fields, path, redirect_host(&service), service.port, &mut remarks)?)
        }
        Some(false) | None => None,
    };
    let mut request_headers = headers::edits(reader, EditFields::REQUEST)?;
    request_headers.extend(linkerd_header(reader, &service)?);
    let case = fields.flag("case_sensitive")?.map(|counts| if counts { Case::Counts } else { Case::Ignored });
    let shadow = fields.flag("shadow")?.unwrap_or(false);
    let mapping = Mapping {
        key: Arc::new(MatchKey {
            host,
            prefix,
            method: matching::method(fields)?,
            headers,
            query: matching::query(fields)?,
            precedence,
            selected_by: None,
        }),
        path,
        named,
        case,
        weight: weight(fields, &mut remarks)?,
        above_all: fields.value("weight").and_then(Value::as_f64).is_some_and(|weight| weight > 100.0),
        shadow,
        redirect: redirect.filter(|_| !shadow),
        resolver: resolver(reader)?,
        rewrite: rewriting::rewrite(fields, path, &mut remarks)?,
        host_rewrite: rewriting::host_rewrite(fields)?,
        timeout_ms: timeout(
            fields.milliseconds("timeout_ms", reader.module.timeout_ms().unwrap_or(TIMEOUT_MS))?,
        ),
        idle_timeout_ms: timeout(fields.milliseconds("idle_timeout_ms", IDLE_TIMEOUT_MS)?),
        request_headers,
        response_headers: headers::edits(reader, EditFields::RESPONSE)?,
        retry: policy::retry(reader)?,
        cors: policy::cors(reader)?,
        errors: policy::errors(reader, &mut remarks)?,
        upgrades: policy::upgrades(fields)?,
        core: core(fields),
        remarks: Vec::new(),
        service,
        connection,
    };
    if compat == Compat::Strict {
        as_emissary(fields)?;
    }
    remarks.extend(not_acted_on(fields));
    Ok(Mapping { remarks, ..mapping })
}

/// Fields with which Emissary serves nothing.
fn as_emissary(fields: &Fields<'_>) -> Result<(), String> {
    match ["outlier_detection", "error_response_overrides"].iter().find(|field| fields.value(field).is_some())
    {
        Some(field) => Err(format!("`{field}` is not supported by Emissary")),
        None => Ok(()),
    }
}

fn resolver(reader: &Reader<'_>) -> Result<Option<String>, String> {
    let resolver = reader.texts("resolver")?.and_then(|names| names.into_iter().next());
    Ok(resolver.filter(|name| !name.is_empty()))
}

/// The host that clients are sent to: a name without namespace has that of the Mapping, as in Emissary.
fn redirect_host(service: &ServiceReference) -> String {
    match &service.host {
        ServiceHost::Service(name) | ServiceHost::ServiceOrName(name) => {
            format!("{}.{}", name.name, name.namespace)
        }
        ServiceHost::Name(host) => host.clone(),
        ServiceHost::Address(address) if address.is_ipv6() => format!("[{address}]"),
        ServiceHost::Address(address) => address.to_string(),
    }
}

/// `add_linkerd_headers`: where Linkerd's proxy is to send the request.
fn linkerd_header(reader: &Reader<'_>, service: &ServiceReference) -> Result<Option<HeaderEdit>, String> {
    let own = reader.fields.flag("add_linkerd_headers")?;
    let wanted = own.or_else(|| reader.module.default_of("add_linkerd_headers")?.as_bool());
    if wanted != Some(true) {
        return Ok(None);
    }
    let port = service.port.unwrap_or(if service.tls { 443 } else { 80 });
    let value = Template::text(format!("{}:{port}", redirect_host(service)));
    Ok(Some(HeaderEdit { name: "l5d-dst-override".to_owned(), edit: Edit::Add(value) }))
}

fn weight(fields: &Fields<'_>, remarks: &mut Vec<String>) -> Result<Written, String> {
    let Some(value) = fields.value("weight") else { return Ok(Written::Nothing) };
    let weight = value.as_f64().ok_or_else(|| format!("`weight` is {}, not a number", kind(value)))?;
    let counted = weight.clamp(0.0, 100.0);
    if (counted - weight).abs() > f64::EPSILON {
        remarks.push(format!("`weight` is {weight} and counts as {counted}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10000 after clamping")]
    Ok(Written::Parts((counted * 100.0).round() as u16))
}

/// The core fields that are written. Circuit breakers are always there: absent ones differ from written ones.
fn core(fields: &Fields<'_>) -> Vec<(&'static str, Value)> {
    let written = |field| match fields.value(field) {
        None if field == "circuit_breakers" => Some((field, Value::Null)),
        value => Some((field, value?.clone())),
    };
    CORE.into_iter().filter_map(written).collect()
}

/// One sentence that names every field that is set and has no effect.
fn not_acted_on(fields: &Fields<'_>) -> Option<String> {
    let empty =
        |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value.as_str() == Some("");
    let names: Vec<String> = (fields.0.iter())
        .filter(|(name, value)| {
            SERVED.binary_search(&name.as_str()).is_err() && !SILENT.contains(&name.as_str()) && !empty(value)
        })
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| format!("not acted on: {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
