//! What the routes of a Gateway are, and which of them answers a request.

use crds::gateway::RouteKind;
use proxy_config::model::{Case, Config, Rank};

use super::{
    super::{
        Compiler,
        uses::{Backends, Made},
    },
    attach::Attachment,
    objects::Parent,
    rules::{Asked, Draft},
    served::Served,
};
use crate::{
    explain::{
        Aside, AtGateway, Bystander, GatewayRoute, NoListener, Outcome, Request, RuleMatch, Standing, What,
        at_route, path_matches, unmet, without_query,
    },
    gateway::{
        hostname::HostName,
        listener::{Listener, Speaks},
        matching::{Matching, precedence},
        objects::{Read, Route, RouteRules},
    },
    hostname,
    object::ObjectName,
};

/// A match that the proxies have, or of which it is known why they do not.
struct Place<'a> {
    asked: Asked<'a>,
    compiled: Result<GatewayRoute, String>,
}

impl Compiler {
    /// The HTTPRoutes and GRPCRoutes of a Gateway, match by match, in the order in which its proxies ask them.
    #[must_use]
    pub fn gateway_routes(&self, gateway: &ObjectName) -> Vec<GatewayRoute> {
        let Some(served) = self.gateways.served.get(gateway) else { return Vec::new() };
        let drafts = self.drafts(gateway, served);
        let places = self.places(gateway, &drafts);
        places.into_iter().filter_map(|place| place.compiled.ok()).collect()
    }

    /// The Gateways of ours.
    pub fn gateways(&self) -> impl Iterator<Item = &ObjectName> {
        self.gateways.served.keys()
    }

    /// The port of a Gateway on which a request comes in that does not say: one that has its host, the usual one of its
    /// scheme if there is a choice; `None`: no listener speaks its scheme.
    #[must_use]
    pub fn gateway_port(&self, gateway: &ObjectName, tls: bool, authority: &str) -> Option<u16> {
        let served = self.gateways.served.get(gateway)?;
        let speaking = served.listeners.iter().filter(|it| speaks(it, tls));
        let usual = if tls { 443 } else { 80 };
        let place = |it: &&Listener| (!has(it, authority), it.port != usual, it.port);
        speaking.min_by_key(place).map(|it| it.port)
    }

    /// What becomes of a request at a Gateway of ours; `None`: there is no such Gateway. The port of the request is one
    /// of the Gateway's, not of its proxies.
    #[must_use]
    pub fn at_gateway(&self, gateway: &ObjectName, request: &Request<'_>) -> Option<AtGateway> {
        let served = self.gateways.served.get(gateway)?;
        let drafts = self.drafts(gateway, served);
        let listener = listener(served, request);
        let listener = listener.and_then(|it| self.unless_elsewhere(gateway, served, it, request));
        let mut answers: Option<Place<'_>> = None;
        let mut others = Vec::new();
        for place in self.places(gateway, &drafts) {
            match aside(&place, listener.as_ref().copied(), answers.as_ref(), request) {
                Some(why) if place.concerns(request) => others.push((place.asked.of, why)),
                Some(_) => {}
                None => answers = Some(place),
            }
        }
        let answers = answers.and_then(|place| place.compiled.ok());
        // What answers by one of its matches needs no excuse for the others.
        let excused = |of: &RuleMatch| answers.as_ref().is_some_and(|it| same_rule(&it.of, of));
        let others = others.into_iter().filter(|(of, _)| !excused(of));
        let others = others.map(|(of, why)| Bystander { who: of.to_string(), why });
        let mut others: Vec<Bystander> = others.chain(self.not_attached(gateway, request)).collect();
        others.dedup();
        let outcomes = match (&listener, &answers) {
            (Err(_), _) => Vec::new(),
            (Ok(_), None) => vec![Outcome { parts: 10_000, what: What::NoRoute }],
            (Ok(_), Some(answers)) => self.outcomes(gateway, answers, request),
        };
        Some(AtGateway {
            gateway: gateway.clone(),
            port: request.port,
            listener: listener.map(|it| it.name.clone()),
            outcomes,
            answers,
            others,
        })
    }

