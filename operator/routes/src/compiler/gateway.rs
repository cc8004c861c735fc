//! Gateways, each with proxies of its own or with those that its class shares, and the routes that attach to them.
//!
//! | to change … | look in |
//! |---|---|
//! | who refers to whom, and what a change touches | `objects.rs` |
//! | what decides about the listeners of a Gateway | `served.rs` |
//! | which ports are opened, which hosts are told apart | `entrances.rs` |
//! | to which listeners a route attaches | `attach.rs` |
//! | what the rules of HTTPRoutes and GRPCRoutes become | `rules.rs`, `backends.rs` |
//! | what TLSRoutes, TCPRoutes and UDPRoutes become | `streams.rs` |
//! | which BackendTLSPolicy counts | `policies.rs` |
//! | what statuses say | `verdicts.rs` |
//! | which rule answers a request, and why others do not | `explain.rs`, `rules/asked.rs` |

mod attach;
mod backends;
mod entrances;
mod explain;
mod objects;
pub(super) mod policies;
mod references;
mod rules;
mod served;
mod streams;
mod verdicts;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use crds::gateway::{GatewayKind, RouteKind, listener::ListenerSpec};
use proxy_config::model::{Certificate, RouteId, SplitId};

pub(super) use self::objects::{Objects, RouteName, Touched};
use self::{
    attach::{Attachment, Taken},
    served::Served,
    verdicts::Counts,
};
use super::{
    Backends, Compiler, Pending, certificates,
    uses::{Contributor, Made, Used, User},
    wants::{Wanted, Wanter},
};
use crate::{
    compiled::SplitReport,
    gateway::{
        Condition, Demand, GatewayObjectName, GatewayStatus, Supply,
        demand::Refused,
        listener::{self, Fault},
        objects::RouteRules,
        status::StatusContent,
    },
    object::ObjectName,
    scope::Scope,
};

/// What is made of the objects.
#[derive(Debug, Default)]
pub(super) struct Derived {
    served: BTreeMap<ObjectName, Served>,
    attached: BTreeMap<RouteName, Vec<Attachment>>,
    /// What each route contributes to a Gateway.
    contributions: BTreeMap<(ObjectName, RouteName), Contribution>,
    /// The TLSRoutes, TCPRoutes and UDPRoutes of each Gateway.
    streams: BTreeMap<ObjectName, BTreeSet<RouteName>>,
    /// The splits of these, by the proxies that have them.
    stream_splits: BTreeMap<Scope, BTreeSet<SplitId>>,
    /// How many routes each listener has.
    counts: BTreeMap<ObjectName, Counts>,
    certificates: BTreeMap<Scope, Vec<Arc<Certificate>>>,
}

/// What a route contributes to a Gateway.
#[derive(Debug, Default)]
struct Contribution {
    /// The proxies that have it.
    scope: Scope,
    routes: Vec<RouteId>,
    splits: Vec<SplitId>,
    /// The ids of its listeners.
    listeners: BTreeSet<String>,
    /// Whether it uses backends, though it may have nothing else.
    uses: bool,
}

/// What is found out about a route for one Gateway.
#[derive(Default)]
struct Finding {
    unresolved: Option<Fault>,
    /// Why it is not accepted although it could attach.
    refused: Option<Fault>,
    /// Why some of its rules are not served.
    partially: Option<Fault>,
}

impl Compiler {
    /// Somebody's Secret or ConfigMap is another one.
    pub(super) fn touch_wanters(&mut self, wanted: &Wanted) {
        for wanter in self.wants.wanters(wanted) {
            match wanter {
                Wanter::Entrances => {}
                Wanter::Gateway(name) => {
                    if let Wanted::Secret(secret) = wanted {
                        let shown = self.backends.keys().filter(|key| key.is_shown(secret));
                        self.touched.services.extend(shown.filter_map(|key| key.service()).cloned());
                    }
                    self.touched.gateway.gateways.insert(name.clone());
                }
                Wanter::Policy(name) => {
                    self.touched.services.extend(self.stores.gateway.policies.services(name));
                    self.touched.gateway.policies.insert(name.clone());
                }
            }
        }
    }

