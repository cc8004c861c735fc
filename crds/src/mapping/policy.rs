//! Parts of a Mapping that the Module and `TCPMapping` use too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shapes::{Extra, StringOrList};

/// Substitution of what an RE2 expression finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RegexRewrite {
    /// The expression.
    #[serde(default)]
    pub pattern: String,
    /// The text in its place, with `\1` for groups.
    #[serde(default)]
    pub substitution: String,
}

/// When a request is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RetryPolicy {
    /// One of `5xx`, `gateway-error`, `connect-failure`, `retriable-4xx`, `refused-stream`,
    /// `retriable-status-codes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,
    /// Tries after the first; absent = 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_retries: Option<i64>,
    /// Time for each try, such as `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Limits of one proxy towards a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CircuitBreaker {
    /// `default` (absent means the same) or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Connections; absent = 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Requests that wait for a connection; absent = 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<i64>,
    /// Requests at the same time; absent = 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<i64>,
    /// Retries at the same time; absent = 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// TCP keep-alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct KeepAlive {
    /// Probes without an answer before the connection is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<i64>,
    /// Seconds of silence before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_time: Option<i64>,
    /// Older name of `idle_time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// Seconds between probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How endpoints are chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct LoadBalancer {
    /// `round_robin`, `least_request`, `ring_hash` or `maglev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Hash this cookie. `ring_hash` and `maglev` need exactly one of the three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<LoadBalancerCookie>,
    /// Hash this header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Hash the client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<bool>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The cookie of a [`LoadBalancer`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct LoadBalancerCookie {
    /// Name of the cookie.
    pub name: String,
    /// Path of the cookie that the proxy sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Life of the cookie that the proxy sets, such as `60s`; absent = it sets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// Cross-origin rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Cors {
    /// Origins that may ask; `*` = any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<StringOrList>,
    /// Methods that may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<StringOrList>,
    /// Headers that may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<StringOrList>,
    /// Cookies may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<bool>,
    /// Headers that scripts may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_headers: Option<StringOrList>,
    /// Seconds an answer may be remembered, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Other fields, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}