    /// HTTPRoutes and GRPCRoutes that have to do with a request and name Gateways that are not ours, or not there.
    #[must_use]
    pub fn without_gateway(&self, request: &Request<'_>) -> Vec<Bystander> {
        let mut found = Vec::new();
        for (name, read) in self.stores.gateway.routes.iter().filter(|(name, _)| has_rules(name.kind)) {
            if !wants(read, name.kind, request) {
                continue;
            }
            for reference in read.parents() {
                let Some(Parent::Gateway(gateway)) = Parent::of(reference, &name.name.namespace) else {
                    continue;
                };
                if self.gateways.served.contains_key(&gateway) {
                    continue;
                }
                let why = if self.stores.gateway.gateways.contains_key(&gateway) {
                    format!("the class of Gateway `{gateway}` is not one that Sluice serves")
                } else {
                    format!("there is no Gateway `{gateway}`")
                };
                let why = Aside::NoGateway(why);
                found.push(Bystander { who: format!("{} {}", name.kind.as_str(), name.name), why });
            }
        }
        found.dedup();
        found
    }

    /// The listener that would take a request, unless one of another Gateway with the same proxies does.
    fn unless_elsewhere<'a>(
        &self,
        gateway: &ObjectName,
        served: &Served,
        listener: &'a Listener,
        request: &Request<'_>,
    ) -> Result<&'a Listener, NoListener> {
        let others = self.residents(&served.place.home).into_iter().filter(|(name, _)| *name != gateway);
        let others = others.flat_map(|(name, served)| served.listeners.iter().map(move |it| (name, it)));
        let better = others.filter(|(_, it)| {
            it.served()
                && it.port == request.port
                && speaks(it, request.tls)
                && has(it, request.authority)
                && it.hostname.place() < listener.hostname.place()
        });
        match better.min_by_key(|(_, it)| it.hostname.place()) {
            Some((name, it)) => Err(NoListener::Elsewhere(it.name.clone(), name.clone())),
            None => Ok(listener),
        }
    }

    /// What the proxies of a Gateway have.
    fn config_at(&self, gateway: &ObjectName) -> Option<&Config> {
        self.compiled.config_of(&self.gateways.served.get(gateway)?.place.home)
    }

    /// The routes that are attached to a Gateway, with what they refer to.
    fn drafts<'a>(&'a self, gateway: &ObjectName, served: &Served) -> Vec<Draft<'a>> {
        let routes = self.stores.gateway.routes_of(gateway);
        let known = routes.iter().filter_map(|name| self.stores.gateway.routes.get_key_value(name));
        known
            .filter(|(name, _)| has_rules(name.kind))
            .filter_map(|(name, read)| {
                let taken = self.taken(name, gateway);
                (!taken.is_empty()).then(|| Draft::new(&self.stores, gateway, served, name, read, &taken))
            })
            .collect()
    }

    /// Their matches in the order in which they are asked, those last that mean nothing.
    fn places<'a>(&self, gateway: &ObjectName, drafts: &'a [Draft<'_>]) -> Vec<Place<'a>> {
        let Some(config) = self.config_at(gateway) else { return Vec::new() };
        let nothing = Made::default();
        let backends = Backends { known: &self.backends, made: &nothing };
        let mut places = Vec::new();
        for draft in drafts {
            for asked in draft.asked() {
                let faults = draft.faults(asked.of.rule, backends);
                let compiled = match (config.routes.get(&asked.id), asked.matching) {
                    (_, Err(reason)) => Err(reason.clone()),
                    (None, Ok(_)) => Err(faults.join("; ")),
                    (Some(route), Ok(_)) => {
                        Ok(GatewayRoute { of: asked.of.clone(), route: route.clone(), faults })
                    }
                };
                places.push(Place { asked, compiled });
            }
        }
        let rank = |place: &Place<'_>| match &place.compiled {
            Ok(compiled) => (false, compiled.route.rank.clone(), Some(compiled.route.id.clone())),
            Err(_) => (true, Rank(Vec::new()), None),
        };
        places.sort_by_cached_key(rank);
        places
    }

    /// Routes that name a Gateway, and that none of its listeners has or whose rules cannot be read.
    fn not_attached(&self, gateway: &ObjectName, request: &Request<'_>) -> Vec<Bystander> {
        let mut found = Vec::new();
        for name in self.stores.gateway.routes_of(gateway).iter().filter(|name| has_rules(name.kind)) {
            let Some(read) = self.stores.gateway.routes.get(name).filter(|it| wants(it, name.kind, request))
            else {
                continue;
            };
            let who = format!("{} {}", name.kind.as_str(), name.name);
            if let Some(reason) = read.spec.as_ref().ok().and_then(|it| it.rules.unreadable()) {
                found.push(Bystander { who: who.clone(), why: Aside::Unserved(reason.to_owned()) });
            }
            let attachments = self.attachments(name);
            let of_gateway: Vec<&Attachment> =
                attachments.iter().filter(|it| it.gateway == *gateway).collect();
            if of_gateway.iter().any(|it| it.listeners.is_ok()) {
                continue;
            }
            let faults = of_gateway.iter().filter_map(|it| it.listeners.as_ref().err());
            let why: Vec<&str> = faults.map(|fault| fault.message.as_str()).collect();
            if !why.is_empty() {
                found.push(Bystander { who, why: Aside::Unattached(why.join("; ")) });
            }
        }
        found
    }

    fn outcomes(&self, gateway: &ObjectName, answers: &GatewayRoute, request: &Request<'_>) -> Vec<Outcome> {
        let config = self.config_at(gateway);
        let is_absent = |what: &What| match what {
            What::Forwarded { cluster, .. } => {
                config.and_then(|it| it.clusters.get(cluster)).is_some_and(|it| it.absent)
            }
            What::Redirected { .. } | What::Refused { .. } | What::NoRoute => false,
        };
        let told = |outcome: Outcome| {
            if !is_absent(&outcome.what) {
                return outcome;
            }
            // The proxies answer for a backend that is not there.
            let (route, reason) = (answers.route.id.clone(), "no_backend".to_owned());
            Outcome { what: What::Refused { route, status: 500, reason }, ..outcome }
        };
        at_route(&answers.route, request).into_iter().map(told).collect()
    }
}

