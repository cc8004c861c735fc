//! What a proxy can do beyond contract 1, by the names in its `Hello`, and what one gets that cannot do everything.
//!
//! A route that would do something else without a feature is answered with 500 by a proxy that lacks it; one that would
//! only do less (no copies, no retries, another balance) is served without.

use std::{collections::BTreeSet, sync::Arc};

use crate::model::{
    Action, Change, Cluster, Config, Filters, HeaderEdit, HostMatch, HostRewrite, PathMatch, Protocol,
    Refusal, Rewrite, Route, Upgrades, UpstreamProtocol,
};

/// Its reports name the pods that drain, with their requests. Of a proxy without it nobody knows when a pod has
/// none any more.
pub const POD_LOADS: &str = "pod_loads";
/// It sends copies of requests to mirrors.
pub const MIRRORS: &str = "mirrors";
/// It answers with redirects.
pub const REDIRECTS: &str = "redirects";
/// It changes headers of requests and responses.
pub const HEADER_EDITS: &str = "header_edits";
/// It rewrites paths by regular expressions.
pub const REGEX_REWRITES: &str = "regex_rewrites";
/// It rewrites hosts to the endpoint's name.
pub const ENDPOINT_HOSTS: &str = "endpoint_hosts";
/// It matches paths by their elements.
pub const PATH_ELEMENTS: &str = "path_elements";
/// It has routes that are for some listeners only.
pub const ROUTE_LISTENERS: &str = "route_listeners";
/// It sends requests of single routes to `https`.
pub const TO_HTTPS: &str = "to_https";
/// It matches hosts by one more label.
pub const HOST_LABELS: &str = "host_labels";
/// It answers for pages of other origins.
pub const CORS: &str = "cors";
/// It tries again by a route's own policy.
pub const RETRIES: &str = "retries";
/// It replaces the text of errors.
pub const ERROR_RESPONSES: &str = "error_responses";
/// It refuses protocols that a route does not allow.
pub const UPGRADES: &str = "upgrades";
/// It lets in whom a route names only.
pub const ACCESS: &str = "access";
/// It asks a service about requests before they go on.
pub const AUTHORIZATION: &str = "authorization";
/// It counts what each client has of a route.
pub const CLIENT_LIMITS: &str = "client_limits";
/// It refuses bodies that are too long.
pub const BODY_LIMITS: &str = "body_limits";
/// It ends exchanges that take too long as a whole.
pub const TOTAL_TIMEOUTS: &str = "total_timeouts";
/// It has listeners that speak TLS, certificates and hosts.
pub const TLS: &str = "tls";
/// It validates certificates of clients.
pub const CLIENT_CERTIFICATES: &str = "client_certificates";
/// It speaks TLS to endpoints.
pub const UPSTREAM_TLS: &str = "upstream_tls";
/// It speaks HTTP/2 to endpoints.
pub const HTTP2: &str = "http2";
/// It carries connections that it does not look into.
pub const TCP: &str = "tcp";
/// It carries datagrams.
pub const UDP: &str = "udp";
/// It learns from its peers who its clients are.
pub const PROXY_PROTOCOL: &str = "proxy_protocol";
/// It balances by other rules than the less loaded of two.
pub const BALANCING: &str = "balancing";
/// It prefers endpoints of its own zone.
pub const ZONES: &str = "zones";
/// It gives new endpoints their share bit by bit.
pub const SLOW_START: &str = "slow_start";
/// It limits what it has with a cluster.
pub const LIMITS: &str = "limits";
/// It leaves out endpoints that fail.
pub const OUTLIERS: &str = "outliers";
/// It asks endpoints whether they can take requests.
pub const HEALTH_CHECKS: &str = "health_checks";

/// All that this version of the project knows.
const ALL: &[&str] = &[
    POD_LOADS,
    MIRRORS,
    REDIRECTS,
    HEADER_EDITS,
    REGEX_REWRITES,
    ENDPOINT_HOSTS,
    PATH_ELEMENTS,
    ROUTE_LISTENERS,
    TO_HTTPS,
    HOST_LABELS,
    CORS,
    RETRIES,
    ERROR_RESPONSES,
    UPGRADES,
    ACCESS,
    AUTHORIZATION,
    CLIENT_LIMITS,
    BODY_LIMITS,
    TOTAL_TIMEOUTS,
    TLS,
    CLIENT_CERTIFICATES,
    UPSTREAM_TLS,
    HTTP2,
    TCP,
    UDP,
    PROXY_PROTOCOL,
    BALANCING,
    ZONES,
    SLOW_START,
    LIMITS,
    OUTLIERS,
    HEALTH_CHECKS,
];

