//! `Mapping` (`getambassador.io`): one route, of all API versions.
//!
//! v1, v2 and v3alpha1 differ in shapes, not in meaning (`host` became `hostname`, texts became lists …), so one
//! type takes them all and keeps what was written; [`shapes`](crate::shapes) has the shapes. What the fields mean is decided where
//! routes are compiled.

pub mod policy;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::policy::{
    CircuitBreaker, Cors, KeepAlive, LoadBalancer, LoadBalancerCookie, RegexRewrite, RetryPolicy,
};
use crate::go_json;
use crate::shapes::{AddedHeader, BoolOrString, Extra, StringOrList};

/// What a route matches, where it sends, and what it changes on the way.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Mapping",
    plural = "mappings",
    category = "ambassador-crds",
    namespaced,
    status = "MappingStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A route from a host and a path prefix to a Service.",
    printcolumn = r#"{"name":"Source Host","type":"string","jsonPath":".spec.host"}"#,
    printcolumn = r#"{"name":"Source Prefix","type":"string","jsonPath":".spec.prefix"}"#,
    printcolumn = r#"{"name":"Dest Service","type":"string","jsonPath":".spec.service"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#
)]
pub struct MappingSpec {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,

    // --- what it matches ---
    /// How the path begins, as plain text: `/a` matches `/ab`.
    #[schemars(length(min = 1))]
    pub prefix: String,
    /// `prefix` is an RE2 expression for the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_regex: Option<bool>,
    /// `prefix` is the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_exact: Option<bool>,
    /// Whether the case of the path counts; absent = yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
    /// Host name with at most one `*`, at the beginning or the end. Wins over `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Exact host, or an RE2 expression with `host_regex`. Older form of `hostname`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `host` is an RE2 expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_regex: Option<bool>,
    /// Method, in its exact case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `method` is an RE2 expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method_regex: Option<bool>,
    /// Values that headers must have; `true` = the header is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, BoolOrString>>,
    /// RE2 expressions for the whole values of headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_headers: Option<BTreeMap<String, String>>,
    /// Values that query parameters must have; `true` = the parameter is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_parameters: Option<BTreeMap<String, BoolOrString>>,
    /// RE2 expressions for the whole values of query parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_query_parameters: Option<BTreeMap<String, String>>,
    /// Higher ones are tried first; absent = 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,

    // --- where it sends ---
    /// `[scheme://]name[.namespace][:port]`.
    #[schemars(length(min = 1))]
    pub service: String,
    /// Percent of the requests of all Mappings that match the same; absent = a share of what the others leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub weight: Option<i64>,
    /// Who resolves `service`: `kubernetes-service`, `endpoint`, or the name of a resolver object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// How endpoints are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Send TLS: the name of a `TLSContext`, or `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<BoolOrString>,
    /// Send HTTP/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<bool>,
    /// Separate connections and figures for the same Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Name in figures; absent = from `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// `strict_dns` or `logical_dns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_type: Option<String>,
    /// Resolve again when the DNS answer expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respect_dns_ttl: Option<bool>,
    /// Use IPv4 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Copy requests there, and drop the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,

    // --- redirects instead of sending ---
    /// Answer with a redirect to the host in `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_redirect: Option<bool>,
    /// Path of the redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_redirect: Option<String>,
    /// What replaces the prefix in the redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_redirect: Option<String>,
    /// Path of the redirect by substitution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_redirect: Option<RegexRewrite>,
    /// 301 (absent means the same), 302, 303, 307 or 308.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub redirect_response_code: Option<i64>,

    // --- what it changes ---
    /// What replaces the prefix; absent = `/`, empty = nothing is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Rewrites the path by substitution; wins over `rewrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_rewrite: Option<RegexRewrite>,
    /// Host that the Service sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// The Service sees its own DNS name as host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_host_rewrite: Option<bool>,
    /// Headers to add to requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers to add to responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers to remove from requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_request_headers: Option<StringOrList>,
    /// Headers to remove from responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_response_headers: Option<StringOrList>,
    /// Add the header by which linkerd knows the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_linkerd_headers: Option<bool>,
    /// Cross-origin rules; preflight requests are answered by the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,

    // --- how long, how often ---
    /// Milliseconds for the whole response, retries included; absent = 3000, 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    /// Milliseconds without a byte in either direction; 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<i64>,
    /// Milliseconds to connect; absent = 3000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<i64>,
    /// Milliseconds after which an idle connection to the Service is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_idle_timeout_ms: Option<i64>,
    /// Milliseconds after which any connection to the Service is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_max_connection_lifetime_ms: Option<i64>,
    /// When a request is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Limits a proxy keeps towards the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breakers: Option<Vec<CircuitBreaker>>,
    /// TCP keep-alive towards the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<KeepAlive>,
    /// `default` or `high`: which circuit breaker counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Active checks of endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_objects")]
    pub health_checks: Option<Vec<Value>>,

    // --- protocols and services beside it ---
    /// Protocols a connection may be upgraded to, such as `websocket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_upgrade: Option<Vec<String>>,
    /// Older form of `allow_upgrade: [websocket]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_websocket: Option<bool>,
    /// The auth service is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass_auth: Option<bool>,
    /// What the auth service is told in addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_context_extensions: Option<BTreeMap<String, String>>,
    /// Labels for rate limiting, by domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_value")]
    pub labels: Option<Value>,
    /// Responses in place of the Service's errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_objects")]
    pub error_response_overrides: Option<Vec<Value>>,
    /// No [`error_response_overrides`](Self::error_response_overrides), also not those of the Module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass_error_response_overrides: Option<bool>,
    /// When an endpoint that fails is left out for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_value")]
    pub outlier_detection: Option<Value>,
    /// Documentation of the API behind the route; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_value")]
    pub docs: Option<Value>,

    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether the Mapping is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct MappingStatus {
    /// `Running`, `Inactive`, or absent.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is not in use, or what in it is not done.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of which generation this is said.
    #[serde(rename = "observedGeneration", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_of_a_mapping_is_a_faithful_one() {
        let spec = json!({
            "ambassador_id": "edge",
            "prefix": "/a/",
            "service": "a:80",
            "tls": true,
            "headers": {"x-a": true, "x-b": "c"},
            "add_request_headers": {"x-a": "b", "x-c": {"value": "d", "append": false}},
            "remove_request_headers": "x-e",
            "cors": {"origins": "a,b", "unknown": 1},
            "labels": {"ambassador": [{"group": ["remote_address"]}]},
            "unknown": {"a": [1, null]},
        });
        let read: MappingSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), spec);
    }

    #[test]
    fn a_mapping_in_an_annotation_has_its_fields_beside_kind_and_name() {
        let document = json!({
            "apiVersion": "ambassador/v0",
            "kind": "Mapping",
            "name": "models",
            "prefix": "/models/test/",
            "rewrite": "/model/test/:predict",
            "method": "POST",
            "service": "test.kubeflow:8000",
        });
        let spec: MappingSpec = serde_json::from_value(document).unwrap();
        assert_eq!(spec.method.as_deref(), Some("POST"));
        assert_eq!(spec.extra.keys().collect::<Vec<_>>(), ["apiVersion", "kind", "name"]);
    }

    #[test]
    fn a_wrong_type_is_named() {
        let error =
            serde_json::from_value::<MappingSpec>(json!({"prefix": "/", "service": "a", "weight": "5"}));
        assert_eq!(error.unwrap_err().to_string(), "invalid type: string \"5\", expected i64");
    }
}
