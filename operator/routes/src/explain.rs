//! Which route answers a request: what the proxies do, as a value, for `explain` and for tests.

mod candidates;
mod gateway;

use proxy_config::{
    model::{
        Action, Arm, ArmId, Case, ClusterId, HostId, HostMatch, HostRewrite, ListenerId, NamedMatch,
        PathMatch, RedirectTo, Rewrite, Route, RouteId, Scheme, Security, Share, TextMatch,
    },
    pattern::{Substitution, compile, compile_search},
};

pub(crate) use self::candidates::unmet;
pub use self::{
    candidates::{Candidate, Standing},
    gateway::{Aside, AtGateway, Bystander, GatewayRoute, NoListener, RuleMatch},
};
use crate::{
    compiled::{Compiled, Rule},
    edge::{InsecureAction, Port, VirtualHost},
    hostname,
};

/// A request as it comes in.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The port on which.
    pub port: u16,
    /// Whether it comes over TLS.
    pub tls: bool,
    /// `Host`, with its port if it has one.
    pub authority: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its path, in normal form, with the query.
    pub target: &'a str,
    /// Its headers, names in lower case.
    pub headers: &'a [(String, String)],
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody listens on the port.
    NoPort,
    /// Nobody there speaks TLS for the name, or speaks without it.
    NoChain,
    /// No host has the name.
    NoHost,
    /// The host, and what it does with which part of such requests; the parts sum to 10000.
    Host(HostId, Vec<Outcome>),
}

/// What becomes of some of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of how many, in 1/10000.
    pub parts: u32,
    /// What.
    pub what: What,
}

/// What becomes of a request at its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It goes to a cluster.
    Forwarded {
        /// By this route.
        route: RouteId,
        /// By this arm.
        arm: ArmId,
        /// There.
        cluster: ClusterId,
        /// With this path and query.
        target: String,
        /// With this host.
        host: HostRewrite,
    },
    /// It is answered with a redirect.
    Redirected {
        /// By this route.
        route: RouteId,
        /// With this status.
        status: u16,
        /// To there.
        location: String,
    },
    /// It is answered with an error, because its route cannot be served.
    Refused {
        /// By this route.
        route: RouteId,
        /// With this status.
        status: u16,
        /// For this reason.
        reason: String,
    },
    /// 404.
    NoRoute,
}

/// The path where a client is never sent to `https`, or no certificate could be had (RFC 8555 §8.3).
const ACME: &str = "/.well-known/acme-challenge/";

/// Finds what becomes of a request.
#[must_use]
pub fn explain(compiled: &Compiled, request: &Request<'_>) -> Answer {
    let authority = request.authority.to_ascii_lowercase();
    match find_host(compiled, &authority, request) {
        Err(answer) => answer,
        Ok((listener, port, id, host)) => {
            Answer::Host(id.clone(), at_host(compiled, port, listener, host, &authority, request))
        }
    }
}

/// Every route that is for the path or for the host of a request, in the order in which they are asked, and what each
/// has to do with it.
#[must_use]
pub fn candidates(compiled: &Compiled, request: &Request<'_>) -> Vec<Candidate> {
    let authority = request.authority.to_ascii_lowercase();
    let listener = compiled.ports.iter().find(|(_, port)| port.number == request.port).map(|(id, _)| id);
    let Some(listener) = listener else { return Vec::new() };
    let host = find_host(compiled, &authority, request).ok().map(|(_, _, _, host)| host);
    candidates::candidates(compiled, listener, host, &authority, request)
}

/// A port and the host on it that a request is for.
type Found<'c> = (&'c ListenerId, &'c Port, &'c HostId, &'c VirtualHost);

fn find_host<'c>(
    compiled: &'c Compiled,
    authority: &str,
    request: &Request<'_>,
) -> Result<Found<'c>, Answer> {
    let found = compiled.ports.iter().find(|(_, port)| port.number == request.port);
    let (listener, port) = found.ok_or(Answer::NoPort)?;
    let bound = compiled.hosts.iter().filter(|(_, host)| host.listeners.contains(listener));
    let hosts: Vec<(&HostId, &VirtualHost)> = bound.map(|(id, host)| (id, &**host)).collect();
    let in_chain = |host: &VirtualHost| {
        !request.tls
            || host.tls && hostname::holds(&without_port(&host.name), hostname::without_port(authority))
    };
    let chain = if request.tls { port.tls } else { port.cleartext };
    if !chain || !hosts.iter().any(|(_, host)| in_chain(host)) {
        return Err(Answer::NoChain);
    }
    let named = |host: &VirtualHost| in_chain(host) && holds(host, authority);
    let host = hosts.into_iter().filter(|(_, host)| named(host)).max_by_key(|(_, host)| host.specificity());
    let (id, host) = host.ok_or(Answer::NoHost)?;
    Ok((listener, port, id, host))
}

