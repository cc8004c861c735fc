//! Hosts, certificates, TCP routes, and how clusters are spoken to and balanced.

use std::sync::Arc;

use super::{assert_problem, cluster, good, split};
use crate::{
    model::{
        Action, Balance, BalancePolicy, Certificate, CertificateId, Change, Cluster, Config, HashCookie,
        HashKey, Host, HostId, Insecure, Key, Listener, ListenerId, Outliers, Protocol, ProxyProtocol,
        Secret, ServerTls, SplitId, TcpRoute, TcpRouteId, TlsVersion, TlsVersions, Trust, UpstreamTls,
    },
    validate::validate,
};

/// With a host that has a certificate, and a TCP route.
fn secure() -> Config {
    let mut config = good();
    let id = CertificateId::new("cert");
    let certificate = Certificate { id, chain: String::new(), key: Secret("secret".into()) };
    config.apply(Change::Certificate(Arc::new(certificate)));
    config.apply(Change::Host(Arc::new(host())));
    config.apply(Change::TcpRoute(Arc::new(tcp_route())));
    config
}

pub(super) fn host() -> Host {
    Host {
        id: HostId::new("host"),
        names: vec!["example.org".into(), "*.example.org".into(), "*".into()],
        listeners: vec![ListenerId::new("https")],
        tls: Some(ServerTls {
            certificates: vec![CertificateId::new("cert")],
            versions: TlsVersions::default(),
            alpn: vec!["h2".into()],
            client: None,
        }),
        insecure: Insecure::Redirect(443),
        class: String::new(),
    }
}

pub(super) fn tcp_route() -> TcpRoute {
    let Action::Split(split) = split(&[("a", 10_000)]) else { unreachable!("the fixture is a split") };
    TcpRoute {
        id: TcpRouteId::new("tcp"),
        listeners: vec![ListenerId::new("https")],
        server_names: vec!["db.example.org".into()],
        terminate: false,
        split: crate::model::Split { id: SplitId::new("tcp"), mirrors: Vec::new(), ..split },
    }
}

#[track_caller]
/// TLS towards endpoints that are shown a certificate.
pub(super) fn shown(certificate: &str) -> UpstreamTls {
    UpstreamTls {
        server_name: None,
        names: Vec::new(),
        trust: Trust::Anyone,
        certificate: Some(CertificateId::new(certificate)),
        versions: TlsVersions::default(),
    }
}

fn assert_host_problem(edit: impl FnOnce(&mut Host), expected: &str) {
    let (mut config, mut host) = (secure(), host());
    edit(&mut host);
    config.apply(Change::Host(Arc::new(host)));
    assert_problem(&config, &format!("host host: {expected}"));
}

#[track_caller]
fn assert_cluster_problem(edit: impl FnOnce(&mut Cluster), expected: &str) {
    let mut cluster = cluster(&[("198.18.0.7:80", "a")]);
    edit(&mut cluster);
    let mut config = secure();
    config.apply(Change::Cluster(Arc::new(cluster)));
    assert_problem(&config, &format!("cluster echo: {expected}"));
}

#[test]
fn a_good_config_with_tls_has_no_problem() {
    assert_eq!(validate(&secure()), []);
}

#[test]
fn no_log_holds_a_key() {
    assert!(!format!("{:?}", secure()).contains("secret"));
}

#[test]
fn hosts_have_names_and_certificates() {
    assert_host_problem(|it| it.names.clear(), "there are no names");
    for name in
        ["Example.org", "a.*.org", "*a*", "*.a.*", "a..*", "*.a.", "a..b", "", "a.org:443", "*.", "[a]"]
    {
        let expected = format!(
            "name `{name}` is no host name in lower case, with at most one `*` as its beginning or its end"
        );
        assert_host_problem(|it| it.names = vec![name.into()], &expected);
    }
    let mut config = secure();
    let names = ["a.org", "*", "*.a.org", "*a.org", "a.*", "a*", "[2001:db8::1]"].map(String::from).to_vec();
    config.apply(Change::Host(Arc::new(Host { names, ..host() })));
    assert_eq!(validate(&config), []);
    let tls = |host: &mut Host, edit: &dyn Fn(&mut ServerTls)| edit(host.tls.as_mut().unwrap());
    assert_host_problem(|it| tls(it, &|tls| tls.certificates.clear()), "there are no certificates");
    assert_host_problem(
        |it| tls(it, &|tls| tls.versions = TlsVersions { min: TlsVersion::V1_3, max: TlsVersion::V1_2 }),
        "the lowest TLS version is above the highest",
    );
    assert_host_problem(
        |it| tls(it, &|tls| tls.alpn = vec![String::new()]),
        "ALPN protocol `` is empty or longer than 255 bytes",
    );
}