/// What the proxy of this version of the project can do: all that its `Hello` names.
pub const SERVED: &[&str] = &[
    POD_LOADS,
    MIRRORS,
    REDIRECTS,
    HEADER_EDITS,
    REGEX_REWRITES,
    ENDPOINT_HOSTS,
    PATH_ELEMENTS,
    ROUTE_LISTENERS,
    TO_HTTPS,
    HOST_LABELS,
    CORS,
    RETRIES,
    ERROR_RESPONSES,
    UPGRADES,
    ACCESS,
    AUTHORIZATION,
    CLIENT_LIMITS,
    BODY_LIMITS,
    TOTAL_TIMEOUTS,
    TLS,
    CLIENT_CERTIFICATES,
    UPSTREAM_TLS,
    HTTP2,
    TCP,
    UDP,
    PROXY_PROTOCOL,
    BALANCING,
    ZONES,
    SLOW_START,
    LIMITS,
    OUTLIERS,
    HEALTH_CHECKS,
];

/// Why a route is refused by a proxy that lacks a feature.
const REASON: &str = "unsupported";

/// The features of one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(BTreeSet<String>);

impl Features {
    /// Whether the proxy can do it.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.0.contains(feature)
    }

    /// Whether the proxy can do all that this version of the project knows, so that nothing has to be adapted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        ALL.iter().all(|it| self.has(it))
    }

    /// The first feature without which the route would do something else, if the proxy lacks one.
    #[must_use]
    pub fn missing(&self, route: &Route, config: &Config) -> Option<&'static str> {
        needed(route, config).into_iter().find(|it| !self.has(it))
    }

    /// The changes that led to `config`, as the proxy can take them.
    #[must_use]
    pub fn adapt(&self, mut changes: Vec<Change>, config: &Config) -> Vec<Change> {
        let clusters: BTreeSet<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Cluster(cluster) => Some(cluster.id.clone()),
                _ => None,
            })
            .collect();
        // Whether a route can be served depends on its clusters: it may be another one by their changes alone.
        let known: BTreeSet<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Route(route) => Some(route.id.clone()),
                _ => None,
            })
            .collect();
        let touched = |route: &Route| {
            let asked = route.authorization().is_some_and(|it| clusters.contains(&it.cluster));
            asked
                || match &route.action {
                    Action::Split(split) => split.arms.iter().any(|arm| clusters.contains(&arm.cluster)),
                    Action::Refuse(_) | Action::Redirect(_) => false,
                }
        };
        let others =
            config.routes.values().filter(|route| touched(route) && !known.contains(&route.id)).cloned();
        let others: Vec<_> = others.map(Change::Route).collect();
        changes.extend(others);
        changes.iter().filter_map(|change| self.adapt_one(change, config)).collect()
    }

    /// `None`: the proxy knows no such thing.
    fn adapt_one(&self, change: &Change, config: &Config) -> Option<Change> {
        let change = match change {
            Change::Route(route) if self.missing(route, config).is_some() => {
                Change::Route(Arc::new(refused(route)))
            }
            Change::Cluster(cluster) if cluster_needs(cluster).any(|it| !self.has(it)) => {
                // Whoever speaks another way to its endpoints must not speak to them.
                Change::Cluster(Arc::new(Cluster { endpoints: Vec::new(), ..Cluster::clone(cluster) }))
            }
            // Whoever takes the header for a request has an answer to it.
            Change::Listener(listener) if listener.proxy_protocol.is_some() && !self.has(PROXY_PROTOCOL) => {
                return None;
            }
            Change::Listener(listener) => match listener.protocol {
                Protocol::Https if !self.has(TLS) => return None,
                Protocol::Tcp if !self.has(TCP) => return None,
                Protocol::Udp if !self.has(UDP) => return None,
                Protocol::Http | Protocol::Https | Protocol::Tcp | Protocol::Udp => change.clone(),
            },
            Change::Certificate(_) if !self.has(TLS) => return None,
            Change::Host(host) => {
                let validates = host.tls.as_ref().is_some_and(|it| it.client.is_some());
                if !self.has(TLS) || validates && !self.has(CLIENT_CERTIFICATES) {
                    return None;
                }
                change.clone()
            }
            Change::TcpRoute(_) if !self.has(TCP) => return None,
            Change::Removed(key) => match key {
                crate::model::Key::Certificate(_) | crate::model::Key::Host(_) if !self.has(TLS) => {
                    return None;
                }
                crate::model::Key::TcpRoute(_) if !self.has(TCP) => return None,
                _ => change.clone(),
            },
            Change::Route(_) | Change::Cluster(_) | Change::Certificate(_) | Change::TcpRoute(_) => {
                change.clone()
            }
        };
        Some(change)
    }
}