/// Whether the name of a host holds. A name without a port is compared with the whole authority where Emissary is
/// followed to the letter; routes of such a configuration say so themselves.
fn holds(host: &VirtualHost, authority: &str) -> bool {
    hostname::holds(&host.name, authority)
}

fn without_port(name: &HostMatch) -> HostMatch {
    match name {
        HostMatch::Authority(name) => HostMatch::Exact(hostname::without_port(name).to_owned()),
        other => other.clone(),
    }
}

fn at_host(
    compiled: &Compiled,
    port: &Port,
    listener: &ListenerId,
    host: &VirtualHost,
    authority: &str,
    request: &Request<'_>,
) -> Vec<Outcome> {
    let path = without_query(request.target);
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let insecure = !is_secure(port, request) && !path.starts_with(ACME);
    let mut routes: Vec<(&Route, &Rule)> = compiled
        .config
        .routes
        .values()
        .filter_map(|route| Some((&**route, &**compiled.rules.get(&route.id)?)))
        .filter(|(route, rule)| {
            let here = route.listeners.is_empty() || route.listeners.contains(listener);
            here && host.takes(rule) && matches(route, authority, path, query, request)
        })
        .collect();
    routes.sort_by(|(a, _), (b, _)| (&a.rank, &a.id).cmp(&(&b.rank, &b.id)));

    let mut outcomes = Vec::new();
    // The draw is one for all routes: what is left begins here.
    let mut drawn = 0;
    for (route, rule) in routes {
        if insecure && host.insecure == InsecureAction::Reject {
            break;
        }
        let to_https = to_https(host, route).filter(|_| insecure);
        let to_https = to_https.as_ref();
        match (&route.action, to_https) {
            (Action::Redirect(to), None) | (Action::Redirect(_) | Action::Refuse(_), Some(to)) => {
                outcomes
                    .push(Outcome { parts: 10_000 - drawn, what: redirected(route, to, authority, request) });
                return outcomes;
            }
            (Action::Refuse(refusal), None) => {
                let (status, reason) = (refusal.status, refusal.reason.clone());
                let what = What::Refused { route: route.id.clone(), status, reason };
                outcomes.push(Outcome { parts: 10_000 - drawn, what });
                return outcomes;
            }
            (Action::Split(split), _) => {
                let in_order: Vec<&Arm> = match &rule.drawn[..] {
                    [] => split.arms.iter().collect(),
                    drawn => {
                        drawn.iter().filter_map(|id| split.arms.iter().find(|arm| arm.id == *id)).collect()
                    }
                };
                let mut bound = 0;
                for arm in in_order {
                    bound += u32::from(arm.share.parts());
                    if bound > drawn {
                        let what = match to_https {
                            Some(to) => redirected(route, to, authority, request),
                            None => forwarded(route, arm, request),
                        };
                        outcomes.push(Outcome { parts: bound - drawn, what });
                        drawn = bound;
                    }
                }
                if drawn == 10_000 {
                    return outcomes;
                }
            }
        }
    }
    outcomes.push(Outcome { parts: 10_000 - drawn, what: What::NoRoute });
    outcomes
}

/// What becomes of a request that a route takes by itself.
pub(crate) fn at_route(route: &Route, request: &Request<'_>) -> Vec<Outcome> {
    match &route.action {
        Action::Redirect(to) => {
            let what = redirected(route, to, &request.authority.to_ascii_lowercase(), request);
            vec![Outcome { parts: 10_000, what }]
        }
        Action::Refuse(refusal) => {
            let (status, reason) = (refusal.status, refusal.reason.clone());
            vec![Outcome { parts: 10_000, what: What::Refused { route: route.id.clone(), status, reason } }]
        }
        Action::Split(split) => {
            let taking = split.arms.iter().filter(|arm| arm.share > Share::ZERO);
            let of =
                |arm: &Arm| Outcome { parts: arm.share.parts().into(), what: forwarded(route, arm, request) };
            taking.map(of).collect()
        }
    }
}

/// Where the host, or else the route, sends what comes in the clear.
fn to_https(host: &VirtualHost, route: &Route) -> Option<RedirectTo> {
    let status = match host.insecure {
        InsecureAction::Redirect => Some(301),
        InsecureAction::Route => route.to_https.map(|it| it.status),
        InsecureAction::Reject => None,
    };
    let scheme = Some(Scheme::Https);
    Some(RedirectTo { status: status?, scheme, host: None, port: None, path: Rewrite::None })
}

