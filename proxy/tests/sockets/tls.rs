//! TLS towards clients and towards pods.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::TokioIo;
use proxy::Settings;
use proxy_config::model::{
    Certificate, CertificateId, Change, ClientValidation, Cluster, Host, HostId, Insecure, Listener,
    ListenerId, Protocol, Secret, ServerTls, TlsVersion, TlsVersions, Trust, Unverified, UpstreamTls,
};
use rustls::HandshakeKind;

use crate::support::{
    Directory, Proxy, client,
    configs::{cluster, route},
    free_port,
    operator::{Link, Operator},
    tls::{Signer, connect, get},
    upstream::Pod,
    within,
};

/// A proxy with a TLS listener and a pod behind it.
struct Fixture {
    _operator: Operator,
    _directory: Directory,
    proxy: Proxy,
    link: Link,
    https: SocketAddr,
    _pod: Pod,
}

fn host(id: &str, names: &[&str], certificate: &str, edit: impl FnOnce(&mut ServerTls)) -> Change {
    let mut tls = ServerTls {
        certificates: vec![CertificateId::new(certificate)],
        versions: TlsVersions::default(),
        alpn: Vec::new(),
        client: None,
    };
    edit(&mut tls);
    Change::Host(Arc::new(Host {
        id: HostId::new(id),
        names: names.iter().map(|it| (*it).to_owned()).collect(),
        listeners: Vec::new(),
        tls: Some(tls),
        insecure: Insecure::Route,
        class: String::new(),
    }))
}

impl Fixture {
    async fn new(changes: Vec<Change>) -> Self {
        Self::rejecting(false, changes).await
    }

    /// One whose listener rejects misdirected requests, or not.
    async fn rejecting(reject: bool, changes: Vec<Change>) -> Self {
        Self::with(|_| {}, reject, changes).await
    }

    /// The same, of a proxy with other settings.
    async fn with(settings: impl FnOnce(&mut Settings), reject: bool, changes: Vec<Change>) -> Self {
        let (mut operator, directory, pod) =
            (Operator::start().await, Directory::new(), Pod::start("a").await);
        let proxy = Proxy::start_with(&operator, &directory, settings);
        let port = free_port();
        let https = Listener {
            protocol: Protocol::Https,
            reject_misdirected: reject,
            ..Listener::http(ListenerId::new("https"), port)
        };
        let http = Listener::http(ListenerId::new("http"), operator.http_port);
        let own = vec![
            Change::Listener(https.into()),
            Change::Listener(http.into()),
            cluster("a", &[(pod.address, "h1")]),
            route(&[("a", 10_000)]),
        ];
        let link = operator.configure([own, changes].concat()).await;
        let https = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        Self { _operator: operator, _directory: directory, proxy, link, https, _pod: pod }
    }
}

