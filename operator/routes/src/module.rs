//! The Module `ambassador`: defaults for every Mapping (emissary.md §1.10).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proxy_config::model::{Access, Origin};
use serde_json::{Map, Value};

use crate::{
    dialect::Document,
    fields::{Fields, kind},
    ingress::range,
};

/// The settings of the installation; without a Module there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    config: Map<String, Value>,
    /// `ip_allow` and `ip_deny`: who may use the routes of Mappings.
    pub(crate) access: Option<Access>,
    /// What the user should know, in whole sentences.
    pub remarks: Vec<String>,
}

/// Keys that are acted on.
const SERVED: [&str; 21] = [
    "add_linkerd_headers",
    "circuit_breakers",
    "cluster_request_timeout_ms",
    "cors",
    "defaults",
    "error_response_overrides",
    "ip_allow",
    "ip_deny",
    "load_balancer",
    "resolver",
    "retry_policy",
    "strip_matching_host_port",
    "use_ambassador_namespace_for_service_resolution",
    "xff_num_trusted_hops",
    // Carried for the fields of Mappings of the same name, which say what becomes of them.
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "keepalive",
    // What the proxy does anyway.
    "envoy_validation_timeout",
    "prune_unreachable_routes",
    "regex_type",
    "regex_max_size",
];

/// Keys of which only one value would make a difference, and it is not this one.
const AS_SERVED: [(&str, bool); 10] = [
    ("enable_http10", true),
    ("enable_ipv4", true),
    ("enable_ipv6", false),
    ("merge_slashes", false),
    ("preserve_external_request_id", true),
    ("reject_requests_with_escaped_slashes", false),
    ("use_remote_address", true),
    ("enable_grpc_web", false),
    ("enable_grpc_http11_bridge", false),
    ("use_proxy_proto", false),
];

/// Fields of Mappings that have their default in `defaults`.
const IN_DEFAULTS: [&str; 5] = [
    "add_request_headers",
    "add_response_headers",
    "remove_request_headers",
    "remove_response_headers",
    "stats_name",
];

/// Fields of Mappings that have their default in a key of the same name.
const SAME_NAME: [&str; 9] = [
    "add_linkerd_headers",
    "circuit_breakers",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "cors",
    "error_response_overrides",
    "keepalive",
    "resolver",
    "retry_policy",
];

impl Module {
    /// Reads the one named `ambassador`. A value of the wrong type counts as absent, so that no mistake here takes
    /// every Mapping with it.
    ///
    /// # Errors
    /// Its `config` is no object.
    pub fn parse(document: &Document) -> Result<Self, String> {
        let spec = Fields::of(&document.spec, "spec")?;
        let Fields(given) = spec.object("config")?;
        let (mut config, mut remarks) = (Map::new(), Vec::new());
        let mut ignored = Vec::new();
        for (name, value) in given {
            match type_of(name) {
                _ if value.is_null() => {}
                Some((expected, fits)) if !fits(value) => {
                    remarks
                        .push(format!("`{name}` is {}, not {expected}, and counts as absent", kind(value)));
                }
                _ => {
                    let as_served =
                        AS_SERVED.iter().any(|(it, served)| it == name && value == &Value::Bool(*served));
                    if !SERVED.contains(&name.as_str()) && !as_served {
                        ignored.push(format!("`{name}`"));
                    }
                    config.insert(name.clone(), value.clone());
                }
            }
        }
        if !ignored.is_empty() {
            remarks.push(format!("not acted on: {}", ignored.join(", ")));
        }
        let access = access(&config, &mut remarks);
        Ok(Self { config, access, remarks })
    }

    /// The value of a Mapping's field where the Mapping has none.
    pub(crate) fn default_of(&self, field: &str) -> Option<&Value> {
        if IN_DEFAULTS.contains(&field) {
            let defaults = self.config.get("defaults")?;
            let of_mappings = defaults.get("httpmapping").and_then(|mappings| mappings.get(field));
            return of_mappings.or_else(|| defaults.get(field));
        }
        if field == "load_balancer" || SAME_NAME.contains(&field) {
            return self.config.get(field);
        }
        None
    }

    /// `cluster_request_timeout_ms`: `timeout_ms` of Mappings without their own.
    pub(crate) fn timeout_ms(&self) -> Option<u32> {
        self.config.get("cluster_request_timeout_ms").and_then(Value::as_u64)?.try_into().ok()
    }

    /// `strip_matching_host_port`: the listener's own port in the authority makes no difference.
    pub(crate) fn strips_port(&self) -> bool {
        self.config.get("strip_matching_host_port") == Some(&Value::Bool(true))
    }

