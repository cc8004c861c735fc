//! Changes as tests write them.

use std::{net::SocketAddr, sync::Arc};

use proxy_config::model::{
    Action, Address, Arm, ArmId, Case, Change, Cluster, ClusterId, Draining, Endpoint, Filters, HostMatch,
    HostRewrite, Key, Listener, ListenerId, Mirror, MirrorId, PathMatch, Rank, Refusal, Rewrite, Route,
    RouteId, Share, Split, SplitId, Version,
};

/// The listener on this port.
pub(crate) fn listener(port: u16) -> Change {
    Change::Listener(Arc::new(Listener::http(ListenerId::new("http"), port)))
}

/// The listener on this port, changed first.
pub(crate) fn listener_with(port: u16, change: impl FnOnce(&mut Listener)) -> Change {
    let mut listener = Listener::http(ListenerId::new("http"), port);
    change(&mut listener);
    Change::Listener(Arc::new(listener))
}

/// A cluster of pods; each has an address and the hash of its version.
pub(crate) fn cluster(id: &str, pods: &[(SocketAddr, &str)]) -> Change {
    let pods: Vec<_> = pods.iter().map(|(address, hash)| (*address, *hash, false)).collect();
    cluster_with_draining(id, &pods)
}

/// A cluster of which some pods get no new requests.
pub(crate) fn cluster_with_draining(id: &str, pods: &[(SocketAddr, &str, bool)]) -> Change {
    let draining = |draining: bool| draining.then(Draining::default);
    let pods: Vec<_> = pods.iter().map(|(address, hash, it)| (*address, *hash, draining(*it))).collect();
    cluster_with(id, &pods)
}

/// A cluster of pods, each draining or not.
pub(crate) fn cluster_with(id: &str, pods: &[(SocketAddr, &str, Option<Draining>)]) -> Change {
    let mut endpoints: Vec<_> = pods
        .iter()
        .map(|(address, hash, draining)| Endpoint {
            address: Address::Socket(*address),
            version: Version { namespace: "default".into(), hash: (*hash).into() },
            // One pod an address, as in a cluster.
            pod: format!("pod-{}", address.port()).into(),
            draining: *draining,
            zones: Vec::new(),
        })
        .collect();
    endpoints.sort();
    Change::Cluster(Arc::new(Cluster::plain(ClusterId::new(id), 2_000, endpoints)))
}

/// A route for everything; each arm goes to the cluster of its own name.
pub(crate) fn route(arms: &[(&str, u32)]) -> Change {
    Change::Route(Arc::new(route_value("/", arms)))
}

/// A route whose arms are changed first.
pub(crate) fn route_with(path: &str, arms: &[(&str, u32)], change: impl Fn(&mut Arm)) -> Change {
    let mut route = route_value(path, arms);
    if let Action::Split(split) = &mut route.action {
        split.arms.iter_mut().for_each(change);
    }
    Change::Route(Arc::new(route))
}

/// A route that is changed first.
pub(crate) fn route_changed(path: &str, arms: &[(&str, u32)], change: impl FnOnce(&mut Route)) -> Change {
    let mut route = route_value(path, arms);
    change(&mut route);
    Change::Route(Arc::new(route))
}

/// A route for everything whose requests are copied to the cluster of the mirror's name.
pub(crate) fn mirrored(
    arms: &[(&str, u32)],
    mirror: &str,
    share: u32,
    change: impl Fn(&mut Mirror),
) -> Change {
    let mut route = route_value("/", arms);
    let mut mirror = Mirror {
        id: MirrorId::new(mirror),
        share: Share::of_10000(share).unwrap(),
        cluster: ClusterId::new(mirror),
        path: None,
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    change(&mut mirror);
    if let Action::Split(split) = &mut route.action {
        split.mirrors.push(mirror);
    }
    Change::Route(Arc::new(route))
}

/// A route for one host, with its name as id.
pub(crate) fn route_of_host(host: &str, arms: &[(&str, u32)]) -> Change {
    let mut route = route_value("/", arms);
    route.id = RouteId::new(host);
    route.host = HostMatch::Exact(host.into());
    Change::Route(Arc::new(route))
}

/// A route that the proxy answers itself.
pub(crate) fn refusal(path: &str, status: u16, reason: &str) -> Change {
    let action = Action::Refuse(Refusal { status, reason: reason.into() });
    Change::Route(Arc::new(Route { action, ..route_value(path, &[]) }))
}

pub(crate) fn without_route(path: &str) -> Change {
    Change::Removed(Key::Route(RouteId::new(path)))
}

pub(crate) fn route_value(path: &str, arms: &[(&str, u32)]) -> Route {
    let arm = |(id, share): &(&str, u32)| Arm {
        id: ArmId::new(*id),
        share: Share::of_10000(*share).unwrap(),
        cluster: ClusterId::new(*id),
        rewrite: Rewrite::None,
        host_rewrite: HostRewrite::Keep,
        timeout_ms: None,
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    };
    Route {
        id: RouteId::new(path),
        // Longer paths first, as the compiler does.
        rank: Rank(vec![u8::MAX - u8::try_from(path.len()).unwrap()]),
        host: HostMatch::Any,
        path: PathMatch::Prefix(path.into()),
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Split(Split {
            id: SplitId::new(path),
            arms: arms.iter().map(arm).collect(),
            mirrors: Vec::new(),
        }),
    }
}