/// The listener that takes a request: of those of its port the one with the most specific hostname.
fn listener<'a>(served: &'a Served, request: &Request<'_>) -> Result<&'a Listener, NoListener> {
    let of_port: Vec<&Listener> = served.listeners.iter().filter(|it| it.port == request.port).collect();
    if of_port.is_empty() {
        return Err(NoListener::Port);
    }
    let speaking: Vec<&Listener> = of_port.into_iter().filter(|it| speaks(it, request.tls)).collect();
    if speaking.is_empty() {
        return Err(NoListener::Protocol);
    }
    let having = || speaking.iter().filter(|it| has(it, request.authority));
    let best = having().filter(|it| it.served()).min_by_key(|it| it.hostname.place());
    let Some(best) = best else {
        let Some(unserved) = having().min_by_key(|it| it.hostname.place()) else {
            return Err(NoListener::Host);
        };
        let why = unserved.conditions(None).into_iter().find(|it| !it.holds).map(|it| it.message);
        return Err(NoListener::Unserved(unserved.name.clone(), why.unwrap_or_default().into_owned()));
    };
    match best.speaks {
        Some(Speaks::Http | Speaks::Https) => Ok(best),
        Some(Speaks::Tls | Speaks::Passthrough | Speaks::Tcp | Speaks::Udp) | None => {
            Err(NoListener::Streams(best.name.clone()))
        }
    }
}

/// Whether a listener takes requests over TLS, or in the clear.
fn speaks(listener: &Listener, tls: bool) -> bool {
    match listener.speaks {
        Some(Speaks::Http) => !tls,
        Some(Speaks::Https | Speaks::Tls | Speaks::Passthrough) => tls,
        Some(Speaks::Tcp | Speaks::Udp) | None => false,
    }
}

