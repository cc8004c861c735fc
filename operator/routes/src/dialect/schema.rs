//! What Emissary's CRDs refuse, for those who want to be refused alike.
//!
//! Where the API server has no such schema, or an annotation is read, the wrong types arrive here. By default they are
//! read as they are meant; with `--ambassador-compat=strict` the object is left out, as Emissary does.

use serde_json::{Map, Value};

use super::{ApiVersion, DocumentKind};
use crate::fields::kind;

/// A type that a field may have.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Flag,
    Integer,
    Texts,
    TextsByName,
    /// A text or a list of texts (v2 and older).
    TextOrTexts,
    /// A text or `true` (v2 and older).
    TextOrFlag,
    /// Texts or `true` by name (v2 and older).
    TextsOrFlagsByName,
    /// `{value, append}` by name, or in v2 and older a text.
    Added,
    Object,
    Objects,
}

/// What Emissary's schema refuses in a spec.
pub(crate) fn violation(document: DocumentKind, version: ApiVersion, spec: &Value) -> Option<String> {
    let Value::Object(fields) = spec else { return Some(format!("`spec` is {}, not an object", kind(spec))) };
    match document {
        DocumentKind::Mapping => mapping(version, fields),
        DocumentKind::Listener => listener(fields),
        DocumentKind::TcpMapping
        | DocumentKind::Host
        | DocumentKind::TlsContext
        | DocumentKind::Module
        | DocumentKind::Resolver(_) => None,
    }
}

fn mapping(version: ApiVersion, fields: &Map<String, Value>) -> Option<String> {
    for required in ["prefix", "service"] {
        if fields.get(required).is_none_or(Value::is_null) {
            return Some(format!("`{required}` is missing"));
        }
    }
    let new = version == ApiVersion::V3;
    let either = |newer, older| if new { newer } else { older };
    let shape_of = |field: &str| {
        Some(match field {
            "prefix" | "service" | "rewrite" | "method" | "host" | "hostname" | "host_rewrite"
            | "resolver" | "cluster_tag" | "stats_name" | "dns_type" | "priority" | "path_redirect"
            | "prefix_redirect" => Shape::Text,
            "tls" => either(Shape::Text, Shape::TextOrFlag),
            "prefix_regex"
            | "prefix_exact"
            | "case_sensitive"
            | "host_regex"
            | "method_regex"
            | "shadow"
            | "host_redirect"
            | "auto_host_rewrite"
            | "grpc"
            | "bypass_auth"
            | "use_websocket"
            | "enable_ipv4"
            | "enable_ipv6"
            | "respect_dns_ttl"
            | "add_linkerd_headers" => Shape::Flag,
            "weight"
            | "precedence"
            | "timeout_ms"
            | "idle_timeout_ms"
            | "connect_timeout_ms"
            | "cluster_idle_timeout_ms"
            | "cluster_max_connection_lifetime_ms"
            | "redirect_response_code" => Shape::Integer,
            "headers" | "query_parameters" => either(Shape::TextsByName, Shape::TextsOrFlagsByName),
            "regex_headers" | "regex_query_parameters" | "auth_context_extensions" => Shape::TextsByName,
            "add_request_headers" | "add_response_headers" => Shape::Added,
            "remove_request_headers" | "remove_response_headers" => either(Shape::Texts, Shape::TextOrTexts),
            "allow_upgrade" => Shape::Texts,
            "circuit_breakers" | "health_checks" => Shape::Objects,
            "retry_policy" | "cors" | "load_balancer" | "keepalive" | "regex_rewrite" | "regex_redirect" => {
                Shape::Object
            }
            _ => return None,
        })
    };
    for (field, value) in fields {
        if let Some(shape) = shape_of(field)
            && !value.is_null()
            && !fits(shape, value, new)
        {
            return Some(format!("`{field}` is {}, which the schema of Emissary refuses", kind(value)));
        }
    }
    let code = fields.get("redirect_response_code").and_then(Value::as_i64);
    if let Some(code) = code.filter(|code| ![301, 302, 303, 307, 308].contains(code)) {
        return Some(format!("`redirect_response_code` is {code}, not 301, 302, 303, 307 or 308"));
    }
    if new && let Some(cors) = fields.get("cors") {
        let lists = ["origins", "methods", "headers", "exposed_headers"];
        let text = lists.iter().find(|list| cors.get(**list).is_some_and(Value::is_string));
        if let Some(list) = text {
            return Some(format!("`cors.{list}` is a text, which the schema of Emissary refuses"));
        }
    }
    let on = fields.get("retry_policy").and_then(|policy| policy.get("retry_on")).and_then(Value::as_str);
    let known = [
        "5xx",
        "gateway-error",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
    ];
    on.filter(|on| !known.contains(on))
        .map(|on| format!("`retry_policy.retry_on` is `{on}`, which Emissary lacks"))
}

fn listener(fields: &Map<String, Value>) -> Option<String> {
    let missing = |field: &&&str| fields.get(**field).is_none_or(Value::is_null);
    ["port", "securityModel", "hostBinding"].iter().find(missing).map(|field| format!("`{field}` is missing"))
}

fn fits(shape: Shape, value: &Value, new: bool) -> bool {
    let by_name = |test: fn(&Value) -> bool| value.as_object().is_some_and(|all| all.values().all(test));
    let texts = || value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    match shape {
        Shape::Text => value.is_string(),
        Shape::Flag => value.is_boolean(),
        Shape::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Shape::Texts => texts(),
        Shape::TextOrTexts => value.is_string() || texts(),
        Shape::TextOrFlag => value.is_string() || value.is_boolean(),
        Shape::TextsByName => by_name(Value::is_string),
        Shape::TextsOrFlagsByName => by_name(|it| it.is_string() || it == &Value::Bool(true)),
        Shape::Added if new => by_name(Value::is_object),
        Shape::Added => by_name(|it| it.is_object() || it.is_string()),
        Shape::Object => value.is_object(),
        Shape::Objects => value.as_array().is_some_and(|all| all.iter().all(Value::is_object)),
    }
}
