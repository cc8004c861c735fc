//! Connections that are not looked into.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use proxy_config::model::{
    Action, CertificateId, Change, Draining, Host, HostId, Insecure, Listener, ListenerId, Protocol,
    ServerTls, Split, SplitId, TcpRoute, TcpRouteId, TlsVersions, UnixMillis,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{
    Directory, Proxy,
    configs::{cluster, cluster_with, route, route_value},
    free_port,
    operator::{Link, Operator},
    tls::{Signer, connect, get},
    upstream::Pod,
    within,
};

/// Greets with its name, hears its client to the end and then answers with what it heard.
async fn pod(name: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await.unwrap();
                // A client may be gone.
                let _ = stream.write_all(&heard).await;
            });
        }
    });
    (address, task)
}

fn listener(id: &str, port: u16, protocol: Protocol) -> Change {
    Change::Listener(Arc::new(Listener { protocol, ..Listener::http(ListenerId::new(id), port) }))
}

fn tcp_route(listener: &str, names: &[&str], terminate: bool, arms: &[(&str, u32)]) -> Change {
    let id = format!("{listener} {names:?}");
    let Action::Split(split) = route_value("/", arms).action else { panic!("a split") };
    let split = Split { id: SplitId::new(id.as_str()), ..split };
    Change::TcpRoute(Arc::new(TcpRoute {
        id: TcpRouteId::new(id),
        listeners: vec![ListenerId::new(listener)],
        server_names: names.iter().map(|it| (*it).to_owned()).collect(),
        terminate,
        split,
    }))
}

/// A proxy with a listener `l` on this port.
struct Fixture {
    address: SocketAddr,
    link: Link,
    _proxy: Proxy,
    _operator: Operator,
    _directory: Directory,
}

impl Fixture {
    async fn new(protocol: Protocol, changes: Vec<Change>) -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start(&operator, &directory);
        let port = free_port();
        let own = vec![listener("l", port, protocol)];
        let link = operator.configure([own, changes].concat()).await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { address, link, _proxy: proxy, _operator: operator, _directory: directory }
    }
}

/// Says something, ends, and returns all that is said to it.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = String::new();
    within(stream.read_to_string(&mut heard)).await.unwrap();
    heard
}