#[tokio::test]
async fn every_name_has_its_certificate_and_an_unknown_one_has_none() {
    let signer = Signer::new();
    let (exact, wildcard) = (signer.sign(&["a.example"]), signer.sign(&["*.b.example"]));
    let fixture = Fixture::rejecting(
        true,
        vec![
            exact.resource("exact"),
            wildcard.resource("wildcard"),
            host("a", &["a.example"], "exact", |_| ()),
            host("b", &["*.b.example"], "wildcard", |_| ()),
        ],
    )
    .await;
    let config = signer.client(None, &["http/1.1"]);
    for name in ["a.example", "x.b.example"] {
        let seen = get(fixture.https, name, name, &config).await.unwrap();
        assert_eq!((seen.reply.status, seen.reply.header("x-pod")), (200, "a"), "{name}");
        assert!(seen.reply.body.contains("x-forwarded-proto: https\n"), "{}", seen.reply.body);
    }
    assert!(get(fixture.https, "other.example", "a.example", &config).await.is_err());
    assert!(fixture.proxy.metric("sluice_proxy_downstream_tls_failures_total").await > 0.9);
    let misdirected = get(fixture.https, "a.example", "x.b.example", &config).await.unwrap();
    assert_eq!(misdirected.reply.reason(), (421, "misdirected"));
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_once_and_disturbs_nobody() {
    let signer = Signer::new();
    let old = signer.sign(&["a.example"]);
    let mut fixture = Fixture::new(vec![old.resource("c"), host("a", &["a.example"], "c", |_| ())]).await;
    let config = signer.client(None, &["http/1.1"]);
    let stream = connect(fixture.https, "a.example", &config).await.unwrap();
    let before = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    fixture.link.commit(vec![signer.sign(&["a.example"]).resource("c")]).await;
    let after = get(fixture.https, "a.example", "a.example", &config).await.unwrap();
    assert_ne!(after.certificate, before);
    let request = Request::get("/").header("host", "a.example").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(within(sender.send_request(request)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn certificates_that_change_under_load_lose_no_handshake_and_no_request() {
    let signer = Signer::new();
    let first = signer.sign(&["a.example"]);
    let mut fixture = Fixture::new(vec![first.resource("c"), host("a", &["a.example"], "c", |_| ())]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (address, config) = (fixture.https, signer.client(None, &["http/1.1"]));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stopped, config) = (stopped.clone(), config.clone());
            tokio::spawn(async move {
                let mut shown = std::collections::BTreeSet::new();
                while !*stopped.borrow() {
                    let seen = get(address, "a.example", "a.example", &config).await.unwrap();
                    assert_eq!(seen.reply.status, 200);
                    shown.insert(seen.certificate);
                }
                shown
            })
        })
        .collect();
    for _ in 0..30 {
        fixture.link.commit(vec![signer.sign(&["a.example"]).resource("c")]).await;
    }
    stop.send_replace(true);
    let mut shown = std::collections::BTreeSet::new();
    for client in load {
        shown.extend(client.await.unwrap());
    }
    assert!(shown.len() > 1, "they saw some of the certificates");
}

#[tokio::test]
async fn a_certificate_that_is_none_takes_away_its_own_host_only() {
    let signer = Signer::new();
    let good = signer.sign(&["a.example"]);
    let other = signer.sign(&["b.example"]);
    let broken = |id: &str, chain: &str, key: &str| {
        let (id, chain, key) = (CertificateId::new(id), chain.to_owned(), Secret(key.to_owned()));
        Change::Certificate(Arc::new(Certificate { id, chain, key }))
    };
    let fixture = Fixture::new(vec![
        good.resource("good"),
        broken("garbage", "no certificate", "no key"),
        broken("mixed", &good.chain, &other.key),
        host("a", &["a.example"], "good", |_| ()),
        host("b", &["b.example"], "garbage", |_| ()),
        host("c", &["c.example"], "mixed", |_| ()),
    ])
    .await;
    let config = signer.client(None, &[]);
    assert_eq!(get(fixture.https, "a.example", "a.example", &config).await.unwrap().reply.status, 200);
    assert!(get(fixture.https, "b.example", "b.example", &config).await.is_err());
    assert!(get(fixture.https, "c.example", "c.example", &config).await.is_err());
    assert!((fixture.proxy.metric("sluice_proxy_tls_unusable").await - 4.0).abs() < 0.1);
}

#[tokio::test]
async fn sessions_are_resumed_and_versions_kept_to() {
    let signer = Signer::new();
    let identity = signer.sign(&["a.example", "b.example"]);
    let newest = |tls: &mut ServerTls| {
        tls.versions = TlsVersions { min: TlsVersion::V1_3, max: TlsVersion::V1_3 };
    };
    let fixture = Fixture::new(vec![
        identity.resource("c"),
        host("a", &["a.example"], "c", |_| ()),
        host("b", &["b.example"], "c", newest),
    ])
    .await;
    let config = signer.client(None, &["http/1.1"]);
    let kind = async || get(fixture.https, "a.example", "a.example", &config).await.unwrap().kind;
    assert_ne!(kind().await, HandshakeKind::Resumed);
    assert_eq!(kind().await, HandshakeKind::Resumed);
    let old = signer.old_client();
    assert!(get(fixture.https, "a.example", "a.example", &old).await.is_ok());
    assert!(get(fixture.https, "b.example", "b.example", &old).await.is_err());
}

#[tokio::test]
async fn clients_show_certificates_where_they_have_to() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let identity = signer.sign(&["a.example", "b.example", "c.example"]);
    let asks = |unverified| {
        let ca = signer.pem();
        move |tls: &mut ServerTls| tls.client = Some(ClientValidation { ca, unverified, crls: Vec::new() })
    };
    let fixture = Fixture::new(vec![
        identity.resource("c"),
        host("a", &["a.example"], "c", asks(Unverified::Refused)),
        host("b", &["b.example"], "c", asks(Unverified::MayBeAbsent)),
        host("c", &["c.example"], "c", asks(Unverified::Accepted)),
    ])
    .await;
    let (known, unknown) = (signer.sign(&["client"]), stranger.sign(&["client"]));
    for (name, own, expected) in [
        ("a.example", None, false),
        ("a.example", Some(&known), true),
        ("a.example", Some(&unknown), false),
        ("b.example", None, true),
        ("b.example", Some(&known), true),
        ("b.example", Some(&unknown), false),
        ("c.example", None, true),
        ("c.example", Some(&unknown), true),
    ] {
        let seen = get(fixture.https, name, name, &signer.client(own, &["http/1.1"])).await;
        assert_eq!(seen.is_ok(), expected, "{name} with {}", own.is_some());
    }
    let around = get(fixture.https, "b.example", "a.example", &signer.client(None, &[])).await.unwrap();
    assert_eq!(around.reply.reason(), (421, "misdirected"), "without a certificate through another host");
}

#[tokio::test]
async fn pods_are_told_which_certificate_was_verified_if_that_is_wanted() {
    let signer = Signer::new();
    let identity = signer.sign(&["a.example", "b.example", "c.example"]);
    let asks = |unverified| {
        let ca = signer.pem();
        move |tls: &mut ServerTls| tls.client = Some(ClientValidation { ca, unverified, crls: Vec::new() })
    };
    let changes = vec![
        identity.resource("c"),
        host("a", &["a.example"], "c", asks(Unverified::Refused)),
        host("b", &["b.example"], "c", asks(Unverified::MayBeAbsent)),
        host("c", &["c.example"], "c", asks(Unverified::Accepted)),
    ];
    let fixture = Fixture::with(|it| it.forward_client_cert = true, false, changes).await;
    let own = signer.sign(&["client.example", "spiffe://shop/till"]);
    for (name, own, told) in [
        ("a.example", Some(&own), true),
        ("b.example", Some(&own), true),
        ("b.example", None, false),
        ("c.example", Some(&own), false),
    ] {
        // The second request resumes the session of the first, and shows no certificate again.
        let config = signer.client(own, &["http/1.1"]);
        for _ in 0..2 {
            let body = get(fixture.https, name, name, &config).await.unwrap().reply.body;
            let line = body.lines().find(|it| it.starts_with("x-forwarded-client-cert: Hash="));
            assert_eq!(line.is_some(), told, "{name}: {body}");
            let names = ";URI=spiffe://shop/till";
            assert!(line.is_none_or(|it| it.contains(";DNS=client.example") && it.contains(names)), "{body}");
        }
    }
    let config = signer.client(Some(&own), &["h2"]);
    let stream = connect(fixture.https, "a.example", &config).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("https://a.example/").body(Empty::<Bytes>::new()).unwrap();
    let body =
        within(sender.send_request(request)).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("x-forwarded-client-cert: Hash="), "{body:?}");
}