fn has(listener: &Listener, authority: &str) -> bool {
    holds(&listener.hostname, authority)
}

fn holds(name: &HostName, authority: &str) -> bool {
    hostname::holds(&name.host_match(), &authority.to_ascii_lowercase())
}

fn has_rules(kind: RouteKind) -> bool {
    matches!(kind, RouteKind::Http | RouteKind::Grpc)
}

fn same_rule(one: &RuleMatch, other: &RuleMatch) -> bool {
    (one.kind, &one.route, one.rule) == (other.kind, &other.route, other.rule)
}

/// Whether a request could be meant for a route, as far as the route itself says.
fn wants(read: &Read<Route>, kind: RouteKind, request: &Request<'_>) -> bool {
    let Ok(route) = &read.spec else { return false };
    // Of names that are none it is not known what they mean.
    let names = route.hostnames.as_deref().unwrap_or_default();
    let host = names.is_empty() || names.iter().any(|name| holds(name, request.authority));
    let path = without_query(request.target);
    let takes = |matching: Result<Matching, String>| {
        matching.is_ok_and(|it| path_matches(&it.path, Case::Counts, path))
    };
    let paths =
        match &route.rules.read() {
            RouteRules::Http(spec) => spec.rules.iter().any(|rule| {
                rule.matches.is_empty() || rule.matches.iter().any(|it| takes(Matching::http(it)))
            }),
            RouteRules::Grpc(spec) => spec.rules.iter().any(|rule| {
                rule.matches.is_empty() || rule.matches.iter().any(|it| takes(Matching::grpc(it)))
            }),
            RouteRules::Stream(_) => false,
            RouteRules::Unreadable => has_rules(kind),
        };
    host && paths
}

/// Why a match does not answer a request; `None`: it does.
fn aside(
    place: &Place<'_>,
    listener: Result<&Listener, &NoListener>,
    answers: Option<&Place<'_>>,
    request: &Request<'_>,
) -> Option<Aside> {
    let compiled = match &place.compiled {
        Ok(compiled) => compiled,
        Err(reason) => return Some(Aside::Unserved(reason.clone())),
    };
    let route = &compiled.route;
    if !holds(place.asked.host, request.authority) {
        return Some(Aside::Standing(Standing::OtherHost));
    }
    if !path_matches(&route.path, route.case, without_query(request.target)) {
        return Some(Aside::Standing(Standing::OtherPath));
    }
    let listener = match listener {
        Ok(listener) => listener,
        Err(NoListener::Elsewhere(name, gateway)) => {
            return Some(Aside::OtherListener(format!("listener `{name}` of Gateway {gateway}")));
        }
        Err(_) => return Some(Aside::Standing(Standing::OtherListener)),
    };
    let attached = |ids: &[String]| ids.contains(&listener.id());
    if !attached(&route.classes) {
        return Some(Aside::OtherListener(format!("listener `{}`", listener.name)));
    }
    if let Some(standing) = unmet(route, request) {
        return Some(Aside::Standing(standing));
    }
    let first = answers?;
    let (one, two) = (&first.asked, &place.asked);
    let (Ok(matching), Ok(other)) = (one.matching, two.matching) else { return None };
    let decides = precedence((one.host, matching, one.standing), (two.host, other, two.standing));
    Some(Aside::After(one.of.clone(), decides))
}

impl Place<'_> {
    /// Whether its owner could think that it is for the request: it has the host, or a path of its own.
    fn concerns(&self, request: &Request<'_>) -> bool {
        let host = holds(self.asked.host, request.authority);
        let Ok(matching) = self.asked.matching else { return host };
        let path = path_matches(&matching.path, matching.case, without_query(request.target));
        let everything = path_matches(&matching.path, matching.case, "/");
        if host { path || *self.asked.host != HostName::Any } else { path && !everything }
    }
}