async fn dial(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_an_end_of_one_is_not_that_of_the_other() {
    let (a, _task) = pod("a").await;
    let changes = vec![cluster("a", &[(a, "h1")]), tcp_route("l", &[], false, &[("a", 10_000)])];
    let fixture = Fixture::new(Protocol::Tcp, changes).await;
    let long = "x".repeat(1_000_000);
    assert_eq!(talk(dial(fixture.address).await, &long).await, format!("a{long}"));
    // The pod speaks first, and a client may say nothing.
    assert_eq!(talk(dial(fixture.address).await, "").await, "a");
}

#[tokio::test]
async fn connections_are_split_exactly_and_reported() {
    let ((a, _a), (b, _b)) = (pod("a").await, pod("b").await);
    let changes = vec![
        cluster("a", &[(a, "h1")]),
        cluster("b", &[(b, "h2")]),
        tcp_route("l", &[], false, &[("a", 9_000), ("b", 1_000)]),
    ];
    let mut fixture = Fixture::new(Protocol::Tcp, changes).await;
    let mut held = Vec::new();
    let mut to_b = 0;
    for _ in 0..100 {
        let mut stream = dial(fixture.address).await;
        let mut name = [0];
        within(stream.read_exact(&mut name)).await.unwrap();
        to_b += u32::from(name == *b"b");
        held.push(stream);
    }
    // Workers draw by themselves, each with an error below one.
    assert!((8..=12).contains(&to_b), "{to_b}");
    fixture.link.report(|it| it.in_flight.iter().map(|it| it.requests).sum::<u64>() == 100).await;
    drop(held);
    fixture.link.report(|it| it.in_flight.is_empty()).await;
    fixture.link.commit(vec![tcp_route("l", &[], false, &[("a", 0), ("b", 10_000)])]).await;
    for _ in 0..20 {
        assert_eq!(talk(dial(fixture.address).await, "").await, "b");
    }
}

#[tokio::test]
async fn another_pod_is_tried_and_without_one_the_connection_is_closed() {
    let (a, _task) = pod("a").await;
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let route = tcp_route("l", &[], false, &[("a", 10_000)]);
    let mut fixture =
        Fixture::new(Protocol::Tcp, vec![cluster("a", &[(a, "h1"), (nobody, "h1")]), route]).await;
    for _ in 0..20 {
        assert_eq!(talk(dial(fixture.address).await, "x").await, "ax");
    }
    fixture.link.commit(vec![cluster("a", &[(nobody, "h1")])]).await;
    let mut heard = Vec::new();
    let _ = within(dial(fixture.address).await.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"");
    fixture.link.commit(vec![cluster("a", &[(a, "h1")])]).await;
    assert_eq!(talk(dial(fixture.address).await, "x").await, "ax");
}

#[tokio::test]
async fn a_connection_ends_when_the_time_of_its_pod_is_over() {
    let (a, _task) = pod("a").await;
    let changes = vec![cluster("a", &[(a, "h1")]), tcp_route("l", &[], false, &[("a", 10_000)])];
    let mut fixture = Fixture::new(Protocol::Tcp, changes).await;
    let mut stream = dial(fixture.address).await;
    let mut heard = vec![0];
    within(stream.read_exact(&mut heard)).await.unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let until = Some(UnixMillis(i64::try_from(now).unwrap()));
    fixture.link.commit(vec![cluster_with("a", &[(a, "h1", Some(Draining { until }))])]).await;
    let _ = within(stream.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"a");
    fixture.link.report(|it| it.in_flight.is_empty() && it.draining.is_empty()).await;
}

#[tokio::test]
async fn server_names_choose_between_tcp_routes_and_hosts() {
    let (signer, theirs) = (Signer::new(), Signer::new());
    let (plain, _plain) = pod("a").await;
    let (through, _through) = theirs.pod(&theirs.sign(&["through.example"]), false).await;
    let http = Pod::start("http").await;
    let host = Host {
        id: HostId::new("h"),
        names: vec!["*".into()],
        listeners: Vec::new(),
        tls: Some(ServerTls {
            certificates: vec![CertificateId::new("c")],
            versions: TlsVersions::default(),
            alpn: Vec::new(),
            client: None,
        }),
        insecure: Insecure::Route,
        class: String::new(),
    };
    let changes = vec![
        signer.sign(&["ends.example", "host.example"]).resource("c"),
        Change::Host(host.into()),
        cluster("a", &[(plain, "h1")]),
        cluster("b", &[(through, "h1")]),
        cluster("http", &[(http.address, "h1")]),
        tcp_route("l", &["ends.example"], true, &[("a", 10_000)]),
        tcp_route("l", &["*.example"], false, &[("b", 10_000)]),
        tcp_route("l", &["host.example"], false, &[("b", 10_000)]),
        route(&[("http", 10_000)]),
    ];
    let mut fixture = Fixture::new(Protocol::Https, changes).await;
    let ours = signer.client(None, &["http/1.1"]);
    // TLS ends here, and what is said goes on in the clear.
    let stream = connect(fixture.address, "ends.example", &ours).await.unwrap();
    assert_eq!(talk(stream, "said").await, "asaid");
    // The pod's own certificate is seen.
    let seen = get(fixture.address, "through.example", "through.example", &theirs.client(None, &[])).await;
    assert_eq!(seen.unwrap().reply.body, "through.example false");
    // Once no route takes a name, a host does.
    let removed = TcpRouteId::new(format!("l {:?}", ["host.example"]));
    let wildcard = TcpRouteId::new(format!("l {:?}", ["*.example"]));
    let gone = |id| Change::Removed(proxy_config::model::Key::TcpRoute(id));
    fixture.link.commit(vec![gone(removed), gone(wildcard)]).await;
    let seen = get(fixture.address, "host.example", "host.example", &ours).await.unwrap();
    assert_eq!(seen.reply.header("x-pod"), "http");
}

#[tokio::test]
async fn a_greeting_in_crumbs_is_read_and_one_that_is_none_ends() {
    let theirs = Signer::new();
    let (through, _task) = theirs.pod(&theirs.sign(&["t.example"]), false).await;
    let changes =
        vec![cluster("b", &[(through, "h1")]), tcp_route("l", &["t.example"], false, &[("b", 10_000)])];
    let fixture = Fixture::new(Protocol::Https, changes).await;
    // What a client says first, in pieces.
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let name = "t.example".try_into().unwrap();
    let connector = tokio_rustls::TlsConnector::from(theirs.client(None, &[]));
    let client = tokio::spawn(async move { connector.connect(name, far).await });
    let mut stream = dial(fixture.address).await;
    stream.set_nodelay(true).unwrap();
    let mut hello = vec![0; 1 << 14];
    let length = within(near.read(&mut hello)).await.unwrap();
    for crumb in hello[..length].chunks(100) {
        stream.write_all(crumb).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let copying = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut stream).await });
    assert!(within(client).await.unwrap().is_ok());
    copying.abort();
    let mut other = dial(fixture.address).await;
    other.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = within(other.read_to_end(&mut heard)).await;
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}