impl<T: Into<String>> FromIterator<T> for Features {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// The same requests, answered with 500.
fn refused(route: &Route) -> Route {
    Route {
        action: Action::Refuse(Refusal { status: 500, reason: REASON.to_owned() }),
        filters: Filters::default(),
        listeners: Vec::new(),
        to_https: None,
        // The nearest that every proxy knows, as with the path.
        host: match &route.host {
            HostMatch::Label(text) => HostMatch::Suffix(text.clone()),
            _ => route.host.clone(),
        },
        path: match &route.path {
            // The nearest that every proxy knows: more requests are refused rather than served as something else.
            PathMatch::Elements(text) => PathMatch::Prefix(text.clone()),
            PathMatch::Prefix(_) | PathMatch::Exact(_) | PathMatch::Regex(_) => route.path.clone(),
        },
        ..route.clone()
    }
}

/// The features without which a route would do something else.
fn needed(route: &Route, config: &Config) -> Vec<&'static str> {
    let mut needed = Vec::new();
    let mut need = |wanted: bool, feature| {
        if wanted {
            needed.push(feature);
        }
    };
    let Filters {
        request_headers,
        response_headers,
        cors,
        retry: _,
        errors: _,
        upgrades,
        access,
        clients,
        max_body_bytes,
    } = &route.filters;
    let edits = |request: &[HeaderEdit], response: &[HeaderEdit]| !request.is_empty() || !response.is_empty();
    need(!route.listeners.is_empty(), ROUTE_LISTENERS);
    need(route.to_https.is_some(), TO_HTTPS);
    need(matches!(route.host, HostMatch::Label(_)), HOST_LABELS);
    need(matches!(route.path, PathMatch::Elements(_)), PATH_ELEMENTS);
    need(edits(request_headers, response_headers), HEADER_EDITS);
    need(cors.is_some(), CORS);
    need(*upgrades != Upgrades::Any, UPGRADES);
    need(access.is_some(), ACCESS);
    need(route.authorization().is_some(), AUTHORIZATION);
    let asked = route.authorization().and_then(|it| config.clusters.get(&it.cluster));
    for feature in asked.into_iter().flat_map(|it| cluster_needs(it)) {
        need(true, feature);
    }
    need(clients.is_some(), CLIENT_LIMITS);
    need(max_body_bytes.is_some(), BODY_LIMITS);
    match &route.action {
        Action::Refuse(_) => {}
        Action::Redirect(redirect) => {
            need(true, REDIRECTS);
            need(matches!(redirect.path, Rewrite::Regex(_)), REGEX_REWRITES);
        }
        Action::Split(split) => {
            for arm in &split.arms {
                need(edits(&arm.request_headers, &arm.response_headers), HEADER_EDITS);
                need(matches!(arm.rewrite, Rewrite::Regex(_)), REGEX_REWRITES);
                need(arm.host_rewrite == HostRewrite::Endpoint, ENDPOINT_HOSTS);
                for feature in config.clusters.get(&arm.cluster).into_iter().flat_map(|it| cluster_needs(it))
                {
                    need(true, feature);
                }
            }
        }
    }
    needed
}

fn cluster_needs(cluster: &Cluster) -> impl Iterator<Item = &'static str> {
    let tls = cluster.tls.is_some().then_some(UPSTREAM_TLS);
    let http2 = (cluster.protocol == UpstreamProtocol::Http2).then_some(HTTP2);
    tls.into_iter().chain(http2)
}

#[cfg(test)]
mod tests;
