//! Gateways, each with proxies of its own or with those that its class shares, and the routes that attach to them.
//!
//! | to change … | look in |
//! |---|---|
//! | who refers to whom, and what a change touches | `objects.rs` |
//! | what decides about the listeners of a Gateway | `served.rs` |
//! | which ports are opened, which hosts are told apart | `entrances.rs` |
//! | to which listeners a route attaches | `attach.rs` |
//! | what a route contributes to a Gateway | `contributions.rs` |
//! | what the rules of HTTPRoutes and GRPCRoutes become | `rules.rs`, `backends.rs` |
//! | what TLSRoutes, TCPRoutes and UDPRoutes become | `streams.rs` |
//! | which BackendTLSPolicy counts | `policies.rs` |
//! | what statuses say | `judged.rs`, `verdicts.rs` |
//! | which rule answers a request, and why others do not | `explain.rs`, `rules/asked.rs` |

mod attach;
mod backends;
mod contributions;
mod entrances;
mod explain;
mod judged;
mod objects;
pub(super) mod policies;
mod references;
mod rules;
mod served;
mod streams;
mod verdicts;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use foldhash::HashMap;
use proxy_config::model::{Certificate, SplitId};

pub(super) use self::objects::{Objects, RouteName, Touched};
use self::{
    attach::{Attachment, Taken},
    contributions::Contribution,
    served::Served,
    verdicts::Counts,
};
use super::{
    Compiler, Pending, certificates,
    uses::{Backends, Made},
    wants::{Wanted, Wanter},
};
use crate::{
    gateway::{Demand, GatewayStatus, listener},
    object::ObjectName,
    recent::Recent,
    scope::Scope,
};

/// What is made of the objects.
#[derive(Debug, Default)]
pub(super) struct Derived {
    served: BTreeMap<ObjectName, Served>,
    /// What each route contributes to the Gateways that it names and that are ours.
    contributions: HashMap<RouteName, Vec<Contribution>>,
    /// The TLSRoutes, TCPRoutes and UDPRoutes of each Gateway.
    streams: BTreeMap<ObjectName, BTreeSet<RouteName>>,
    /// The splits of these, by the proxies that have them.
    stream_splits: BTreeMap<Scope, BTreeSet<SplitId>>,
    /// What was said of routes lately.
    said: Recent<GatewayStatus>,
    /// How many routes each listener has.
    counts: BTreeMap<ObjectName, Counts>,
    certificates: BTreeMap<Scope, Vec<Arc<Certificate>>>,
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
            let scopes = scopes.flat_map(|it| it.place.scopes());
            self.touched.gateway.scopes.extend(scopes.cloned());
            if before.as_ref() != self.gateways.served.get(&name) {
                let touched = &mut self.touched.gateway;
                touched.routes.extend(self.stores.gateway.routes_of(&name));
                let policies = |it: &Served| it.controller.clone();
                let after = self.gateways.served.get(&name);
                if before.as_ref().map(policies) != after.map(policies) {
                    let homes = [before.as_ref(), after].map(|it| it.map(|it| &it.place.home));
                    let services = self
                        .backends
                        .iter()
                        .filter(|(_, used)| homes.into_iter().flatten().any(|scope| used.is_used_in(scope)));
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
        let before = all.iter().filter_map(|name| Some(self.gateways.served.get(name)?.place.clone()));
        let now = all.iter().filter_map(|name| served::place(&self.stores, name));
        let scopes = before.chain(now).flat_map(|it| it.scopes().cloned().collect::<Vec<_>>());
        for scope in scopes.collect::<BTreeSet<Scope>>() {
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
        let Scope::Class(class) = &served.place.home else { return };
        let place = |name: &ObjectName| (self.stores.gateway.age(name), name.clone());
        let own = place(name);
        let others = self.stores.gateway.of_class(&class.name).filter(|other| place(other) < own);
        let mut elders: Vec<(&ObjectName, &Served)> = others
            .filter_map(|other| self.gateways.served.get_key_value(other))
            .filter(|(_, other)| other.place.home == served.place.home)
            .collect();
        elders.sort_by_cached_key(|(name, _)| place(name));
        let elders = elders.into_iter();
        let elders: Vec<_> =
            elders.flat_map(|(name, it)| it.listeners.iter().map(move |it| (name, it))).collect();
        listener::give_way(&mut served.listeners, &elders);
    }

    /// Opens the ports of Gateways and says what there is to say of them.
    pub(super) fn judge_gateways(&mut self, pending: &mut Pending) {
        let judged = mem::take(&mut self.touched.gateway.judged);
        let mut scopes = mem::take(&mut self.touched.gateway.scopes);
        for name in &judged {
            self.judge_gateway(name, pending);
            scopes.insert(Scope::Gateway(name.clone()));
            scopes.extend(self.gateways.served.get(name).map(|it| it.place.home.clone()));
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
            self.gateways.served.get_key_value(name).filter(|(_, served)| served.place.home == *scope)
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
                    let read = &**self.stores.gateway.routes.get(route)?;
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
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(Arc::new(report)))));
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
                let served = self.gateways.served.get(name).filter(|it| it.place.concerns(scope))?;
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
                    .filter(|(_, _, served)| served.place.concerns(scope))
                    .collect();
                let read = objects.classes.get(&class.name).filter(|_| !sharing.is_empty())?;
                Some(entrances::shared_demand(scope, &class.name, read, &sharing))
            }
        }
    }

    /// To what a route attaches.
    fn attachments(&self, route: &RouteName) -> Vec<Attachment> {
        let read = self.stores.gateway.routes.get(route).and_then(|read| read.spec.as_ref().ok());
        read.map(|read| attach::attach(&self.stores, &self.gateways.served, route, read)).unwrap_or_default()
    }

    /// The names that a route has of the listeners of a Gateway.
    fn taken(&self, route: &RouteName, gateway: &ObjectName) -> Taken {
        attach::taken(&self.attachments(route), gateway)
    }
}
