//! What becomes of a request, as the compiler explains it and as the proxies do it.
//!
//! A request is `METHOD [scheme://host[:port]]/path [| header: value]…`, at `shop.test` and in the clear where nothing else is
//! written. Its outcome is `SERVICE PATH`, perhaps `as HOST`, and `| header: value, value; …` where headers are edited; several
//! with `NN% ` before each, then the headers by each arm; `STATUS LOCATION` or `STATUS reason`.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use operator_routes::{
    Compiled,
    explain::{Answer, Outcome, Request, What, explain},
};
use proxy_config::model::{self, Address, ClusterId, Scheme};
use proxy_core::{
    admission::{Entered, Instead},
    forward::Sender,
    path::normalize,
    rewrite::Asked,
    router::RequestHead,
    snapshot::{Action, Arm, Builder, HostRewrite, Rule, Snapshot},
};

/// How many requests are drawn.
const DRAWN: u32 = 10_000;
/// Names of Services are of this namespace where they name none.
const HOME: &str = ".default";

/// Proxies that have what was compiled.
pub(crate) struct Proxies<'c> {
    compiled: &'c Compiled,
    snapshot: Arc<Snapshot>,
}

/// A request, taken apart.
struct Parts<'r> {
    method: &'r str,
    scheme: Scheme,
    port: u16,
    authority: String,
    path: String,
    query: Option<&'r str>,
    headers: Vec<(String, String)>,
}

impl<'c> Proxies<'c> {
    pub(crate) fn new(compiled: &'c Compiled) -> Self {
        let config = Arc::new(compiled.config.clone());
        let problems = proxy_config::validate::validate(&config);
        assert!(problems.is_empty(), "the proxies would refuse it: {problems:?}");
        let snapshot = Builder::default().build(config, || 1).expect("it was validated");
        Self { compiled, snapshot }
    }

    /// The outcome; an error where the two disagree.
    pub(crate) fn ask(&mut self, request: &str) -> Result<String, String> {
        let parts = Parts::new(request).ok_or("this is no request")?;
        let explained = match self.explained(&parts) {
            Ok(explained) => explained,
            // Whether there is a listener is not asked of the matching.
            Err(nobody) => return Ok(nobody),
        };
        let (done, headers) = self.done(&parts);
        let what: Vec<&String> = explained.keys().collect();
        let agree = done.keys().all(|it| explained.contains_key(it))
            && explained.iter().all(|(it, parts)| done.get(it).unwrap_or(&0).abs_diff(*parts) <= 2);
        if !agree {
            return Err(format!("explained as {explained:?}, and the proxies do {done:?}"));
        }
        if let [only] = what[..] {
            return Ok(format!("{only}{headers}"));
        }
        let part = |(what, parts): (&String, &u32)| format!("{}% {what}", f64::from(*parts) / 100.0);
        let shown: Vec<String> = explained.iter().filter(|(_, parts)| **parts > 0).map(part).collect();
        Ok(shown.join(", ") + &headers)
    }

    /// In 1/10000.
    fn explained(&self, parts: &Parts<'_>) -> Result<BTreeMap<String, u32>, String> {
        let target =
            parts.query.map_or_else(|| parts.path.clone(), |query| format!("{}?{query}", parts.path));
        let request = Request {
            port: parts.port,
            tls: parts.scheme == Scheme::Https,
            authority: &parts.authority,
            method: parts.method,
            target: &target,
            headers: &parts.headers,
        };
        let mut explained = BTreeMap::new();
        let outcomes = match explain(self.compiled, &request) {
            Answer::NoPort | Answer::NoChain => return Err("nobody listens".to_owned()),
            Answer::NoHost => vec![Outcome { parts: DRAWN, what: What::NoRoute }],
            Answer::Host(_, outcomes) => outcomes,
        };
        for Outcome { parts, what } in outcomes {
            let text = match what {
                What::NoRoute => "404".to_owned(),
                What::Refused { status, reason, .. } => format!("{status} {reason}"),
                What::Redirected { status, location, .. } => format!("{status} {location}"),
                What::Forwarded { cluster, target, host, .. } => {
                    let host = match host {
                        model::HostRewrite::Keep => String::new(),
                        model::HostRewrite::Literal(host) => format!(" as {host}"),
                        model::HostRewrite::Endpoint => " as its own name".to_owned(),
                    };
                    format!("{} {target}{host}", self.place(&cluster))
                }
            };
            *explained.entry(text).or_default() += parts;
        }
        Ok(explained)
    }