#[tokio::test]
async fn pods_are_spoken_to_as_their_cluster_says() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let uri = "spiffe://cluster.local/ns/default/sa/web";
    let identity = signer.sign(&["pod.example", uri]);
    let own = signer.sign(&["proxy"]);
    let (open, _open) = signer.pod(&identity, false).await;
    let (closed, _closed) = signer.pod(&identity, true).await;
    let tls = |trust: Trust, server_name: Option<&str>, names: &[&str], own: Option<&str>| UpstreamTls {
        server_name: server_name.map(Into::into),
        names: names.iter().map(|it| (*it).to_owned()).collect(),
        trust,
        certificate: own.map(CertificateId::new),
        versions: TlsVersions::default(),
    };
    let ca = || Trust::Ca(signer.pem());
    let name = Some("pod.example");
    let mut fixture = Fixture::new(vec![own.resource("own")]).await;
    for (address, tls, expected) in [
        (open, tls(ca(), name, &[], None), Some("pod.example false")),
        (open, tls(ca(), Some("other.example"), &[], None), None),
        (open, tls(ca(), Some("other.example"), &["pod.example"], None), Some("other.example false")),
        (open, tls(ca(), name, &[uri], None), Some("pod.example false")),
        (open, tls(ca(), name, &["spiffe://cluster.local/ns/default/sa/db"], None), None),
        (open, tls(ca(), None, &[], None), Some("- false")),
        (open, tls(Trust::Ca(stranger.pem()), name, &[], None), None),
        (open, tls(Trust::Ca("garbage".into()), name, &[], None), None),
        (open, tls(Trust::Anyone, None, &[], None), Some("- false")),
        (closed, tls(ca(), name, &[], Some("own")), Some("pod.example true")),
    ] {
        let Change::Cluster(plain) = cluster("a", &[(address, "h1")]) else { panic!("a cluster") };
        let changed = Cluster { tls: Some(Box::new(tls.clone())), ..Cluster::clone(&plain) };
        fixture.link.commit(vec![Change::Cluster(changed.into())]).await;
        let reply = client::get(fixture.proxy.http, "/").await;
        match expected {
            Some(expected) => assert_eq!((reply.status, &*reply.body), (200, expected), "{tls:?}"),
            None => assert_eq!(reply.reason(), (503, "connect_failed"), "{tls:?}"),
        }
    }
}