    /// Decides anew about the listeners of the Gateways that were touched.
    pub(super) fn serve_gateways(&mut self, pending: &mut Pending) {
        let touched = mem::take(&mut self.touched.gateway.gateways);
        for name in self.with_neighbours(touched) {
            let mut now = served::compile(&self.stores, &self.settings.gateway_controllers, &name);
            if let Some(now) = &mut now {
                self.give_way(&name, now);
            }
            let wanted = now.as_ref().map(|it| it.wanted.clone()).unwrap_or_default();
            self.wants.set(&Wanter::Gateway(name.clone()), wanted, pending);
            let before = objects::put(&mut self.gateways.served, &name, now);
            let scopes = before.iter().chain(self.gateways.served.get(&name));
            let scopes = scopes.flat_map(|it| it.shares.iter().chain([&it.home]));
            self.touched.gateway.scopes.extend(scopes.cloned());
            if before.as_ref() != self.gateways.served.get(&name) {
                let touched = &mut self.touched.gateway;
                touched.routes.extend(self.stores.gateway.routes_of(&name));
                let policies = |it: &Served| it.controller.clone();
                let after = self.gateways.served.get(&name);
                if before.as_ref().map(policies) != after.map(policies) {
                    let homes = [before.as_ref(), after].map(|it| it.map(|it| &it.home));
                    let services = self.backends.iter().filter(|(_, used)| {
                        homes.into_iter().flatten().any(|scope| used.is_used_in(scope))
                    });
                    for service in services.filter_map(|(key, _)| key.service()) {
                        touched.policies.extend(self.stores.gateway.policies.for_service(service).cloned());
                    }
                }
            }
            self.touched.gateway.judged.insert(name);
        }
    }

    /// Those that were touched, and those that share proxies with them; the older first, for who comes later gives way.
    fn with_neighbours(&self, mut all: BTreeSet<ObjectName>) -> Vec<ObjectName> {
        let before = all.iter().filter_map(|name| self.gateways.served.get(name)?.shares.clone());
        let now = all.iter().filter_map(|name| served::shared(&self.stores, name));
        for scope in before.chain(now).collect::<BTreeSet<Scope>>() {
            if let Scope::Class(class) = scope {
                all.extend(self.stores.gateway.of_class(&class.name).cloned());
            }
        }
        let mut all: Vec<ObjectName> = all.into_iter().collect();
        all.sort_by_cached_key(|name| (self.stores.gateway.age(name), name.clone()));
        all
    }

    /// Takes from a Gateway the listeners that an older one with the same proxies has.
    fn give_way(&self, name: &ObjectName, served: &mut Served) {
        let Scope::Class(class) = &served.home else { return };
        let place = |name: &ObjectName| (self.stores.gateway.age(name), name.clone());
        let own = place(name);
        let others = self.stores.gateway.of_class(&class.name).filter(|other| place(other) < own);
        let mut elders: Vec<(&ObjectName, &Served)> = others
            .filter_map(|other| self.gateways.served.get_key_value(other))
            .filter(|(_, other)| other.home == served.home)
            .collect();
        elders.sort_by_cached_key(|(name, _)| place(name));
        let elders = elders.into_iter();
        let elders: Vec<_> =
            elders.flat_map(|(name, it)| it.listeners.iter().map(move |it| (name, it))).collect();
        listener::give_way(&mut served.listeners, &elders);
    }

    /// Attaches and compiles the routes that were touched.
    pub(super) fn compile_routes(&mut self, pending: &mut Pending) {
        for name in mem::take(&mut self.touched.gateway.routes) {
            self.compile_route(&name, pending);
        }
    }

