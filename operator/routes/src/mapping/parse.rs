//! Reads the spec of a Mapping, in the shape of any API version (emissary.md §1.2, §1.3).

use std::collections::BTreeMap;

use proxy_config::model::{Case, HostMatch, NamedMatch, Rewrite, TextMatch};
use serde_json::Value;

use super::{
    Mapping, MatchKey, PathKind,
    fields::{Fields, kind, named},
    host::parse_glob,
    service::parse_service,
};
use crate::weights::Written;

/// What a Mapping turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It is for another instance: its `ambassador_id` does not name this one.
    Foreign,
    /// It cannot be served; the sentence says why.
    Invalid(String),
    /// It can.
    Valid(Box<Mapping>),
}

/// Emissary's defaults.
const TIMEOUT_MS: u32 = 3_000;
const IDLE_TIMEOUT_MS: u32 = 300_000;
const CONNECT_TIMEOUT_MS: u32 = 3_000;

/// Acted on below.
const SERVED: [&str; 26] = [
    "ambassador_id",
    "prefix",
    "prefix_exact",
    "prefix_regex",
    "case_sensitive",
    "service",
    "rewrite",
    "host",
    "hostname",
    "host_regex",
    "host_rewrite",
    "method",
    "method_regex",
    "headers",
    "regex_headers",
    "query_parameters",
    "regex_query_parameters",
    "precedence",
    "weight",
    "resolver",
    "tls",
    "timeout_ms",
    "idle_timeout_ms",
    "connect_timeout_ms",
    "shadow",
    "host_redirect",
];

/// Written by conversions between versions, or for documentation: no request depends on them.
const SILENT: [&str; 9] = [
    "docs",
    "stats_name",
    "modules",
    "v2BoolHeaders",
    "v2BoolQueryParameters",
    "v2CommaSeparatedOrigins",
    "v2ExplicitTLS",
    "v2Representation",
    "v2Shorthand",
];

/// Reads a Mapping in `namespace` for the instance `ambassador_id`.
#[must_use]
pub fn parse(spec: &Value, namespace: &str, ambassador_id: &str) -> Parsed {
    let Value::Object(object) = spec else {
        return Parsed::Invalid(format!("`spec` is {}, not an object", kind(spec)));
    };
    let fields = Fields(object);
    match is_ours(&fields, ambassador_id) {
        Ok(true) => {}
        Ok(false) => return Parsed::Foreign,
        Err(reason) => return Parsed::Invalid(reason),
    }
    match read(&fields, namespace) {
        Ok(mapping) => Parsed::Valid(Box::new(mapping)),
        Err(reason) => Parsed::Invalid(reason),
    }
}

fn is_ours(fields: &Fields<'_>, ambassador_id: &str) -> Result<bool, String> {
    let ids = fields.texts("ambassador_id")?;
    Ok(match ids.as_deref() {
        None | Some([]) => ambassador_id == "default",
        Some(ids) => ids.iter().any(|id| id == ambassador_id || id == "_automatic_"),
    })
}

fn read(fields: &Fields<'_>, namespace: &str) -> Result<Mapping, String> {
    if fields.flag("host_redirect")? == Some(true) {
        return Err("`host_redirect` is not served yet".to_owned());
    }
    let mut remarks = Vec::new();
    let path = path_kind(fields)?;
    let prefix = fields.text("prefix")?.filter(|prefix| !prefix.is_empty()).ok_or("`prefix` is missing")?;
    if path != PathKind::Regex && !prefix.starts_with('/') {
        return Err(format!("`prefix` is `{prefix}`, which no path begins with: write `/{prefix}`"));
    }
    if prefix.chars().any(char::is_control) {
        return Err("`prefix` has control characters".to_owned());
    }
    let (host, headers) = host_and_headers(fields, &mut remarks)?;
    let query = named(fields.matches("query_parameters", false)?)
        .chain(named(fields.matches("regex_query_parameters", true)?))
        .collect();
    let precedence = fields.integer("precedence")?.unwrap_or(0);
    let precedence = i32::try_from(precedence)
        .map_err(|_| format!("`precedence` is {precedence}, which is out of range"))?;
    let service = fields.text("service")?.ok_or("`service` is missing")?;
    let (mut service, remark) = parse_service(&service, namespace)?;
    remarks.extend(remark);
    service.tls |= originates_tls(fields)?;
    let timeout = |milliseconds: u32| (milliseconds > 0).then_some(milliseconds);
    let connect_timeout_ms = match fields.milliseconds("connect_timeout_ms", CONNECT_TIMEOUT_MS)? {
        0 => return Err("`connect_timeout_ms` is 0: no connection could ever be made".to_owned()),
        milliseconds => milliseconds,
    };
    let case = fields.flag("case_sensitive")?.map(|counts| if counts { Case::Counts } else { Case::Ignored });
    let mapping = Mapping {
        key: MatchKey { host, prefix, method: method(fields)?, headers, query, precedence },
        path,
        case,
        weight: weight(fields, &mut remarks)?,
        shadow: fields.flag("shadow")?.unwrap_or(false),
        service,
        resolver: fields.text("resolver")?.filter(|name| !name.is_empty()),
        rewrite: rewrite(fields, path, &mut remarks)?,
        host_rewrite: fields.text("host_rewrite")?.filter(|host| !host.is_empty()),
        timeout_ms: timeout(fields.milliseconds("timeout_ms", TIMEOUT_MS)?),
        idle_timeout_ms: timeout(fields.milliseconds("idle_timeout_ms", IDLE_TIMEOUT_MS)?),
        connect_timeout_ms,
        remarks: Vec::new(),
    };
    remarks.extend(not_acted_on(fields));
    Ok(Mapping { remarks, ..mapping })
}