#[tokio::test]
async fn large_bodies_pass_over_tls_on_both_sides_and_connections_are_kept() {
    let signer = Signer::new();
    let identity = signer.sign(&["a.example", "pod.example"]);
    let (pod, _pod) = signer.pod(&identity, false).await;
    let tls = UpstreamTls {
        server_name: Some("pod.example".into()),
        names: Vec::new(),
        trust: Trust::Ca(signer.pem()),
        certificate: None,
        versions: TlsVersions::default(),
    };
    let Change::Cluster(plain) = cluster("a", &[(pod, "h1")]) else { panic!("a cluster") };
    let secure = Cluster { tls: Some(Box::new(tls)), ..Cluster::clone(&plain) };
    let changes =
        vec![identity.resource("c"), host("a", &["a.example"], "c", |_| ()), Change::Cluster(secure.into())];
    let fixture = Fixture::new(changes).await;
    let stream = connect(fixture.https, "a.example", &signer.client(None, &["http/1.1"])).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    for length in [1, 16_384, 4 << 20, 100] {
        let body: Bytes = (0..length).map(|it| u8::try_from(it % 251).unwrap()).collect();
        let request = Request::post("/").header("host", "a.example").body(Full::new(body.clone())).unwrap();
        sender.ready().await.unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        let answered = within(response.into_body().collect()).await.unwrap().to_bytes();
        let text = answered.strip_suffix(&*body).map(String::from_utf8_lossy);
        assert_eq!(text.as_deref(), Some("pod.example false"), "{length} bytes");
    }
    assert!((fixture.proxy.metric("sluice_proxy_upstream_connects_total").await - 1.0).abs() < 0.1);
}
