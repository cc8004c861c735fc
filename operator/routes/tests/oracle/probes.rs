//! Requests with what becomes of them.

use std::collections::BTreeMap;

use operator_routes::{
    Compat, Compiled,
    explain::{Answer, Outcome, Request, What, explain},
};
use proxy_config::model::{Address, ClusterId, HostRewrite};
use serde_json::Value;

use crate::row::Row;

/// What becomes of which part of the requests, in percent.
type Outcomes = BTreeMap<String, f64>;

/// Compares every probe of a row.
pub(crate) fn check(row: &Row, compat: Compat) -> Result<(), String> {
    let compiler = row.compile(compat);
    for probe in row.column("probes").as_array().into_iter().flatten() {
        let theirs = expected(row, &probe["outcome"]);
        let ours = answered(row, compiler.compiled(), &probe["request"]);
        let tolerance = tolerance(row, compat);
        let share = |of: &Outcomes, what: &String| of.get(what).copied().unwrap_or_default();
        let mut all = theirs.keys().chain(ours.keys());
        let same = all.all(|what| (share(&ours, what) - share(&theirs, what)).abs() <= tolerance);
        if !same {
            return Err(format!("{}\n    ours   {ours:?}\n    theirs {theirs:?}", probe["request"]));
        }
    }
    Ok(())
}

/// By default a remainder is divided exactly; Emissary rounds each part of it to a whole percent.
fn tolerance(row: &Row, compat: Compat) -> f64 {
    match compat {
        Compat::Strict => 0.005,
        Compat::Ideal => {
            let mappings = row.column("groups").as_array().into_iter().flatten();
            let longest = mappings.filter_map(|group| Some(group["members"].as_array()?.len())).max();
            f64::from(u32::try_from(longest.unwrap_or(0)).unwrap_or(0)).max(1.0) - 0.995
        }
    }
}

fn expected(row: &Row, outcomes: &Value) -> Outcomes {
    let mut expected = Outcomes::new();
    for outcome in outcomes.as_array().into_iter().flatten() {
        let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
        let what = match text("action").as_str() {
            "forward" => {
                let host = text("host");
                let host = if host.is_empty() { host } else { format!(" host {host}") };
                format!("{} {}{host}", qualified(row, &text("service")), text("path"))
            }
            "redirect" => format!("{} {}", outcome["code"], qualified_location(row, &text("location"))),
            other => other.to_owned(),
        };
        *expected.entry(what).or_default() += outcome["share"].as_f64().unwrap_or_default();
    }
    expected
}

/// A service with its namespace, which Emissary leaves out where it is its own.
pub(crate) fn qualified(row: &Row, service: &str) -> String {
    let (scheme, rest) = service
        .split_once("://")
        .map_or((String::new(), service), |(scheme, rest)| (format!("{scheme}://"), rest));
    if rest.starts_with("k8s/") || rest.starts_with('[') {
        return service.to_owned();
    }
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let host = host.to_ascii_lowercase();
    let host = host.trim_end_matches(".cluster.local").trim_end_matches(".svc");
    if host.contains('.') || host == "localhost" {
        format!("{scheme}{host}:{port}")
    } else {
        format!("{scheme}{host}.{}:{port}", row.own_namespace())
    }
}

/// A location whose host is a name of Emissary's own namespace, with that.
fn qualified_location(row: &Row, location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else { return location.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (name, port) =
        host.split_once(':').map_or((host, String::new()), |(name, port)| (name, format!(":{port}")));
    let name = if name.contains('.') { name.to_owned() } else { format!("{name}.{}", row.own_namespace()) };
    format!("{scheme}://{name}{port}{path}")
}

fn answered(row: &Row, compiled: &Compiled, request: &Value) -> Outcomes {
    let headers = request["headers"].as_object().into_iter().flatten();
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let answer = explain(
        compiled,
        &Request {
            port: u16::try_from(request["port"].as_u64().expect("a request has a port")).expect("a port"),
            tls: request["tls"] == Value::Bool(true),
            authority: request["host"].as_str().unwrap_or_default(),
            method: request["method"].as_str().unwrap_or("GET"),
            target: request["path"].as_str().unwrap_or_default(),
            headers: &headers,
        },
    );
    let whole = |what: &str| Outcomes::from([(what.to_owned(), 100.0)]);
    match answer {
        Answer::NoPort | Answer::NoChain => whole("no_listener_chain"),
        Answer::NoHost => whole("no_route"),
        Answer::Host(_, outcomes) => {
            let mut answered = Outcomes::new();
            for Outcome { parts, what } in outcomes {
                *answered.entry(show(row, compiled, &what)).or_default() += f64::from(parts) / 100.0;
            }
            answered
        }
    }
}

fn show(row: &Row, compiled: &Compiled, what: &What) -> String {
    match what {
        What::NoRoute => "no_route".to_owned(),
        What::Refused { status, reason, .. } => format!("refused {status} {reason}"),
        What::Redirected { status, location, .. } => format!("{status} {location}"),
        What::Forwarded { cluster, target, host, .. } => {
            let host = match host {
                HostRewrite::Keep => String::new(),
                HostRewrite::Literal(host) => format!(" host {host}"),
                HostRewrite::Endpoint => " host (auto)".to_owned(),
            };
            format!("{} {target}{host}", service(row, compiled, cluster))
        }
    }
}

/// Where a cluster goes, as Emissary writes it.
pub(crate) fn service(row: &Row, compiled: &Compiled, cluster: &ClusterId) -> String {
    let Some(cluster) = compiled.config.clusters.get(cluster) else { return "nowhere".to_owned() };
    let Some(endpoint) = cluster.endpoints.first() else { return format!("nobody at {}", cluster.id) };
    let (host, port) = match &endpoint.address {
        Address::Name { host, port } => (host.clone(), *port),
        Address::Socket(socket) if socket.is_ipv6() => (format!("[{}]", socket.ip()), socket.port()),
        Address::Socket(socket) => (socket.ip().to_string(), socket.port()),
    };
    if cluster.id.as_str().starts_with("endpoint ") {
        let (name, namespace) = host.split_once('.').unwrap_or((&host, ""));
        return format!("k8s/{namespace}/{name}/{port}");
    }
    let scheme = if cluster.tls.is_some() { "https://" } else { "" };
    qualified(row, &format!("{scheme}{host}:{port}"))
}