fn path_kind(fields: &Fields<'_>) -> Result<PathKind, String> {
    let exact = fields.flag("prefix_exact")?.unwrap_or(false);
    Ok(match (fields.flag("prefix_regex")?.unwrap_or(false), exact) {
        (true, _) => PathKind::Regex,
        (false, true) => PathKind::Exact,
        (false, false) => PathKind::Prefix,
    })
}

/// `hostname` wins over `host`, which wins over a `:authority` among the headers.
fn host_and_headers(
    fields: &Fields<'_>,
    remarks: &mut Vec<String>,
) -> Result<(HostMatch, Vec<NamedMatch>), String> {
    let lower = |matches: BTreeMap<String, TextMatch>| {
        matches.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
    };
    let mut exact: BTreeMap<_, _> = lower(fields.matches("headers", false)?);
    let mut regex: BTreeMap<_, _> = lower(fields.matches("regex_headers", true)?);
    let (exact_authority, regex_authority) = (exact.remove(":authority"), regex.remove(":authority"));
    let authority = exact_authority.or(regex_authority);
    let host = fields.text("host")?.filter(|host| !host.is_empty());
    let host = match (fields.text("hostname")?.filter(|host| !host.is_empty()), host, authority) {
        (Some(hostname), host, authority) => {
            if host.is_some() || authority.is_some() {
                remarks.push("`hostname` is used, `host` and the header `:authority` are not".to_owned());
            }
            parse_glob(&hostname)?
        }
        (None, Some(pattern), _) if fields.flag("host_regex")? == Some(true) => HostMatch::Regex(pattern),
        (None, Some(host), _) | (None, None, Some(TextMatch::Exact(host))) => parse_glob(&host)?,
        (None, None, Some(TextMatch::Regex(pattern))) => HostMatch::Regex(pattern),
        (None, None, Some(TextMatch::Present) | None) => HostMatch::Any,
    };
    Ok((host, named(exact).chain(named(regex)).collect()))
}

fn method(fields: &Fields<'_>) -> Result<Option<TextMatch>, String> {
    let regex = fields.flag("method_regex")? == Some(true);
    let method = fields.text("method")?.filter(|method| !method.is_empty());
    Ok(method.map(|method| if regex { TextMatch::Regex(method) } else { TextMatch::Exact(method) }))
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

/// `tls` names a context or, in older versions, is `true`.
fn originates_tls(fields: &Fields<'_>) -> Result<bool, String> {
    match fields.value("tls") {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(context)) => Ok(!context.is_empty()),
        Some(other) => Err(format!("`tls` is {}, not the name of a TLSContext", kind(other))),
    }
}

/// The default is `/`; an empty text is no rewrite. Where the whole path matched, the whole path is replaced.
fn rewrite(fields: &Fields<'_>, path: PathKind, remarks: &mut Vec<String>) -> Result<Rewrite, String> {
    let mut text = fields.text("rewrite")?.unwrap_or_else(|| "/".to_owned());
    if text.is_empty() {
        return Ok(Rewrite::None);
    }
    if !text.starts_with('/') {
        remarks.push(format!("`rewrite` is `{text}` and counts as `/{text}`"));
        text.insert(0, '/');
    }
    Ok(match path {
        PathKind::Prefix => Rewrite::Prefix(text),
        PathKind::Exact | PathKind::Regex => Rewrite::Full(text),
    })
}

/// One sentence that names every field that is set and has no effect yet.
fn not_acted_on(fields: &Fields<'_>) -> Option<String> {
    let empty =
        |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value.as_str() == Some("");
    let names: Vec<String> = (fields.0.iter())
        .filter(|(name, value)| {
            !SERVED.contains(&name.as_str()) && !SILENT.contains(&name.as_str()) && !empty(value)
        })
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| format!("not acted on yet: {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
