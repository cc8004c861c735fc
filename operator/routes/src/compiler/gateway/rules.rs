//! The rules of HTTPRoutes and GRPCRoutes, as one Gateway serves them.

mod asked;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::{
    filter::Filter,
    http_route::{HttpBackend, RetrySpec, Timeouts},
};
use proxy_config::{
    model::{Action, Change, Filters, Refusal, Rewrite, Route as ProxyRoute, RouteId, SplitId},
    validate::validate_change,
};

pub(super) use self::asked::Asked;
use super::{
    super::{Backends, backend::BackendKey, stores::Stores},
    attach::Taken,
    backends::{self, Common, Divided, Member, Target},
    objects::RouteName,
    served::Served,
};
use crate::{
    compiled::SplitReport,
    gateway::{
        filters::{self, Effects, Limits, Unusable},
        hostname::HostName,
        listener::Fault,
        matching::{Matching, Standing},
        objects::{Read, Route, RouteRules},
    },
    object::ObjectName,
    scope::Scope,
};

/// The rules of a route for one Gateway, with everything that they refer to.
pub(super) struct Draft<'a> {
    route: &'a RouteName,
    read: &'a Read<Route>,
    /// The route whose place it takes.
    base: Option<(&'a ObjectName, i64)>,
    scope: Scope,
    /// What tells its routes from those that it has at another Gateway with the same proxies.
    prefix: String,
    /// The classes of the hosts that have each name, with their port.
    names: BTreeMap<HostName, BTreeMap<u16, BTreeSet<String>>>,
    rules: Vec<Rule>,
}

/// One rule, resolved.
struct Rule {
    name: Option<String>,
    matches: Vec<Result<Matching, String>>,
    effects: Result<Effects, Unusable>,
    members: Vec<Member>,
    copies: Vec<backends::Copied>,
    timeouts: Option<Timeouts>,
    retry: Option<RetrySpec>,
}

/// What a route contributes to a Gateway.
#[derive(Default)]
pub(super) struct Output {
    pub(super) routes: Vec<ProxyRoute>,
    pub(super) splits: Vec<(SplitId, SplitReport)>,
    /// What it refers to that is not there.
    pub(super) unresolved: Option<Fault>,
    /// Rules that cannot be served, by their number from 0, and why.
    pub(super) unusable: Vec<(usize, Fault)>,
    /// How many rules it has.
    pub(super) rules: usize,
}

impl<'a> Draft<'a> {
    /// Reads the rules of a route.
    pub(super) fn new(
        stores: &'a Stores,
        gateway: &ObjectName,
        served: &Served,
        route: &'a RouteName,
        read: &'a Read<Route>,
        taken: &Taken,
    ) -> Self {
        let mut names: BTreeMap<HostName, BTreeMap<u16, BTreeSet<String>>> = BTreeMap::new();
        for (index, hosts) in taken {
            let listener = &served.listeners[*index];
            for host in hosts {
                let ports = names.entry(host.clone()).or_default();
                ports.entry(listener.port).or_default().insert(listener.id());
            }
        }
        let target = |http2| Target { route, shown: served.shown.as_ref(), http2 };
        let rules = match read.spec.as_ref().map(|route| route.rules.read()) {
            Ok(RouteRules::Http(spec)) => {
                let of = |it: crds::gateway::http_route::HttpRule| {
                    let mut matches: Vec<_> = it.matches.iter().map(Matching::http).collect();
                    if matches.is_empty() {
                        matches.push(Matching::http(&crds::gateway::http_route::HttpMatch::default()));
                    }
                    let rule = Rule::new(stores, &target(false), matches, &it.filters, &it.backend_refs);
                    Rule { name: it.name, timeouts: it.timeouts, retry: it.retry, ..rule }
                };
                spec.rules.into_iter().map(of).collect()
            }
            Ok(RouteRules::Grpc(spec)) => {
                let of = |it: crds::gateway::grpc_route::GrpcRule| {
                    let mut matches: Vec<_> = it.matches.iter().map(Matching::grpc).collect();
                    if matches.is_empty() {
                        matches.push(Matching::grpc(&crds::gateway::grpc_route::GrpcMatch::default()));
                    }
                    let rule = Rule::new(stores, &target(true), matches, &it.filters, &it.backend_refs);
                    Rule { name: it.name, ..rule }
                };
                spec.rules.into_iter().map(of).collect()
            }
            Ok(RouteRules::Stream(_) | RouteRules::Unreadable) | Err(_) => Vec::new(),
        };
        let scope = served.place.home.clone();
        let prefix = match scope {
            Scope::Class(_) => format!("gateway {gateway} "),
            Scope::Gateway(_) | Scope::Fleet => String::new(),
        };
        let base = stores.gateway.base_of(route, read);
        Self { route, read, base, scope, prefix, names, rules }
    }