    /// What the proxies do with so many requests, and the headers that an upstream gets where they are edited.
    fn done(&self, parts: &Parts<'_>) -> (BTreeMap<String, u32>, String) {
        let (id, _) =
            self.compiled.ports.iter().find(|(_, it)| it.number == parts.port).expect("it was explained");
        let listener = self.snapshot.listener(id).expect("a port has a listener");
        let trusted_hops = listener.trusted_hops;
        let sender = Sender { address: ([198, 18, 0, 1], 4000).into(), scheme: parts.scheme, trusted_hops };
        let mut headers = HeaderMap::new();
        for (name, value) in &parts.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let method = Method::from_bytes(parts.method.as_bytes()).expect("a method");
        let head = RequestHead {
            listener: id,
            authority: &parts.authority,
            path: &parts.path,
            query: parts.query,
            method: &method,
            headers: &headers,
        };
        let Parts { scheme, query, .. } = *parts;
        let asked = Asked { scheme, authority: &parts.authority, path: &parts.path, query };
        let whole = |text: String| (BTreeMap::from([(text, DRAWN)]), String::new());
        let rule =
            match self.snapshot.admit(&Entered { listener, sender: &sender, shown: None }, &head, &asked) {
                Ok(rule) => rule,
                Err(Instead::Because(reason)) => return whole(reason.status().as_str().to_owned()),
                Err(Instead::Redirect(status, location)) => return whole(redirected(status, &location)),
            };
        let split = match &rule.action {
            Action::Refuse(refusal) => {
                let model::Action::Refuse(written) = &rule.route.action else { unreachable!() };
                return whole(format!("{} {}", refusal.status.as_u16(), written.reason));
            }
            Action::Redirect(redirect) => {
                let location = redirect.location(&asked).expect("a request has a host");
                return whole(redirected(redirect.status, &location));
            }
            Action::Split(split) => split,
        };
        let (mut done, mut edited) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..DRAWN {
            let arm = split.draw().expect("a split has arms");
            *done.entry(self.forwarded(arm, &asked)).or_default() += 1;
            edited.entry(&arm.id).or_insert_with(|| headers_of(rule, arm, headers.clone()));
        }
        (done, edited.into_values().collect())
    }

    fn forwarded(&self, arm: &Arm, asked: &Asked<'_>) -> String {
        let path = arm.transform.rewrite.apply(asked.path).unwrap_or_else(|| asked.path.to_owned());
        let target = asked.query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let host = match &arm.transform.host {
            HostRewrite::Keep => String::new(),
            HostRewrite::Literal(host) => format!(" as {}", host.to_str().expect("a host is a text")),
            HostRewrite::Endpoint => " as its own name".to_owned(),
        };
        format!("{} {target}{host}", self.place(&arm.cluster.id))
    }

    /// Where a cluster sends: its first endpoint, with the port if it is not 80.
    fn place(&self, cluster: &ClusterId) -> String {
        let cluster = &self.compiled.config.clusters[cluster];
        let Some(endpoint) = cluster.endpoints.first() else { return "nobody".to_owned() };
        let (host, port) = match &endpoint.address {
            Address::Name { host, port } => (host.strip_suffix(HOME).unwrap_or(host).to_owned(), *port),
            Address::Socket(socket) if socket.is_ipv6() => (format!("[{}]", socket.ip()), socket.port()),
            Address::Socket(socket) => (socket.ip().to_string(), socket.port()),
        };
        let scheme = if cluster.tls.is_some() { "https://" } else { "" };
        let port = if port == 80 { String::new() } else { format!(":{port}") };
        format!("{scheme}{host}{port}")
    }
}

fn redirected(status: http::StatusCode, location: &HeaderValue) -> String {
    format!("{} {}", status.as_u16(), location.to_str().expect("a location is a text"))
}

/// The headers of a request after the route and the arm have edited them; empty if neither does.
fn headers_of(rule: &Rule, arm: &Arm, mut headers: HeaderMap) -> String {
    let of_route = rule.filters.as_ref().map(|it| &it.request).filter(|it| !it.is_empty());
    let of_arm = Some(&arm.transform.request).filter(|it| !it.is_empty());
    if of_route.is_none() && of_arm.is_none() {
        return String::new();
    }
    for edits in [of_route, of_arm].into_iter().flatten() {
        edits.apply(&mut headers, None, None);
    }
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &headers {
        lines.entry(name.as_str()).or_default().push(value.to_str().expect("a value is a text"));
    }
    let lines: Vec<String> =
        lines.iter().map(|(name, values)| format!("{name}: {}", values.join(", "))).collect();
    format!(" | {}", lines.join("; "))
}

impl<'r> Parts<'r> {
    fn new(text: &'r str) -> Option<Self> {
        let mut words = text.split(" | ");
        let (method, target) = words.next()?.split_once(' ')?;
        let header = |word: &str| {
            let (name, value) = word.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        let headers = words.map(header).collect::<Option<_>>()?;
        let (scheme, rest) = match target.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => (Scheme::Http, target),
        };
        let (authority, target) = rest.split_at(rest.find('/')?);
        let authority = if authority.is_empty() { "shop.test" } else { authority };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Some(Self {
            method,
            scheme,
            port: if scheme == Scheme::Https { 8443 } else { 8080 },
            authority: authority.to_ascii_lowercase(),
            path: normalize(path).into_owned(),
            query,
            headers,
        })
    }
}
