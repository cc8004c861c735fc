//! Configurations as proptest makes them: every variant, not necessarily acceptable.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*};

use crate::model::{
    Action, Address, Arm, ArmId, Case, Change, Cluster, ClusterId, Config, Draining, Endpoint, HostMatch,
    Key, Listener, ListenerId, Mirror, MirrorId, NamedMatch, PathMatch, Rank, Refusal, Rewrite, Route,
    RouteId, Share, Split, SplitId, TextMatch, UnixMillis, Version,
};

pub(crate) fn config() -> impl Strategy<Value = Config> {
    vec(change(), 0..12).prop_map(|changes| {
        let mut config = Config::default();
        for change in changes {
            config.apply(change);
        }
        config
    })
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        listener().prop_map(|it| Change::Listener(Arc::new(it))),
        route().prop_map(|it| Change::Route(Arc::new(it))),
        cluster().prop_map(|it| Change::Cluster(Arc::new(it))),
        key().prop_map(Change::Removed),
    ]
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    (name(), 1..9_999_u32, vec(endpoint(), 0..4)).prop_map(|(id, connect_timeout_ms, endpoints)| Cluster {
        id: ClusterId::new(id),
        connect_timeout_ms,
        endpoints,
    })
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        name().prop_map(|it| Key::Listener(ListenerId::new(it))),
        name().prop_map(|it| Key::Route(RouteId::new(it))),
        name().prop_map(|it| Key::Cluster(ClusterId::new(it))),
    ]
}

fn listener() -> impl Strategy<Value = Listener> {
    (name(), any::<u16>()).prop_map(|(id, port)| Listener { id: ListenerId::new(id), port })
}

fn route() -> impl Strategy<Value = Route> {
    let matches = (host(), path(), case(), option::of(text()), vec(named(), 0..3), vec(named(), 0..3));
    (name(), vec(any::<u8>(), 0..9), matches, action()).prop_map(
        |(id, rank, (host, path, case, method, headers, query), action)| Route {
            id: RouteId::new(id),
            rank: Rank(rank),
            host,
            path,
            case,
            method,
            headers,
            query,
            action,
        },
    )
}

fn host() -> impl Strategy<Value = HostMatch> {
    prop_oneof![
        Just(HostMatch::Any),
        name().prop_map(HostMatch::Exact),
        name().prop_map(HostMatch::Authority),
        name().prop_map(HostMatch::Suffix),
        name().prop_map(HostMatch::Prefix),
        name().prop_map(HostMatch::Regex),
    ]
}

fn path() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        name().prop_map(PathMatch::Prefix),
        name().prop_map(PathMatch::Exact),
        name().prop_map(PathMatch::Regex),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(Case::Counts), Just(Case::Ignored)]
}

fn text() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        name().prop_map(TextMatch::Exact),
        name().prop_map(TextMatch::Regex),
        Just(TextMatch::Present),
    ]
}

fn named() -> impl Strategy<Value = NamedMatch> {
    (name(), text()).prop_map(|(name, value)| NamedMatch { name, value })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (name(), vec(arm(), 0..4), vec(mirror(), 0..3))
            .prop_map(|(id, arms, mirrors)| Action::Split(Split { id: SplitId::new(id), arms, mirrors })),
        (any::<u16>(), name()).prop_map(|(status, reason)| Action::Refuse(Refusal { status, reason })),
    ]
}

fn mirror() -> impl Strategy<Value = Mirror> {
    // Without a path its case has no meaning, and none on the wire.
    let path = prop_oneof![
        Just((None, Case::Counts)),
        (path(), case()).prop_map(|(path, case)| (Some(path), case)),
    ];
    let conditions = (path, option::of(text()), vec(named(), 0..3), vec(named(), 0..3));
    (name(), 0..=10_000_u32, name(), conditions).prop_map(
        |(id, share, cluster, ((path, case), method, headers, query))| Mirror {
            id: MirrorId::new(id),
            share: Share::of_10000(share).unwrap(),
            cluster: ClusterId::new(cluster),
            path,
            case,
            method,
            headers,
            query,
        },
    )
}

fn arm() -> impl Strategy<Value = Arm> {
    let timeout = || option::of(1..u32::MAX);
    let share = (0..=10_000_u32).prop_map(|parts| Share::of_10000(parts).unwrap());
    (name(), share, name(), rewrite(), option::of("[a-z]{1,9}"), timeout(), timeout()).prop_map(
        |(id, share, cluster, rewrite, host_rewrite, timeout_ms, idle_timeout_ms)| Arm {
            id: ArmId::new(id),
            share,
            cluster: ClusterId::new(cluster),
            rewrite,
            host_rewrite,
            timeout_ms,
            idle_timeout_ms,
        },
    )
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    prop_oneof![Just(Rewrite::None), name().prop_map(Rewrite::Prefix), name().prop_map(Rewrite::Full),]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let address = prop_oneof![
        any::<std::net::SocketAddrV4>().prop_map(|it| Address::Socket(it.into())),
        (name(), any::<u16>()).prop_map(|(host, port)| Address::Name { host, port }),
    ];
    let until = (1..i64::MAX).prop_map(UnixMillis);
    let draining = option::of(option::of(until).prop_map(|until| Draining { until }));
    (address, name(), name(), name(), draining).prop_map(|(address, namespace, hash, pod, draining)| {
        Endpoint {
            address,
            version: Version { namespace: namespace.into(), hash: hash.into() },
            pod: pod.into(),
            draining,
        }
    })
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9./:-]{0,12}"
}
