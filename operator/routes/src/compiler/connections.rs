//! TCPMappings of one port and server name share its connections.

use std::{collections::BTreeSet, sync::Arc};

use proxy_config::model::{
    Arm, ArmId, HostRewrite, ListenerId, Rewrite, Share, Split, SplitId, TcpRoute, TcpRouteId,
};

use super::{Backends, Compiler, Pending, User, backend::BackendKey, subject, verdict};
use crate::{
    compat::Compat,
    object::{ObjectName, ResolverKind},
    tcp::{TcpKey, TcpMapping},
    weights::{Claim, divide},
};

/// The id of the listener of a port that no Listener has.
pub(super) fn listener(port: u16) -> ListenerId {
    ListenerId::new(format!("tcp {port}"))
}

impl Compiler {
    /// Computes the way of the connections of one port and server name.
    pub(super) fn compile_connections(&mut self, key: &TcpKey, pending: &mut Pending) {
        let id = id(key);
        let mut admitted: Vec<(&ObjectName, &TcpMapping, BackendKey, &str)> = Vec::new();
        for name in self.connections.get(key).into_iter().flatten() {
            let Some(read) = self.stores.tcp_mappings.get(name) else { continue };
            let Ok(mapping) = &read.value else { continue };
            let pods = match self.stores.resolver(mapping.resolver.as_deref()) {
                Some(ResolverKind::Service) => Ok(false),
                Some(ResolverKind::Endpoint) => Ok(true),
                Some(ResolverKind::Consul) => Err("Consul is not asked for endpoints".to_owned()),
                None => Err(format!(
                    "resolver `{}` does not exist",
                    mapping.resolver.as_deref().unwrap_or_default()
                )),
            };
            match pods {
                Ok(pods) => {
                    let backend =
                        BackendKey::of(&mapping.service, &mapping.connection, &name.namespace, pods);
                    admitted.push((name, mapping, backend, &read.load_key));
                }
                Err(reason) => {
                    pending.statuses.insert(subject(read), Some(verdict::inactive(reason)));
                }
            }
        }
        admitted.sort_by_key(|(_, _, _, load_key)| *load_key);
        let wanted: BTreeSet<BackendKey> =
            admitted.iter().map(|(_, _, backend, _)| backend.clone()).collect();
        let made = self.make(&wanted);
        let backends = Backends { known: &self.backends, made: &made };
        // Relative weights, which upstream gets wrong: never its own arithmetic.
        let claim = |mapping: &TcpMapping| Claim { written: mapping.weight, owned: false, above_all: false };
        let claims: Vec<Claim> = admitted.iter().map(|(_, mapping, _, _)| claim(mapping)).collect();
        let shares = divide(&claims, Compat::Ideal);
        let mut arms: Vec<Arm> = admitted
            .iter()
            .zip(&shares.shares)
            .map(|((name, mapping, backend, _), share)| {
                let cluster = &backends[backend].cluster.id;
                Arm { idle_timeout_ms: mapping.idle_timeout_ms, ..arm(name, *share, cluster) }
            })
            .collect();
        arms.sort_by(|a, b| a.id.cmp(&b.id));
        let carried = arms.iter().map(|arm| u32::from(arm.share.parts())).sum::<u32>() == 10_000;
        for (name, mapping, backend, _) in &admitted {
            let Some(read) = self.stores.tcp_mappings.get(*name) else { continue };
            let backend = &backends[backend];
            let problem = backend.problem.as_ref().map(|problem| problem.text.clone());
            let problem = problem
                .or_else(|| (!carried).then(|| "no TCPMapping takes a share of its connections".to_owned()));
            let remarks: Vec<String> =
                mapping.remarks.iter().cloned().chain(backend.remark.clone()).collect();
            let status = problem.map_or_else(|| verdict::running(remarks.join("; ")), verdict::inactive);
            pending.statuses.insert(subject(read), Some(status));
        }
        let route = carried.then(|| TcpRoute {
            id: id.clone(),
            listeners: vec![self.listener_of(key.port, pending)],
            server_names: key.host.iter().cloned().collect(),
            terminate: key.host.is_some(),
            split: Split { id: SplitId::new(id.as_str()), arms, mirrors: Vec::new() },
        });
        pending.fleet.tcp_routes.insert(id, route.map(Arc::new));
        self.set_uses(&User::Connections(key.clone()), wanted, made, pending);
    }

    /// The listener of a port; entrances are computed before.
    fn listener_of(&self, port: u16, pending: &Pending) -> ListenerId {
        let new = pending.fleet.listeners.there();
        let known = self.compiled.config.listeners.iter();
        let found = new.into_iter().chain(known).find(|(_, listener)| listener.port == port);
        found.map_or_else(|| listener(port), |(id, _)| id.clone())
    }
}

fn id(key: &TcpKey) -> TcpRouteId {
    let TcpKey { port, host } = key;
    TcpRouteId::new(match host {
        Some(host) => format!("tcp {port} {host}"),
        None => format!("tcp {port}"),
    })
}

fn arm(name: &ObjectName, share: Share, cluster: &proxy_config::model::ClusterId) -> Arm {
    Arm {
        id: ArmId::new(name.to_string()),
        share,
        cluster: cluster.clone(),
        rewrite: Rewrite::None,
        host_rewrite: HostRewrite::Keep,
        timeout_ms: None,
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    }
}