#[test]
fn certificates_that_are_named_exist() {
    let mut config = secure();
    config.apply(Change::Removed(Key::Certificate(CertificateId::new("cert"))));
    assert_problem(&config, "host host: certificate cert does not exist");
    assert_cluster_problem(
        |cluster| {
            cluster.tls = Some(Box::new(shown("mine")));
        },
        "certificate mine does not exist",
    );
}

#[test]
fn tcp_routes_have_listeners_and_clusters() {
    let mut config = secure();
    config.apply(Change::TcpRoute(Arc::new(TcpRoute { listeners: Vec::new(), ..tcp_route() })));
    assert_problem(&config, "tcp route tcp: there are no listeners");
    let mut missing = tcp_route();
    missing.split.arms[0].cluster = crate::model::ClusterId::new("gone");
    config.apply(Change::TcpRoute(Arc::new(missing)));
    assert_problem(&config, "tcp route tcp: arm a names cluster gone, which does not exist");
}

#[test]
fn balances_and_outliers_have_a_meaning() {
    let hash = |policy| Balance { policy, slow_start_ms: None };
    assert_cluster_problem(
        |it| it.balance = hash(BalancePolicy::RingHash(HashKey::SourceIp, 0)),
        "ring size 0 is not within 1 to 8388608",
    );
    assert_cluster_problem(
        |it| it.balance = hash(BalancePolicy::Maglev(HashKey::Header("X-User".into()))),
        "header name `X-User` is empty, not in lower case or no header name",
    );
    let cookie = |name: &str, path: &str| {
        let cookie = HashCookie { name: name.into(), ttl_s: Some(0), path: Some(path.into()) };
        hash(BalancePolicy::Maglev(HashKey::Cookie(cookie)))
    };
    assert_cluster_problem(
        |it| it.balance = cookie("a=b", "/"),
        "cookie name `a=b` is empty or no cookie name",
    );
    assert_cluster_problem(
        |it| it.balance = cookie("a", "/; Secure"),
        "`/; Secure` holds a character that no header has",
    );
    assert_cluster_problem(
        |it| {
            let policy = BalancePolicy::Maglev(HashKey::SourceIp);
            it.balance = Balance { policy, slow_start_ms: Some(1) };
        },
        "slow start and a hash cannot be had together",
    );
    assert_cluster_problem(
        |it| it.outliers = Outliers { max_ejection_percent: 101, ..Outliers::default() },
        "the outliers' interval or ejection time is zero, or a percentage above 100",
    );
}

#[test]
fn ports_of_udp_are_others_than_those_of_tcp() {
    let mut config = good();
    let listener = |id: &str, protocol| Listener { protocol, ..Listener::http(ListenerId::new(id), 5300) };
    config.apply(Change::Listener(Arc::new(listener("stream", Protocol::Tcp))));
    config.apply(Change::Listener(Arc::new(listener("datagrams", Protocol::Udp))));
    assert_eq!(validate(&config), []);
    config.apply(Change::Listener(Arc::new(listener("more", Protocol::Udp))));
    assert_problem(&config, "listener more: port 5300 has another listener");
}

#[test]
fn datagrams_have_no_header_of_a_connection() {
    let mut config = good();
    let plain = Listener::http(ListenerId::new("udp"), 5300);
    let proxy_protocol = Some(ProxyProtocol::default());
    config.apply(Change::Listener(Arc::new(Listener { protocol: Protocol::Udp, proxy_protocol, ..plain })));
    assert_problem(&config, "listener udp: datagrams come without the PROXY protocol");
}

#[test]
fn networks_hold_peers_of_either_family() {
    let trusts = |networks: &[&str], peer: &str| {
        let trusted = networks.iter().map(|it| it.parse().unwrap()).collect();
        ProxyProtocol { trusted }.trusts(peer.parse().unwrap())
    };
    assert!(trusts(&[], "192.0.2.1"));
    assert!(trusts(&["198.18.0.0/15", "2001:db8::/32"], "198.19.255.255"));
    assert!(trusts(&["198.18.0.0/15"], "::ffff:198.18.0.1"));
    assert!(trusts(&["2001:db8::/32"], "2001:db8::1"));
    assert!(!trusts(&["198.18.0.0/15", "2001:db8::/32"], "192.0.2.1"));
}