fn forwarded(route: &Route, arm: &Arm, request: &Request<'_>) -> What {
    What::Forwarded {
        route: route.id.clone(),
        arm: arm.id.clone(),
        cluster: arm.cluster.clone(),
        target: rewritten(route, &arm.rewrite, request.target),
        host: arm.host_rewrite.clone(),
    }
}

fn is_secure(port: &Port, request: &Request<'_>) -> bool {
    match port.security {
        Security::Always => true,
        Security::Never => false,
        Security::ForwardedProto if port.trusted_hops > 0 => {
            let forwarded = request.headers.iter().find(|(name, _)| name == "x-forwarded-proto");
            forwarded.map_or(request.tls, |(_, value)| value == "https")
        }
        Security::Connection | Security::ForwardedProto => request.tls,
    }
}

fn matches(route: &Route, authority: &str, path: &str, query: &str, request: &Request<'_>) -> bool {
    // What is cheap first: an expression is compiled each time.
    path_matches(&route.path, route.case, path)
        && route.method.as_ref().is_none_or(|method| text_matches(method, request.method))
        && route.headers.iter().all(|it| header_holds(it, request))
        && route.query.iter().all(|it| parameter_holds(it, query))
        && hostname::holds(&route.host, authority)
}

fn header_holds(wanted: &NamedMatch, request: &Request<'_>) -> bool {
    let mut values = request.headers.iter().filter(|(name, _)| *name == wanted.name);
    values.any(|(_, value)| text_matches(&wanted.value, value))
}

fn parameter_holds(wanted: &NamedMatch, query: &str) -> bool {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(name, _)| *name == wanted.name).is_some_and(|(_, value)| text_matches(&wanted.value, value))
}

pub(crate) fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

fn text_matches(text: &TextMatch, value: &str) -> bool {
    match text {
        TextMatch::Exact(text) => text == value,
        TextMatch::Regex(pattern) => compile(pattern).is_ok_and(|regex| regex.is_match(value)),
        TextMatch::Present => true,
    }
}

pub(crate) fn path_matches(wanted: &PathMatch, case: Case, path: &str) -> bool {
    let fold = |text: &str| match case {
        Case::Counts => text.to_owned(),
        Case::Ignored => text.to_ascii_lowercase(),
    };
    match wanted {
        PathMatch::Prefix(prefix) => fold(path).starts_with(&fold(prefix)),
        PathMatch::Exact(text) => fold(path) == fold(text),
        PathMatch::Regex(pattern) => compile(pattern).is_ok_and(|regex| regex.is_match(path)),
        PathMatch::Elements(text) => {
            let (path, text) = (fold(path), fold(text));
            let rest = path.strip_prefix(text.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// The target after a rewrite; the query stays.
fn rewritten(route: &Route, rewrite: &Rewrite, target: &str) -> String {
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let path = match rewrite {
        Rewrite::None => path.to_owned(),
        Rewrite::Full(text) => text.clone(),
        Rewrite::Prefix(text) => {
            let matched = match &route.path {
                PathMatch::Prefix(prefix) | PathMatch::Exact(prefix) | PathMatch::Elements(prefix) => {
                    prefix.len()
                }
                PathMatch::Regex(_) => path.len(),
            };
            format!("{text}{}", path.get(matched..).unwrap_or_default())
        }
        Rewrite::Regex(regex) => {
            let replaced = compile_search(&regex.pattern).ok().and_then(|pattern| {
                let substitution = Substitution::parse(&regex.substitution, &pattern).ok()?;
                substitution.replace_all(&pattern, path)
            });
            replaced.unwrap_or_else(|| path.to_owned())
        }
    };
    format!("{path}{query}")
}

fn redirected(route: &Route, to: &RedirectTo, authority: &str, request: &Request<'_>) -> What {
    let spoken = if request.tls { Scheme::Https } else { Scheme::Http };
    let scheme = to.scheme.unwrap_or(spoken);
    let explicit = to.scheme.is_some() || to.host.is_some();
    let host = to.host.as_deref().unwrap_or_else(|| hostname::without_port(authority));
    let own_port = authority.strip_prefix(hostname::without_port(authority)).unwrap_or_default();
    let port = match to.port {
        Some(port) if port == scheme.default_port() => String::new(),
        Some(port) => format!(":{port}"),
        None if explicit => String::new(),
        None => own_port.to_owned(),
    };
    let target = rewritten(route, &to.path, request.target);
    let location = format!("{}://{host}{port}{target}", scheme.as_str());
    What::Redirected { route: route.id.clone(), status: to.status, location }
}
