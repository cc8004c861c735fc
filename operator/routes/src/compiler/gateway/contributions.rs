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
    gateway::{
        GatewayObjectName, GatewayStatus, listener::Fault, objects::RouteRules, status::StatusContent,
    },
    object::ObjectName,
    scope::Scope,
};

/// What a route contributes to a Gateway.
#[derive(Debug, Default)]
pub(super) struct Contribution {
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
    /// Attaches and compiles the routes that were touched.
    pub(in crate::compiler) fn compile_routes(&mut self, pending: &mut Pending) {
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
        let scope = self.gateways.served.get(gateway).map(|it| it.place.home.clone());
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
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(Arc::new(report)))));
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
