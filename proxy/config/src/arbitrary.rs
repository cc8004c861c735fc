//! Configurations as proptest makes them: every variant, not necessarily acceptable.

mod cluster;
mod filters;
mod listener;

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*};

use crate::model::{
    Action, Address, Arm, ArmId, Case, Certificate, CertificateId, Change, Cluster, ClusterId, Config,
    Draining, Endpoint, HostId, HostMatch, HostRewrite, Key, ListenerId, Mirror, MirrorId, NamedMatch,
    PathMatch, Rank, RedirectTo, Refusal, RegexRewrite, Rewrite, Route, RouteId, Scheme, Secret, Share,
    Split, SplitId, TcpRoute, TcpRouteId, TextMatch, ToHttps, UnixMillis, Version,
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
        listener::listener().prop_map(|it| Change::Listener(Arc::new(it))),
        route().prop_map(|it| Change::Route(Arc::new(it))),
        cluster().prop_map(|it| Change::Cluster(Arc::new(it))),
        certificate().prop_map(|it| Change::Certificate(Arc::new(it))),
        listener::host().prop_map(|it| Change::Host(Arc::new(it))),
        tcp_route().prop_map(|it| Change::TcpRoute(Arc::new(it))),
        key().prop_map(Change::Removed),
    ]
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let ways = (cluster::protocol(), option::of(cluster::tls()));
    let choices = (cluster::balance(), cluster::limits(), cluster::outliers(), vec(cluster::check(), 0..3));
    let endpoints = (vec(endpoint(), 0..4), any::<bool>());
    (name(), 1..9_999_u32, endpoints, ways, choices).prop_map(
        |(
            id,
            connect_timeout_ms,
            (endpoints, absent),
            (protocol, tls),
            (balance, limits, outliers, checks),
        )| Cluster {
            id: ClusterId::new(id),
            connect_timeout_ms,
            endpoints,
            protocol,
            tls: tls.map(Box::new),
            balance,
            limits,
            outliers,
            checks,
            absent,
        },
    )
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (name(), name(), name()).prop_map(|(id, chain, key)| Certificate {
        id: CertificateId::new(id),
        chain,
        key: Secret(key),
    })
}

fn tcp_route() -> impl Strategy<Value = TcpRoute> {
    (name(), listeners(), vec(name(), 0..3), any::<bool>(), split()).prop_map(
        |(id, listeners, server_names, terminate, split)| TcpRoute {
            id: TcpRouteId::new(id),
            listeners,
            server_names,
            terminate,
            split,
        },
    )
}

fn listeners() -> impl Strategy<Value = Vec<ListenerId>> {
    vec(name().prop_map(ListenerId::new), 0..3)
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        name().prop_map(|it| Key::Listener(ListenerId::new(it))),
        name().prop_map(|it| Key::Route(RouteId::new(it))),
        name().prop_map(|it| Key::Cluster(ClusterId::new(it))),
        name().prop_map(|it| Key::Certificate(CertificateId::new(it))),
        name().prop_map(|it| Key::Host(HostId::new(it))),
        name().prop_map(|it| Key::TcpRoute(TcpRouteId::new(it))),
    ]
}

fn route() -> impl Strategy<Value = Route> {
    let matches = (host(), path(), case(), option::of(text()), vec(named(), 0..3), vec(named(), 0..3));
    let admission = (listeners(), vec(name(), 0..3), option::of(to_https()));
    (name(), vec(any::<u8>(), 0..9), matches, admission, filters::filters(), action()).prop_map(
        |(
            id,
            rank,
            (host, path, case, method, headers, query),
            (listeners, classes, to_https),
            filters,
            action,
        )| Route {
            id: RouteId::new(id),
            rank: Rank(rank),
            host,
            path,
            case,
            method,
            headers,
            query,
            listeners,
            classes,
            to_https,
            filters,
            action,
        },
    )
}

fn to_https() -> impl Strategy<Value = ToHttps> {
    (any::<u16>(), 1..=u16::MAX).prop_map(|(status, port)| ToHttps { status, port })
}

fn host() -> impl Strategy<Value = HostMatch> {
    prop_oneof![
        Just(HostMatch::Any),
        name().prop_map(HostMatch::Exact),
        name().prop_map(HostMatch::Authority),
        name().prop_map(HostMatch::Suffix),
        name().prop_map(HostMatch::Label),
        name().prop_map(HostMatch::Prefix),
        name().prop_map(HostMatch::Regex),
    ]
}

fn path() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        name().prop_map(PathMatch::Prefix),
        name().prop_map(PathMatch::Exact),
        name().prop_map(PathMatch::Regex),
        name().prop_map(PathMatch::Elements),
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
        split().prop_map(Action::Split),
        (any::<u16>(), name()).prop_map(|(status, reason)| Action::Refuse(Refusal { status, reason })),
        redirect().prop_map(Action::Redirect),
    ]
}

fn split() -> impl Strategy<Value = Split> {
    (name(), vec(arm(), 0..4), vec(mirror(), 0..3)).prop_map(|(id, arms, mirrors)| Split {
        id: SplitId::new(id),
        arms,
        mirrors,
    })
}

fn redirect() -> impl Strategy<Value = RedirectTo> {
    let scheme = prop_oneof![Just(Scheme::Http), Just(Scheme::Https)];
    let place = (option::of(scheme), option::of("[a-z]{1,9}"), option::of(1..=u16::MAX));
    (any::<u16>(), place, rewrite()).prop_map(|(status, (scheme, host, port), path)| RedirectTo {
        status,
        scheme,
        host,
        port,
        path,
    })
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
    let edits = (filters::edits(), filters::edits());
    (name(), share, name(), rewrite(), host_rewrite(), (timeout(), timeout(), timeout()), edits).prop_map(
        |(id, share, cluster, rewrite, host_rewrite, timeouts, (request_headers, response_headers))| Arm {
            id: ArmId::new(id),
            share,
            cluster: ClusterId::new(cluster),
            rewrite,
            host_rewrite,
            timeout_ms: timeouts.0,
            idle_timeout_ms: timeouts.1,
            total_timeout_ms: timeouts.2,
            request_headers,
            response_headers,
        },
    )
}

fn host_rewrite() -> impl Strategy<Value = HostRewrite> {
    prop_oneof![
        Just(HostRewrite::Keep),
        "[a-z]{1,9}".prop_map(HostRewrite::Literal),
        Just(HostRewrite::Endpoint)
    ]
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    prop_oneof![
        Just(Rewrite::None),
        name().prop_map(Rewrite::Prefix),
        name().prop_map(Rewrite::Full),
        (name(), name())
            .prop_map(|(pattern, substitution)| Rewrite::Regex(RegexRewrite { pattern, substitution })),
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let address = prop_oneof![
        any::<std::net::SocketAddrV4>().prop_map(|it| Address::Socket(it.into())),
        (name(), any::<u16>()).prop_map(|(host, port)| Address::Name { host, port }),
    ];
    let until = (1..i64::MAX).prop_map(UnixMillis);
    let draining = option::of(option::of(until).prop_map(|until| Draining { until }));
    let zones = vec("[a-z]{1,3}".prop_map(Into::into), 0..2);
    (address, name(), name(), name(), draining, zones).prop_map(
        |(address, namespace, hash, pod, draining, zones)| Endpoint {
            address,
            version: Version { namespace: namespace.into(), hash: hash.into() },
            pod: pod.into(),
            draining,
            zones,
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9./:-]{0,12}"
}