    /// What is wrong with its references by themselves, whatever there is of what they name.
    pub(super) fn fault(&self) -> Option<&Fault> {
        let members = self.rules.iter().flat_map(|rule| &rule.members);
        let copies = self.rules.iter().flat_map(|rule| &rule.copies);
        let mut found = members
            .filter_map(|it| it.fault.as_ref())
            .chain(copies.filter_map(|(_, resolved)| resolved.as_ref().err()));
        found.next()
    }

    /// The backends that it needs.
    pub(super) fn wanted(&self) -> BTreeSet<BackendKey> {
        let members = self.rules.iter().flat_map(|rule| &rule.members).map(|it| it.key.clone());
        let copies = self.rules.iter().flat_map(|rule| &rule.copies);
        let copies = copies.filter_map(|(_, resolved)| resolved.as_ref().ok()).map(|(_, key)| key.clone());
        let mut wanted: BTreeSet<BackendKey> = members.chain(copies).collect();
        if !wanted.is_empty() {
            wanted.insert(BackendKey::absent());
        }
        wanted
    }

    /// The routes of the proxies.
    pub(super) fn compile(&self, backends: Backends<'_>) -> Output {
        let mut output = Output { rules: self.rules.len(), ..Output::default() };
        for (index, rule) in self.rules.iter().enumerate() {
            let missing = rule.members.iter().find_map(|member| member.unresolved(backends));
            let missing = missing.or_else(|| backends::mirrors(&rule.copies, backends).1);
            let missing = missing.or_else(|| match &rule.effects {
                Err(Unusable::Kind(message)) => Some(Fault::new("InvalidKind", message.as_str())),
                _ => None,
            });
            output.unresolved = output.unresolved.take().or(missing);
            self.compile_rule(index, rule, backends, &mut output);
        }
        output
    }

    fn compile_rule(&self, index: usize, rule: &Rule, backends: Backends<'_>, output: &mut Output) {
        let filters = rule.filters();
        if let Err(unusable) = &filters {
            output.unusable.push((index, fault(unusable)));
        }
        for (number, matching) in rule.matches.iter().enumerate() {
            let matching = match matching {
                Ok(matching) => matching,
                Err(reason) => {
                    output.unusable.push((index, Fault::new("UnsupportedValue", reason.as_str())));
                    continue;
                }
            };
            for (host, ports) in &self.names {
                for (port, classes) in split_by_port(rule, ports) {
                    let id = self.id(index, number, host, port);
                    let (action, report) = match &filters {
                        Err(_) => (refuse("invalid_filter"), None),
                        Ok((effects, _, limits)) => {
                            let port = port.or_else(|| ports.keys().next().copied()).unwrap_or_default();
                            self.action(&id, matching, rule, effects, *limits, port, backends)
                        }
                    };
                    let filters = filters.as_ref().map(|(_, filters, _)| filters.clone()).unwrap_or_default();
                    let route = ProxyRoute {
                        id: RouteId::new(id),
                        rank: matching.rank(host, self.standing(index, number)),
                        host: host.host_match(),
                        path: matching.path.clone(),
                        case: matching.case,
                        method: matching.method.clone(),
                        headers: matching.headers.clone(),
                        query: matching.query.clone(),
                        listeners: Vec::new(),
                        classes,
                        to_https: None,
                        filters,
                        action,
                    };
                    Self::emit(index, route, report, output);
                }
            }
        }
    }

