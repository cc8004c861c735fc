//! What a route contributes to each Gateway that it attaches to.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use crds::gateway::{GatewayKind, RouteKind};
use proxy_config::model::{RouteId, SplitId};

use super::{
    super::{
        Compiler, Pending,
        uses::{Backends, Contributor, Made, User},
    },
    attach::{self, Attachment, Taken},
    objects::{self, RouteName},
    rules, streams, verdicts,
};
use crate::{
    compiled::SplitReport,
    gateway::{GatewayObjectName, GatewayStatus, listener::Fault, status::StatusContent},
    object::ObjectName,
    scope::Scope,
};

/// What a route contributes to a Gateway, if that is anything. There are as many as routes, so they are no larger than
/// they must be.
#[derive(Debug)]
pub(super) struct Contribution {
    /// Which route, to which Gateway, and which proxies have it.
    by: Arc<Contributor>,
    routes: Box<[RouteId]>,
    splits: Box<[SplitId]>,
    /// The ids of its listeners.
    listeners: Box<[Arc<str>]>,
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
    /// Attaches and compiles the routes that were touched.
    pub(in crate::compiler) fn compile_routes(&mut self, pending: &mut Pending) {
        for name in mem::take(&mut self.touched.gateway.routes) {
            self.compile_route(&name, pending);
        }
    }

    fn compile_route(&mut self, name: &RouteName, pending: &mut Pending) {
        let read = self.stores.gateway.routes.get(name);
        let generation = read.map(|read| read.generation);
        let attachments = self.attachments(name);
        let before = self.gateways.contributions.get(name).into_iter().flatten();
        let before = before.map(|it| it.by.gateway.clone());
        let gateways: BTreeSet<ObjectName> =
            before.chain(attachments.iter().map(|it| it.gateway.clone())).collect();
        let mut findings: BTreeMap<ObjectName, Finding> = BTreeMap::new();
        for gateway in gateways {
            let names = attachments.iter().any(|it| it.gateway == gateway);
            let taken = attach::taken(&attachments, &gateway);
            let finding = self.contribute(name, &gateway, names.then_some(&taken), pending);
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
            .map(|generation| GatewayStatus { generation, content: StatusContent::Route(parents) })
            .map(|status| self.gateways.said.share(status));
        let id = GatewayObjectName { kind: GatewayKind::Route(name.kind), name: name.name.clone() };
        pending.gateway_statuses.insert(id, status);
    }

    /// Brings up to date what a route contributes to a Gateway, of whose listeners it has these names; `None`: it does not
    /// name the Gateway any more.
    fn contribute(
        &mut self,
        name: &RouteName,
        gateway: &ObjectName,
        named: Option<&Taken>,
        pending: &mut Pending,
    ) -> Finding {
        let contributions = self.gateways.contributions.get(name).into_iter().flatten();
        let before = contributions.map(|it| &it.by).find(|by| by.gateway == *gateway).map(Arc::clone);
        let scope = self.gateways.served.get(gateway).map(|it| it.place.home.clone());
        let scope = scope.or_else(|| before.as_ref().map(|it| it.scope.clone()));
        let scope = scope.unwrap_or_else(|| Scope::Gateway(gateway.clone()));
        let by = match before {
            Some(by) if by.scope == scope => by,
            before => {
                if let Some(before) = before {
                    // It moves to other proxies.
                    self.exchange((name, gateway), None, pending);
                    self.set_uses(&User::Route(before), BTreeSet::new(), Made::default(), pending);
                }
                let (gateway, route) = (gateway.clone(), name.clone());
                Arc::new(Contributor { scope: scope.clone(), gateway, route })
            }
        };
        let nothing = Taken::new();
        let taken = named.unwrap_or(&nothing);
        let mut listeners = Box::default();
        let mut finding = Finding::default();
        let mut splits: Vec<(SplitId, SplitReport)> = Vec::new();
        let mut routes = Vec::new();
        let (mut wanted, mut made) = (BTreeSet::new(), Made::default());
        if let Some((served, read)) =
            self.gateways.served.get(gateway).zip(self.stores.gateway.routes.get(name))
        {
            if let Some(reason) = read.spec.as_ref().ok().and_then(|route| route.rules.unreadable()) {
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
                let counts = self.gateways.counts.get(gateway);
                let known = |id: String| {
                    counts
                        .and_then(|it| Some(Arc::clone(it.get_key_value(&*id)?.0)))
                        .unwrap_or_else(|| id.into())
                };
                // Listeners have different ids.
                listeners = taken.keys().map(|index| known(served.listeners[*index].id())).collect();
            }
        }
        let contribution = named.map(|_| Contribution {
            by: Arc::clone(&by),
            routes: routes.iter().map(|route| route.id.clone()).collect(),
            splits: splits.iter().map(|(id, _)| id.clone()).collect(),
            listeners,
        });
        self.exchange((name, gateway), contribution, pending);
        let of_scope = pending.scope(&scope);
        of_scope.routes.extend(routes.into_iter().map(|route| (route.id.clone(), Some(Arc::new(route)))));
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(Arc::new(report)))));
        self.set_uses(&User::Route(by), wanted, made, pending);
        finding
    }

    /// Puts one contribution in the place of another: what only the old one has is gone.
    fn exchange(
        &mut self,
        (name, gateway): (&RouteName, &ObjectName),
        now: Option<Contribution>,
        pending: &mut Pending,
    ) {
        let mut all = self.gateways.contributions.remove(name).unwrap_or_default();
        let counts = self.gateways.counts.entry(gateway.clone()).or_default();
        if let Some(index) = all.iter().position(|it| it.by.gateway == *gateway) {
            let before = all.swap_remove(index);
            let of_scope = pending.scope(&before.by.scope);
            of_scope.routes.extend(before.routes.into_iter().map(|id| (id, None)));
            pending.splits.extend(before.splits.into_iter().map(|id| (id, None)));
            for listener in before.listeners {
                if let Some(count) = counts.get_mut(&listener) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&listener);
                    }
                }
            }
        }
        let listeners = now.as_ref().map_or(&[][..], |it| &it.listeners);
        for listener in listeners {
            *counts.entry(Arc::clone(listener)).or_default() += 1;
        }
        if counts.is_empty() {
            self.gateways.counts.remove(gateway);
        }
        let of_streams = !matches!(name.kind, RouteKind::Http | RouteKind::Grpc);
        if of_streams && !listeners.is_empty() {
            self.gateways.streams.entry(gateway.clone()).or_default().insert(name.clone());
        } else {
            objects::take(&mut self.gateways.streams, gateway, name);
        }
        if let Some(now) = now {
            all.reserve_exact(1);
            all.push(now);
        }
        if !all.is_empty() {
            self.gateways.contributions.insert(name.clone(), all);
        }
    }
}

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