    fn compile_route(&mut self, name: &RouteName, pending: &mut Pending) {
        let read = self.stores.gateway.routes.get(name);
        let attachments = match read.map(|read| &read.spec) {
            Some(Ok(route)) => attach::attach(&self.stores, &self.gateways.served, name, route),
            Some(Err(_)) | None => Vec::new(),
        };
        let generation = read.map(|read| read.generation);
        let before = self.gateways.attached.remove(name).unwrap_or_default();
        let gateways: BTreeSet<ObjectName> =
            before.iter().chain(&attachments).map(|it| it.gateway.clone()).collect();
        let mut findings: BTreeMap<ObjectName, Finding> = BTreeMap::new();
        for gateway in gateways {
            let mut taken = Taken::new();
            let accepted = attachments.iter().filter(|it| it.gateway == gateway);
            for (index, hosts) in accepted.filter_map(|it| it.listeners.as_ref().ok()).flatten() {
                let known = taken.entry(*index).or_default();
                known.extend(hosts.iter().cloned());
                known.sort();
                known.dedup();
            }
            let finding = self.contribute(name, &gateway, &taken, pending);
            findings.insert(gateway.clone(), finding);
            self.touched.gateway.judged.insert(gateway);
        }
        let status = |attachment: &Attachment| {
            let finding = findings.get(&attachment.gateway);
            let refused =
                attachment.listeners.as_ref().err().or_else(|| finding.and_then(|it| it.refused.as_ref()));
            verdicts::route(
                &attachment.reference,
                &attachment.controller,
                refused,
                finding.and_then(|it| it.unresolved.as_ref()),
                finding.and_then(|it| it.partially.as_ref()).filter(|_| refused.is_none()),
            )
        };
        let parents: Vec<_> = attachments.iter().map(status).collect();
        let status = generation
            .filter(|_| !parents.is_empty())
            .map(|generation| Arc::new(GatewayStatus { generation, content: StatusContent::Route(parents) }));
        let id = GatewayObjectName { kind: GatewayKind::Route(name.kind), name: name.name.clone() };
        pending.gateway_statuses.insert(id, status);
        if !attachments.is_empty() {
            self.gateways.attached.insert(name.clone(), attachments);
        }
    }

