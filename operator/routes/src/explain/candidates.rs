//! Why a route does not answer a request: for the person who owns it.

use std::fmt::{self, Display, Formatter};

use proxy_config::model::{ListenerId, NamedMatch, Route, RouteId};

use super::{Request, header_holds, parameter_holds, path_matches, text_matches, without_query};
use crate::{
    compiled::{Compiled, Rule},
    edge::VirtualHost,
    hostname,
};

/// A route, and what it has to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The route.
    pub route: RouteId,
    /// Whether it answers.
    pub standing: Standing,
}

/// Whether a route answers a request, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the first that matches.
    Answers,
    /// It matches, and this one is asked before it.
    After(RouteId),
    /// It is for other listeners.
    OtherListener,
    /// It is for another host.
    OtherHost,
    /// The host that has the name does not select it.
    NotSelected,
    /// Another path.
    OtherPath,
    /// Another method.
    OtherMethod,
    /// This header is missing, or is another.
    Header(String),
    /// This query parameter is missing, or is another.
    Parameter(String),
}

/// Every route that is for the path or for the host of a request, in the order in which they are asked.
pub(super) fn candidates(
    compiled: &Compiled,
    listener: &ListenerId,
    host: Option<&VirtualHost>,
    authority: &str,
    request: &Request<'_>,
) -> Vec<Candidate> {
    let all = compiled.config.routes.values();
    let mut routes: Vec<(&Route, &Rule)> =
        all.filter_map(|route| Some((&**route, &**compiled.rules.get(&route.id)?))).collect();
    routes.sort_by(|(a, _), (b, _)| (&a.rank, &a.id).cmp(&(&b.rank, &b.id)));
    let mut first: Option<&RouteId> = None;
    let mut candidates = Vec::new();
    for (route, rule) in routes {
        let concerns = path_matches(&route.path, route.case, without_query(request.target))
            || route.host != proxy_config::model::HostMatch::Any && hostname::holds(&route.host, authority);
        if !concerns {
            continue;
        }
        let standing = match (refusal(route, rule, listener, host, authority, request), first) {
            (Some(standing), _) => standing,
            (None, Some(first)) => Standing::After(first.clone()),
            (None, None) => {
                first = Some(&route.id);
                Standing::Answers
            }
        };
        candidates.push(Candidate { route: route.id.clone(), standing });
    }
    candidates
}

/// Why a route does not match, in the order in which people look.
fn refusal(
    route: &Route,
    rule: &Rule,
    listener: &ListenerId,
    host: Option<&VirtualHost>,
    authority: &str,
    request: &Request<'_>,
) -> Option<Standing> {
    if !hostname::holds(&route.host, authority) {
        return Some(Standing::OtherHost);
    }
    if !path_matches(&route.path, route.case, without_query(request.target)) {
        return Some(Standing::OtherPath);
    }
    if !(route.listeners.is_empty() || route.listeners.contains(listener)) {
        return Some(Standing::OtherListener);
    }
    if !host.is_some_and(|host| host.takes(rule)) {
        return Some(Standing::NotSelected);
    }
    unmet(route, request)
}

/// What a route asks for beside host and path that the request does not have.
pub(crate) fn unmet(route: &Route, request: &Request<'_>) -> Option<Standing> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let missing = |matches: &[NamedMatch], holds: &dyn Fn(&NamedMatch) -> bool| {
        matches.iter().find(|it| !holds(it)).map(|it| it.name.clone())
    };
    if route.method.as_ref().is_some_and(|method| !text_matches(method, request.method)) {
        return Some(Standing::OtherMethod);
    }
    if let Some(header) = missing(&route.headers, &|it| header_holds(it, request)) {
        return Some(Standing::Header(header));
    }
    missing(&route.query, &|it| parameter_holds(it, query)).map(Standing::Parameter)
}

impl Display for Standing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers => f.write_str("answers"),
            Self::After(first) => write!(f, "would answer, if `{first}` were not asked before it"),
            Self::OtherListener => f.write_str("is for other ports"),
            Self::OtherHost => f.write_str("is for another host"),
            Self::NotSelected => f.write_str("is not selected by the Host that has the name"),
            Self::OtherPath => f.write_str("is for another path"),
            Self::OtherMethod => f.write_str("is for another method"),
            Self::Header(name) => write!(f, "asks for another header `{name}`"),
            Self::Parameter(name) => write!(f, "asks for another query parameter `{name}`"),
        }
    }
}