    /// `use_ambassador_namespace_for_service_resolution`: names without a namespace are in the operator's own, as
    /// before Ambassador 1.0.
    pub(crate) fn resolves_at_home(&self) -> bool {
        self.config.get("use_ambassador_namespace_for_service_resolution") == Some(&Value::Bool(true))
    }

    /// `xff_num_trusted_hops`: proxies in front that are trusted, for Listeners without `l7Depth`.
    pub(crate) fn trusted_hops(&self) -> Option<u32> {
        self.config.get("xff_num_trusted_hops").and_then(Value::as_u64)?.try_into().ok()
    }
}

/// Who is let in. What cannot be read of those that are allowed lets nobody in.
fn access(config: &Map<String, Value>, remarks: &mut Vec<String>) -> Option<Access> {
    let mut origins = |key: &str| {
        let items = config.get(key)?.as_array()?;
        let mut read = Vec::new();
        for item in items {
            match origin(item) {
                Ok(origin) => read.push(origin),
                Err(problem) => remarks.push(format!("in `{key}`: {problem}")),
            }
        }
        Some(read)
    };
    let (allowed, denied) = (origins("ip_allow"), origins("ip_deny"));
    if allowed.is_none() && denied.is_none() {
        return None;
    }
    let mut denied = denied.unwrap_or_default();
    if allowed.as_ref().is_some_and(Vec::is_empty) {
        denied.extend([IpNet::from(Ipv4Net::default()), Ipv6Net::default().into()].map(Origin::Client));
    }
    Some(Access { allowed: allowed.unwrap_or_default(), denied, ..Access::default() })
}

/// `peer: RANGE` or `remote: RANGE`.
fn origin(item: &Value) -> Result<Origin, String> {
    let range = |whose: &str| item.get(whose).and_then(Value::as_str).map(range);
    match (range("peer"), range("remote")) {
        (Some(peer), None) => peer.map(Origin::Peer),
        (None, Some(remote)) => remote.map(Origin::Client),
        (Some(_), Some(_)) | (None, None) => {
            Err(format!("`{item}` has not one of `peer` and `remote`, with a range of addresses"))
        }
    }
}

/// A type in words and as a test.
type Expected = (&'static str, fn(&Value) -> bool);

/// What a key must be.
fn type_of(name: &str) -> Option<Expected> {
    Some(match name {
        "cors" | "defaults" | "keepalive" | "load_balancer" | "retry_policy" => {
            ("an object", Value::is_object)
        }
        "circuit_breakers" | "error_response_overrides" | "ip_allow" | "ip_deny" => {
            ("a list", Value::is_array)
        }
        "resolver" => ("a text", Value::is_string),
        "add_linkerd_headers"
        | "strip_matching_host_port"
        | "use_ambassador_namespace_for_service_resolution" => ("true or false", Value::is_boolean),
        "cluster_request_timeout_ms"
        | "cluster_idle_timeout_ms"
        | "cluster_max_connection_lifetime_ms"
        | "xff_num_trusted_hops" => ("a whole number from 0", Value::is_u64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Who is let in by these keys, and what is told.
    #[expect(clippy::needless_pass_by_value, reason = "the values of tables are written where they are used")]
    fn read(config: Value) -> (String, Vec<String>) {
        let mut remarks = Vec::new();
        let access = access(config.as_object().unwrap(), &mut remarks);
        let show = |origins: &[Origin]| {
            let origin = |origin: &Origin| match origin {
                Origin::Client(range) => format!("{range}"),
                Origin::Peer(range) => format!(">{range}"),
            };
            origins.iter().map(origin).collect::<Vec<_>>().join(" ")
        };
        let shown = access.map(|it| format!("+{} -{}", show(&it.allowed), show(&it.denied)));
        (shown.unwrap_or_else(|| "everybody".to_owned()), remarks)
    }

    #[test]
    fn addresses_read_as_the_table_says() {
        let table = [
            (json!({}), "everybody"),
            (
                json!({"ip_allow": [{"peer": "127.0.0.1"}, {"remote": "99.99.0.0/16"}]}),
                "+>127.0.0.1/32 99.99.0.0/16 -",
            ),
            (json!({"ip_deny": [{"remote": "99.98.0.0/16"}]}), "+ -99.98.0.0/16"),
            (json!({"ip_allow": []}), "+ -0.0.0.0/0 ::/0"),
        ];
        for (config, expected) in table {
            assert_eq!(read(config.clone()), (expected.to_owned(), Vec::new()), "{config}");
        }
        let (shown, remarks) = read(json!({"ip_allow": [{"peer": "office"}, {"source": "127.0.0.1"}]}));
        assert_eq!((shown.as_str(), remarks.len()), ("+ -0.0.0.0/0 ::/0", 2), "{remarks:?}");
    }
}