    /// Brings up to date what a route contributes to a Gateway, where it has these names of its listeners.
    fn contribute(
        &mut self,
        name: &RouteName,
        gateway: &ObjectName,
        taken: &Taken,
        pending: &mut Pending,
    ) -> Finding {
        let key = (gateway.clone(), name.clone());
        let before = self.gateways.contributions.get(&key).map(|it| it.scope.clone());
        let scope = self.gateways.served.get(gateway).map(|it| it.home.clone());
        let scope = scope.or_else(|| before.clone()).unwrap_or_else(|| Scope::Gateway(gateway.clone()));
        let user = |scope| {
            let (gateway, route) = (gateway.clone(), name.clone());
            User::Route(Arc::new(Contributor { scope, gateway, route }))
        };
        if let Some(before) = before.filter(|before| *before != scope) {
            // It moves to other proxies.
            self.exchange(name, gateway, Contribution::default(), pending);
            self.set_uses(&user(before), BTreeSet::new(), Made::default(), pending);
        }
        let mut contribution = Contribution { scope: scope.clone(), ..Contribution::default() };
        let mut finding = Finding::default();
        let mut splits: Vec<(SplitId, SplitReport)> = Vec::new();
        let mut routes = Vec::new();
        let (mut wanted, mut made) = (BTreeSet::new(), Made::default());
        if let Some((served, read)) =
            self.gateways.served.get(gateway).zip(self.stores.gateway.routes.get(name))
        {
            if let Ok(RouteRules::Unreadable(reason)) = read.spec.as_ref().map(|route| &route.rules) {
                finding.refused =
                    Some(Fault::new("UnsupportedValue", format!("it cannot be read: {reason}")));
            }
            match name.kind {
                RouteKind::Http | RouteKind::Grpc => {
                    let draft = rules::Draft::new(&self.stores, gateway, served, name, read, taken);
                    if taken.is_empty() {
                        finding.unresolved = draft.fault().cloned();
                    } else {
                        wanted = draft.wanted();
                        made = self.make(&wanted);
                        let output = draft.compile(Backends { known: &self.backends, made: &made });
                        finding = finding.with(&output);
                        splits = output.splits;
                        routes = output.routes;
                    }
                }
                RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
                    let members = streams::members(&self.stores, served, name, read);
                    if taken.is_empty() {
                        finding.unresolved = members.iter().find_map(|it| it.fault.clone());
                    } else {
                        wanted = streams::wanted(&members);
                        made = self.make(&wanted);
                        let backends = Backends { known: &self.backends, made: &made };
                        finding.unresolved = streams::unresolved(&members, backends);
                    }
                }
            }
            if finding.refused.is_none() {
                contribution.listeners = taken.keys().map(|index| served.listeners[*index].id()).collect();
            }
        }
        contribution.routes = routes.iter().map(|route| route.id.clone()).collect();
        contribution.splits = splits.iter().map(|(id, _)| id.clone()).collect();
        contribution.uses = !wanted.is_empty();
        self.exchange(name, gateway, contribution, pending);
        let of_scope = pending.scope(&scope);
        of_scope.routes.extend(routes.into_iter().map(|route| (route.id.clone(), Some(Arc::new(route)))));
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(report))));
        self.set_uses(&user(scope), wanted, made, pending);
        finding
    }

    /// Puts one contribution in the place of another: what only the old one has is gone.
    fn exchange(&mut self, name: &RouteName, gateway: &ObjectName, now: Contribution, pending: &mut Pending) {
        let key = (gateway.clone(), name.clone());
        let before = self.gateways.contributions.remove(&key).unwrap_or_default();
        let of_scope = pending.scope(&before.scope);
        of_scope.routes.extend(before.routes.into_iter().map(|id| (id, None)));
        pending.splits.extend(before.splits.into_iter().map(|id| (id, None)));
        let counts = self.gateways.counts.entry(gateway.clone()).or_default();
        for listener in before.listeners {
            if let Some(count) = counts.get_mut(&listener) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&listener);
                }
            }
        }
        for listener in &now.listeners {
            *counts.entry(listener.clone()).or_default() += 1;
        }
        if counts.is_empty() {
            self.gateways.counts.remove(gateway);
        }
        let of_streams = !matches!(name.kind, RouteKind::Http | RouteKind::Grpc);
        if of_streams && !now.listeners.is_empty() {
            self.gateways.streams.entry(gateway.clone()).or_default().insert(name.clone());
        } else {
            objects::take(&mut self.gateways.streams, gateway, name);
        }
        if !now.listeners.is_empty() || !now.routes.is_empty() || now.uses {
            self.gateways.contributions.insert(key, now);
        }
    }

    /// Opens the ports of Gateways and says what there is to say of them.
    pub(super) fn judge_gateways(&mut self, pending: &mut Pending) {
        let judged = mem::take(&mut self.touched.gateway.judged);
        let mut scopes = mem::take(&mut self.touched.gateway.scopes);
        for name in &judged {
            self.judge_gateway(name, pending);
            scopes.insert(Scope::Gateway(name.clone()));
            scopes.extend(self.gateways.served.get(name).map(|it| it.home.clone()));
        }
        for scope in &scopes {
            self.open(scope, pending);
            pending.demands.insert(scope.clone(), self.demand(scope).map(Arc::new));
        }
        let sets = mem::take(&mut self.touched.gateway.sets).into_iter();
        let of_judged = judged.iter().filter_map(|name| self.stores.gateway.of_gateway.get(name)).flatten();
        let sets: BTreeSet<ObjectName> = sets.chain(of_judged.cloned()).collect();
        for set in &sets {
            self.judge_listener_set(set, pending);
        }
        for class in mem::take(&mut self.touched.gateway.classes) {
            self.judge_class(&class, pending);
        }
        for policy in mem::take(&mut self.touched.gateway.policies) {
            self.judge_policy(&policy, pending);
        }
    }

    /// The Gateways that proxies serve.
    fn residents(&self, scope: &Scope) -> Vec<(&ObjectName, &Served)> {
        let here = |name: &ObjectName| {
            self.gateways.served.get_key_value(name).filter(|(_, served)| served.home == *scope)
        };
        match scope {
            Scope::Fleet => Vec::new(),
            Scope::Gateway(name) => here(name).into_iter().collect(),
            Scope::Class(class) => self.stores.gateway.of_class(&class.name).filter_map(here).collect(),
        }
    }

    /// Opens the ports of the Gateways that proxies serve.
    fn open(&mut self, scope: &Scope, pending: &mut Pending) {
        let (mut listeners, mut hosts, mut tcp_routes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut shown = Vec::new();
        let mut splits = BTreeMap::new();
        for (name, served) in self.residents(scope) {
            let routes = self.gateways.streams.get(name).into_iter().flatten();
            let attached: Vec<_> = routes
                .filter_map(|route| {
                    let read = self.stores.gateway.routes.get(route)?;
                    Some((route, read, self.taken(route, name)))
                })
                .collect();
            let nothing = Made::default();
            let backends = Backends { known: &self.backends, made: &nothing };
            let output = streams::compile(&self.stores, served, &attached, backends);
            listeners.extend(entrances::listeners(served));
            hosts.extend(entrances::hosts(served, &output.ended));
            tcp_routes.extend(output.routes.into_iter().map(|(id, it)| (id, Arc::new(it))));
            splits.extend(output.splits);
            shown.extend(served.certificates().into_values().cloned());
        }
        let ids: BTreeSet<SplitId> = splits.keys().cloned().collect();
        let before = if ids.is_empty() {
            self.gateways.stream_splits.remove(scope)
        } else {
            self.gateways.stream_splits.insert(scope.clone(), ids)
        };
        pending.splits.extend(before.unwrap_or_default().into_iter().map(|id| (id, None)));
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(report))));
        let nothing = proxy_config::model::Config::default();
        let before = self.compiled.gateways.get(scope).unwrap_or(&nothing);
        let of_scope = pending.scope(scope);
        of_scope.listeners.replace_all(before.listeners.keys(), listeners);
        of_scope.server_names.replace_all(before.hosts.keys(), hosts);
        of_scope.tcp_routes.replace_all(before.tcp_routes.keys(), tcp_routes);
        for certificate in &shown {
            certificates::replace(&mut self.certificates, scope, None, Some(certificate), pending);
        }
        let before = if shown.is_empty() {
            self.gateways.certificates.remove(scope)
        } else {
            self.gateways.certificates.insert(scope.clone(), shown)
        };
        for certificate in before.unwrap_or_default() {
            certificates::replace(&mut self.certificates, scope, Some(&certificate), None, pending);
        }
    }

    /// What is asked of proxies; `None`: nobody asks for them.
    fn demand(&self, scope: &Scope) -> Option<Demand> {
        let objects = &self.stores.gateway;
        let spec = |name: &ObjectName| objects.gateways.get(name)?.spec.as_ref().ok();
        match scope {
            Scope::Fleet => None,
            Scope::Gateway(name) => {
                let served = self.gateways.served.get(name).filter(|it| it.home == *scope)?;
                let (read, spec) = (objects.gateways.get(name)?, spec(name)?);
                let class = objects.classes.get(spec.gateway_class_name.as_str());
                let class = class.and_then(|class| class.spec.as_ref().ok());
                let parameters = class.and_then(|class| class.parameters_ref.as_ref());
                Some(entrances::demand(&read.uid, read.generation, spec, parameters, served))
            }
            Scope::Class(class) => {
                let sharing: Vec<_> = objects
                    .of_class(&class.name)
                    .filter_map(|name| Some((name, spec(name)?, self.gateways.served.get(name)?)))
                    .filter(|(_, _, served)| served.shares.as_ref() == Some(scope))
                    .collect();
                let read = objects.classes.get(&class.name).filter(|_| !sharing.is_empty())?;
                Some(entrances::shared_demand(&class.name, read, &sharing))
            }
        }
    }

    /// The names that a route has of the listeners of a Gateway.
    fn taken(&self, route: &RouteName, gateway: &ObjectName) -> Taken {
        let attachments = self.gateways.attached.get(route).into_iter().flatten();
        let of_gateway = attachments.filter(|it| it.gateway == *gateway);
        let mut taken = Taken::new();
        for (index, hosts) in of_gateway.filter_map(|it| it.listeners.as_ref().ok()).flatten() {
            taken.entry(*index).or_default().extend(hosts.iter().cloned());
        }
        taken
    }

    fn judge_gateway(&self, name: &ObjectName, pending: &mut Pending) {
        let id = GatewayObjectName { kind: GatewayKind::Gateway, name: name.clone() };
        let read = self.stores.gateway.gateways.get(name);
        let read = read.and_then(|read| Some((read, read.spec.as_ref().ok()?)));
        let Some((served, (read, spec))) = self.gateways.served.get(name).zip(read) else {
            pending.gateway_statuses.insert(id, None);
            return;
        };
        let supply = self.supply(name);
        let content = verdicts::gateway(served, &spec.listeners, supply.as_deref(), &self.counts(name));
        let status = GatewayStatus { generation: read.generation, content };
        pending.gateway_statuses.insert(id, Some(Arc::new(status)));
    }

    /// What there is of a Gateway's proxies. Parameters of its own mean nothing for those that it shares.
    fn supply(&self, name: &ObjectName) -> Option<Cow<'_, Supply>> {
        let supply = self.stores.gateway.supplies.get(name)?;
        let shared = matches!(self.gateways.served.get(name)?.home, Scope::Class(_));
        let spec = self.stores.gateway.gateways.get(name)?.spec.as_ref().ok()?;
        let infrastructure = spec.infrastructure.as_ref().filter(|_| shared && supply.refused.is_none());
        let Some(reference) = infrastructure.and_then(|it| it.parameters_ref.as_ref()) else {
            return Some(Cow::Borrowed(supply));
        };
        let message = format!(
            "spec.infrastructure.parametersRef names `{}`, but the Gateways of class `{}` share their proxies: parameters \
             are those of the class",
            reference.name, spec.gateway_class_name
        );
        Some(Cow::Owned(Supply { refused: Some(Refused::Parameters(message)), ..supply.clone() }))
    }

    fn judge_listener_set(&self, name: &ObjectName, pending: &mut Pending) {
        let id = GatewayObjectName { kind: GatewayKind::ListenerSet, name: name.clone() };
        let set = self.stores.gateway.sets.get(name);
        let gateway = set.and_then(|set| objects::gateway_of(name, set));
        let served = gateway.as_ref().and_then(|gateway| self.gateways.served.get(gateway));
        let status = set.zip(gateway.as_ref()).zip(served).map(|((set, gateway), served)| {
            let supply = self.supply(gateway);
            let supply = supply.as_deref();
            let specs: &[ListenerSpec] = set.spec.as_ref().map_or(&[], |spec| &spec.listeners);
            let content = match &set.spec {
                Err(reason) => verdicts::unreadable_set(reason),
                Ok(_) => verdicts::listener_set(served, name, specs, supply, &self.counts(gateway)),
            };
            Arc::new(GatewayStatus { generation: set.generation, content })
        });
        pending.gateway_statuses.insert(id, status);
    }

    fn judge_class(&self, name: &Arc<str>, pending: &mut Pending) {
        let class = self.stores.gateway.classes.get(name);
        let ours = class.filter(|class| {
            class
                .spec
                .as_ref()
                .is_ok_and(|it| self.settings.gateway_controllers.contains(&it.controller_name))
        });
        let status = ours.map(|class| {
            let conditions = vec![Condition::holds("Accepted", "Accepted", "its Gateways are served")];
            let used = self.stores.gateway.of_class.contains_key(name);
            let content = StatusContent::Class { conditions, features: crate::gateway::FEATURES, used };
            Arc::new(GatewayStatus { generation: class.generation, content })
        });
        let id = GatewayObjectName {
            kind: GatewayKind::GatewayClass,
            name: ObjectName::new("", Arc::clone(name)),
        };
        pending.gateway_statuses.insert(id, status);
    }

    fn judge_policy(&mut self, name: &ObjectName, pending: &mut Pending) {
        let policies = &self.stores.gateway.policies;
        let mut gateways: BTreeSet<&ObjectName> = BTreeSet::new();
        for service in policies.services(name) {
            let keys = self.service_backends.get(&service).into_iter().flatten();
            let users = keys.filter_map(|key| self.backends.get(key)).flat_map(Used::users);
            gateways.extend(users.filter_map(|user| match user {
                User::Group(_) | User::Place(_) | User::Connections(_) => None,
                User::Route(contributor) => Some(&contributor.gateway),
            }));
        }
        let read = policies.get(name).filter(|_| !gateways.is_empty());
        let spec = read.and_then(|read| read.spec.as_ref().ok());
        let wanted = spec.map(|spec| policies::wanted(name, spec)).unwrap_or_default();
        let status = read.map(|read| {
            let rival = policies.rival(name).map(|rival| {
                Fault::new("Conflicted", format!("BackendTLSPolicy `{rival}` is for the same and counts"))
            });
            let (refused, unresolved) = match &read.spec {
                Err(reason) => (Some(Fault::new("Invalid", format!("it cannot be read: {reason}"))), None),
                Ok(spec) => {
                    let resolved = policies::resolve(&self.stores, name, &spec.validation);
                    (rival.or_else(|| resolved.trust.err()), resolved.unresolved)
                }
            };
            let of = |gateway: &&ObjectName| {
                let served = self.gateways.served.get(*gateway)?;
                Some(verdicts::policy(gateway, &served.controller, refused.as_ref(), unresolved.as_ref()))
            };
            let ancestors: Vec<_> = gateways.iter().filter_map(of).take(ANCESTORS).collect();
            let content = StatusContent::Policy(ancestors);
            Arc::new(GatewayStatus { generation: read.generation, content })
        });
        let id = GatewayObjectName { kind: GatewayKind::BackendTlsPolicy, name: name.clone() };
        pending.gateway_statuses.insert(id, status);
        self.wants.set(&Wanter::Policy(name.clone()), wanted, pending);
    }

    fn counts(&self, gateway: &ObjectName) -> Counts {
        self.gateways.counts.get(gateway).cloned().unwrap_or_default()
    }
}

/// The API has room for so many in the status of a policy.
const ANCESTORS: usize = 16;

impl Finding {
    /// What the rules of a route come to.
    fn with(self, output: &rules::Output) -> Self {
        let unusable: BTreeSet<usize> = output.unusable.iter().map(|(rule, _)| *rule).collect();
        let first = output.unusable.first().map(|(rule, fault)| {
            Fault::new(
                fault.reason,
                format!("requests of rule {rule} are answered with 500: {}", fault.message),
            )
        });
        let all = !unusable.is_empty() && unusable.len() == output.rules;
        Self {
            unresolved: self.unresolved.or_else(|| output.unresolved.clone()),
            refused: self.refused.or_else(|| first.clone().filter(|_| all)),
            partially: self.partially.or_else(|| first.filter(|_| !all)),
        }
    }
}