    /// Takes a route, unless the proxies would refuse it: then its requests are.
    fn emit(index: usize, mut route: ProxyRoute, report: Option<SplitReport>, output: &mut Output) {
        let problems = |route: &ProxyRoute| {
            let found = validate_change(&Change::Route(Arc::new(route.clone())));
            found.into_iter().next().map(|problem| problem.fault.to_string())
        };
        if let Some(reason) = problems(&route) {
            if !output.unusable.iter().any(|(rule, _)| *rule == index) {
                output.unusable.push((index, Fault::new("UnsupportedValue", reason)));
            }
            route.filters = Filters::default();
            route.action = refuse("invalid_filter");
            if problems(&route).is_none() {
                output.routes.push(route);
            }
            return;
        }
        if let (Action::Split(split), Some(report)) = (&route.action, report) {
            output.splits.push((split.id.clone(), report));
        }
        output.routes.push(route);
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one rule")]
    fn action(
        &self,
        id: &str,
        matching: &Matching,
        rule: &Rule,
        effects: &Effects,
        limits: Limits,
        port: u16,
        backends: Backends<'_>,
    ) -> (Action, Option<SplitReport>) {
        if let Some(redirect) = &effects.redirect {
            return match filters::redirect_to(redirect, port) {
                Ok(to) if without_prefix(&to.path, matching) => (refuse("invalid_filter"), None),
                Ok(to) => (Action::Redirect(to), None),
                Err(_) => (refuse("invalid_filter"), None),
            };
        }
        if without_prefix(&effects.rewrite, matching) {
            return (refuse("invalid_filter"), None);
        }
        let common = Common {
            id: SplitId::new(format!("{} {id}", self.scope)),
            route: self.route,
            scope: &self.scope,
            version: backends::version(self.route, &self.read.resource_version),
            effects,
            limits,
            mirrors: backends::mirrors(&rule.copies, backends).0,
        };
        match backends::divide(common, &rule.members, backends) {
            Divided::Split(split, report) => (Action::Split(split), Some(*report)),
            Divided::Nobody => (refuse("no_backend"), None),
        }
    }

    /// What decides where the conditions of two matches are equally specific.
    fn standing(&self, rule: usize, index: usize) -> Standing<'_> {
        let (name, created) = self.base.unwrap_or((&self.route.name, self.read.created));
        Standing { created, name, stands_in: self.base.is_some(), rule, index }
    }

    /// Readable, and the same for the same rule: draws and counters live as long as it does.
    fn id(&self, rule: usize, number: usize, host: &HostName, port: Option<u16>) -> String {
        let RouteName { kind, name } = self.route;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let (prefix, kind) = (&self.prefix, kind.as_str());
        format!("{prefix}{kind} {name} rule {rule} match {number} {}{port}", host.show())
    }
}

impl Rule {
    /// One without a name and limits.
    fn new(
        stores: &Stores,
        target: &Target<'_>,
        matches: Vec<Result<Matching, String>>,
        filters: &[Filter],
        backends: &[HttpBackend],
    ) -> Self {
        let effects = Effects::of(filters, false);
        let copies = effects.as_ref().map_or(&[][..], |effects| &effects.mirrors);
        let copies = copies.iter().map(|it| (it.clone(), target.resolve(stores, &it.backend))).collect();
        let member = |it: &HttpBackend| {
            let effects = Effects::of(&it.filters, true).map_err(|unusable| fault(&unusable));
            target.member(stores, &it.backend, it.weight, effects)
        };
        let members = backends.iter().map(member).collect();
        Self { name: None, matches, effects, members, copies, timeouts: None, retry: None }
    }

    /// What happens to requests besides the action, or why that cannot be done.
    fn filters(&self) -> Result<(&Effects, Filters, Limits), Unusable> {
        let effects = self.effects.as_ref().map_err(Clone::clone)?;
        let (limits, per_try) = filters::limits(self.timeouts.as_ref(), self.retry.is_some())?;
        let retry = match &self.retry {
            None => None,
            Some(spec) => filters::retry(spec, per_try)?,
        };
        if let Some(redirect) = &effects.redirect {
            filters::redirect_to(redirect, 80)?;
        }
        let filters = Filters {
            request_headers: effects.request_headers.clone(),
            response_headers: effects.response_headers.clone(),
            cors: effects.cors.clone().map(Box::new),
            retry: retry.map(Box::new),
            ..Filters::default()
        };
        Ok((effects, filters, limits))
    }
}

/// The classes of a name: by port where the port is in the answer.
fn split_by_port(rule: &Rule, ports: &BTreeMap<u16, BTreeSet<String>>) -> Vec<(Option<u16>, Vec<String>)> {
    let redirect = rule.effects.as_ref().ok().and_then(|effects| effects.redirect.as_ref());
    if redirect.is_some_and(filters::depends_on_port) {
        return ports
            .iter()
            .map(|(port, classes)| (Some(*port), classes.iter().cloned().collect()))
            .collect();
    }
    let all: BTreeSet<String> = ports.values().flatten().cloned().collect();
    vec![(None, all.into_iter().collect())]
}

/// Whether a prefix is to be replaced where none is matched.
fn without_prefix(rewrite: &Rewrite, matching: &Matching) -> bool {
    matches!(rewrite, Rewrite::Prefix(_)) && !matching.has_prefix()
}

fn refuse(reason: &str) -> Action {
    Action::Refuse(Refusal { status: 500, reason: reason.to_owned() })
}

/// What the status says of filters that cannot be served.
fn fault(unusable: &Unusable) -> Fault {
    match unusable {
        Unusable::Value(message) | Unusable::Kind(message) => {
            Fault::new("UnsupportedValue", message.as_str())
        }
        Unusable::Incompatible(message) => Fault::new("IncompatibleFilters", message.as_str()),
    }
}
