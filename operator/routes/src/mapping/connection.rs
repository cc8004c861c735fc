//! How connections to a Service are made, and how requests are spread over them.

use std::fmt::Write as _;

use proxy_config::model::{BalancePolicy, HashCookie, HashKey, HealthCheck, Limits, Outliers};
use serde_json::Value;

use super::{health, outliers, parse::Reader};
use crate::{
    duration::milliseconds,
    fields::{Fields, kind},
};

const CONNECT_TIMEOUT_MS: u32 = 3_000;
/// Places on a ring where nobody says how many.
const RING: u32 = 1024;

/// Mappings to one Service with equal ones share its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `connect_timeout_ms`.
    pub connect_timeout_ms: u32,
    /// `grpc`: HTTP/2.
    pub http2: bool,
    /// `tls`: the name of a `TLSContext`, as written.
    pub tls_context: Option<String>,
    /// `cluster_tag`: connections of its own.
    pub tag: String,
    /// `load_balancer`; `None`: none is written.
    pub balance: Option<BalancePolicy>,
    /// `circuit_breakers`, of the Mapping's `priority`.
    pub limits: Limits,
    /// `outlier_detection`.
    pub outliers: Outliers,
    /// `health_checks`, of backends that are pods.
    pub checks: Vec<HealthCheck>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            http2: false,
            tls_context: None,
            tag: String::new(),
            balance: None,
            limits: Limits::default(),
            outliers: Outliers::default(),
            checks: Vec::new(),
        }
    }
}

impl Connection {
    /// The same text for the same settings, another one for others.
    #[must_use]
    pub fn id(&self) -> String {
        let Self { connect_timeout_ms, http2, tls_context, tag, balance, limits, outliers, checks } = self;
        let mut id = format!("connect={connect_timeout_ms}");
        if *http2 {
            id.push_str(" http2");
        }
        if let Some(context) = tls_context {
            let _ = write!(id, " tls={context:?}");
        }
        if !tag.is_empty() {
            let _ = write!(id, " tag={tag:?}");
        }
        if let Some(balance) = balance {
            let _ = write!(id, " balance={balance:?}");
        }
        if *limits != Limits::default() {
            let _ = write!(id, " {limits:?}");
        }
        if *outliers != Outliers::default() {
            let _ = write!(id, " {outliers:?}");
        }
        if !checks.is_empty() {
            let _ = write!(id, " {checks:?}");
        }
        id
    }
}

pub(super) fn connection(reader: &Reader<'_>, remarks: &mut Vec<String>) -> Result<Connection, String> {
    let fields = &reader.fields;
    let connect_timeout_ms = match fields.milliseconds("connect_timeout_ms", CONNECT_TIMEOUT_MS)? {
        0 => return Err("`connect_timeout_ms` is 0: no connection could ever be made".to_owned()),
        milliseconds => milliseconds,
    };
    let tls_context = match fields.value("tls") {
        None | Some(Value::Bool(_)) => None,
        Some(Value::String(context)) => Some(context.clone()).filter(|context| !context.is_empty()),
        Some(other) => return Err(format!("`tls` is {}, not the name of a TLSContext", kind(other))),
    };
    let http2 = fields.flag("grpc")?.unwrap_or(false);
    let priority = match fields.text("priority")?.as_deref() {
        None | Some("" | "default") => "default",
        Some("high") => "high",
        Some(other) => return Err(format!("`priority` is `{other}`, not default or high")),
    };
    Ok(Connection {
        connect_timeout_ms,
        http2,
        tls_context,
        tag: fields.text("cluster_tag")?.unwrap_or_default(),
        balance: balance(reader)?,
        limits: limits(reader.value("circuit_breakers"), priority)?,
        outliers: outliers::outliers(fields, remarks)?,
        checks: health::checks(reader, http2, remarks),
    })
}

/// `load_balancer`: `ring_hash` and `maglev` have exactly one thing that is hashed, the others none.
fn balance(reader: &Reader<'_>) -> Result<Option<BalancePolicy>, String> {
    let Some(balancer) = reader.value("load_balancer") else { return Ok(None) };
    let balancer = Fields::of(balancer, "load_balancer")?;
    let within = |error: String| format!("in `load_balancer`: {error}");
    let mut keys = Vec::new();
    if let Some(header) = balancer.text("header").map_err(within)?.filter(|header| !header.is_empty()) {
        keys.push(HashKey::Header(header.to_ascii_lowercase()));
    }
    if balancer.flag("source_ip").map_err(within)? == Some(true) {
        keys.push(HashKey::SourceIp);
    }
    if balancer.value("cookie").is_some() {
        let cookie = balancer.object("cookie").map_err(within)?;
        let name = cookie.text("name").map_err(within)?.filter(|name| !name.is_empty());
        let ttl = cookie.text("ttl").map_err(within)?;
        let ttl = ttl.map(|ttl| milliseconds(&ttl)).transpose().map_err(within)?;
        keys.push(HashKey::Cookie(HashCookie {
            name: name.ok_or("`load_balancer.cookie.name` is missing")?,
            ttl_s: ttl.map(|ttl| ttl.div_ceil(1000)),
            path: cookie.text("path").map_err(within)?.filter(|path| !path.is_empty()),
        }));
    }
    let policy = balancer.text("policy").map_err(within)?.unwrap_or_default();
    let plain = |policy: BalancePolicy, keys: &[HashKey]| {
        if keys.is_empty() {
            Ok(policy)
        } else {
            Err("it hashes nothing, so `cookie`, `header` and `source_ip` have no place")
        }
    };
    let one = |mut keys: Vec<HashKey>| {
        keys.pop()
            .filter(|_| keys.is_empty())
            .ok_or("it needs exactly one of `cookie`, `header` and `source_ip`")
    };
    let read = match policy.as_str() {
        "round_robin" => plain(BalancePolicy::RoundRobin, &keys),
        "least_request" => plain(BalancePolicy::LeastRequest, &keys),
        "ring_hash" => one(keys).map(|key| BalancePolicy::RingHash(key, RING)),
        "maglev" => one(keys).map(BalancePolicy::Maglev),
        _ => Err("it is not round_robin, least_request, ring_hash or maglev"),
    };
    read.map(Some).map_err(|reason| format!("`load_balancer.policy` is `{policy}`: {reason}"))
}

/// `circuit_breakers`: the entry for this `priority`. What an entry leaves open is as in Envoy.
pub(crate) fn limits(breakers: Option<&Value>, priority: &str) -> Result<Limits, String> {
    let items = match breakers {
        None => return Ok(Limits::default()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(format!("`circuit_breakers` is {}, not a list", kind(other))),
    };
    let within = |error: String| format!("in `circuit_breakers`: {error}");
    let mut limits = Limits::default();
    for item in items {
        let item = Fields::of(item, "circuit_breakers")?;
        let own = item.text("priority").map_err(within)?.filter(|own| !own.is_empty());
        let own = own.unwrap_or_else(|| "default".to_owned()).to_ascii_lowercase();
        if !["default", "high"].contains(&own.as_str()) {
            return Err(format!("`circuit_breakers.priority` is `{own}`, not default or high"));
        }
        let number = |field, default| -> Result<Option<u32>, String> {
            Ok(Some(item.number(field, 0, u32::MAX).map_err(within)?.unwrap_or(default)))
        };
        let read = Limits {
            connections: number("max_connections", 1024)?,
            pending: number("max_pending_requests", 1024)?,
            requests: number("max_requests", 1024)?,
            retries: number("max_retries", 3)?,
        };
        if own == priority {
            limits = read;
        }
    }
    Ok(limits)
}
