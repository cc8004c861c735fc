//! TLSRoutes, TCPRoutes and UDPRoutes as one Gateway serves them. Of several for the same connections the oldest has them.

use std::collections::{BTreeMap, BTreeSet};

use crds::gateway::RouteKind;
use proxy_config::model::{SplitId, TcpRoute, TcpRouteId};

use super::{
    super::{Backends, backend::BackendKey, stores::Stores},
    attach::Taken,
    backends::{self, Common, Divided, Member, Target},
    entrances::port_id,
    objects::RouteName,
    served::Served,
};
use crate::{
    compiled::SplitReport,
    gateway::{
        filters::{Effects, Limits},
        hostname::HostName,
        listener::{Fault, Listener, Speaks},
        objects::{Read, Route, RouteRules},
    },
};

/// How long a client of UDP stays at its pod without a datagram.
const SESSION_MS: u32 = 60_000;

/// Who gets the connections of a route.
pub(super) fn members(
    stores: &Stores,
    served: &Served,
    route: &RouteName,
    read: &Read<Route>,
) -> Vec<Member> {
    let target = Target { route, shown: served.shown.as_ref(), http2: false };
    let Ok(RouteRules::Stream(spec)) = read.spec.as_ref().map(|route| route.rules.read()) else {
        return Vec::new();
    };
    // More rules than one could not be told apart.
    let backends = spec.rules.first().into_iter().flat_map(|rule| &rule.backend_refs);
    backends.map(|it| target.member(stores, &it.backend, it.weight, Ok(Effects::default()))).collect()
}

/// The backends that they need.
pub(super) fn wanted(members: &[Member]) -> BTreeSet<BackendKey> {
    let keys = members.iter().map(|it| it.key.clone());
    if members.is_empty() { BTreeSet::new() } else { keys.chain([BackendKey::absent()]).collect() }
}

/// What a route refers to that is not there.
pub(super) fn unresolved(members: &[Member], backends: Backends<'_>) -> Option<Fault> {
    members.iter().find_map(|member| member.unresolved(backends))
}

/// What the stream routes of a Gateway contribute.
#[derive(Default)]
pub(super) struct Output {
    pub(super) routes: BTreeMap<TcpRouteId, TcpRoute>,
    pub(super) splits: BTreeMap<SplitId, SplitReport>,
    /// The server names that listeners end TLS for, by the listener's index.
    pub(super) ended: BTreeMap<usize, BTreeSet<String>>,
}

/// The routes that are attached to a Gateway, and the names that each has of each listener.
pub(super) fn compile(
    stores: &Stores,
    served: &Served,
    attached: &[(&RouteName, &Read<Route>, Taken)],
    backends: Backends<'_>,
) -> Output {
    let mut output = Output::default();
    let scope = &served.place.home;
    let mut sorted: Vec<_> = attached.iter().collect();
    sorted.sort_by_key(|(name, read, _)| (read.created, &name.name, name.kind));
    for (index, listener) in served.listeners.iter().enumerate().filter(|(_, it)| it.served()) {
        let mut claimed: BTreeSet<HostName> = BTreeSet::new();
        for (name, read, taken) in &sorted {
            let Some(hosts) = taken.get(&index) else { continue };
            let won: Vec<HostName> =
                hosts.iter().filter(|host| claimed.insert((*host).clone())).cloned().collect();
            if won.is_empty() {
                continue;
            }
            let members = members(stores, served, name, read);
            let id = format!("{} {} {}", name.kind.as_str(), name.name, listener.id());
            let common = Common {
                id: SplitId::new(format!("{scope} {id}")),
                route: name,
                scope,
                version: backends::version(name, &read.resource_version),
                effects: &Effects::default(),
                limits: Limits::default(),
                mirrors: Vec::new(),
            };
            let Divided::Split(mut split, report) = backends::divide(common, &members, backends) else {
                continue;
            };
            if name.kind == RouteKind::Udp {
                split.arms.iter_mut().for_each(|arm| arm.idle_timeout_ms = Some(SESSION_MS));
            }
            if listener.speaks == Some(Speaks::Tls) {
                output.ended.entry(index).or_default().extend(won.iter().map(HostName::show));
            }
            output.splits.insert(split.id.clone(), *report);
            let route = TcpRoute {
                id: TcpRouteId::new(id),
                listeners: vec![port_id(listener)],
                server_names: server_names(listener, &won),
                terminate: listener.speaks == Some(Speaks::Tls),
                split,
            };
            output.routes.insert(route.id.clone(), route);
        }
    }
    output
}

fn server_names(listener: &Listener, won: &[HostName]) -> Vec<String> {
    match listener.speaks {
        Some(Speaks::Tls | Speaks::Passthrough) => won.iter().map(HostName::show).collect(),
        Some(Speaks::Http | Speaks::Https | Speaks::Tcp | Speaks::Udp) | None => Vec::new(),
    }
}
