//! Connections that a balancer has made for others.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use proxy_config::model::{
    Action, Change, Listener, ListenerId, Protocol, ProxyProtocol, Split, SplitId, TcpRoute, TcpRouteId,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Directory, Proxy,
    configs::{cluster, route, route_value},
    free_port,
    operator::Operator,
    upstream::{Pod, RawPod},
    within,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56789 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdd\xd5\0\x50";
/// Of a balancer that sees whether we are there.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

struct Fixture {
    address: SocketAddr,
    proxy: Proxy,
    _operator: Operator,
    _directory: Directory,
    _pod: Pod,
}

impl Fixture {
    /// A proxy that believes these networks on its port.
    async fn new(protocol: Protocol, trusted: &[&str], more: Vec<Change>) -> Self {
        let (mut operator, directory, pod) =
            (Operator::start().await, Directory::new(), Pod::start("a").await);
        let proxy = Proxy::start(&operator, &directory);
        let port = free_port();
        let trusted = trusted.iter().map(|it| it.parse().unwrap()).collect();
        let proxy_protocol = Some(ProxyProtocol { trusted });
        let listener = Listener { protocol, proxy_protocol, ..Listener::http(ListenerId::new("l"), port) };
        let own = vec![
            Change::Listener(Arc::new(listener)),
            cluster("a", &[(pod.address, "h1")]),
            route(&[("a", 10_000)]),
        ];
        operator.configure([own, more].concat()).await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { address, proxy, _operator: operator, _directory: directory, _pod: pod }
    }

    /// What is heard after these pieces were said.
    async fn say(&self, pieces: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in pieces {
            // The proxy may have closed by now.
            let _ = stream.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        let mut heard = Vec::new();
        let _ = within(stream.read_to_end(&mut heard)).await;
        String::from_utf8(heard).unwrap()
    }
}

fn client_of(heard: &str) -> &str {
    heard.lines().find_map(|it| it.strip_prefix("x-forwarded-for: ")).unwrap_or("nobody")
}

#[tokio::test]
async fn the_client_is_whom_the_header_names() {
    let fixture = Fixture::new(Protocol::Http, &["127.0.0.0/8"], Vec::new()).await;
    for header in [V1, V2] {
        assert_eq!(client_of(&fixture.say(&[header, GET]).await), "192.0.2.7");
        assert_eq!(client_of(&fixture.say(&[&[header, GET].concat()]).await), "192.0.2.7");
        let bytes: Vec<_> = header.chunks(1).chain([GET]).collect();
        assert_eq!(client_of(&fixture.say(&bytes).await), "192.0.2.7");
    }
    assert_eq!(client_of(&fixture.say(&[LOCAL, GET]).await), "127.0.0.1");
    assert_eq!(client_of(&fixture.say(&[b"PROXY UNKNOWN\r\n", GET]).await), "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_peer_without_a_header_is_closed_and_another_has_none() {
    let trusting = Fixture::new(Protocol::Http, &[], Vec::new()).await;
    for wrong in [GET, b"PROXY TCP4 192.0.2.7\r\n", b"PROXY TCP4 1 2 3 4\r\n", b"", b"PRO"] {
        let mut stream = TcpStream::connect(trusting.address).await.unwrap();
        stream.write_all(wrong).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let _ = within(stream.read_to_end(&mut heard)).await;
        assert_eq!(heard, b"", "{wrong:?}");
    }
    let failures = trusting.proxy.metric("sluice_proxy_downstream_header_failures_total").await;
    assert!((failures - 5.0).abs() < f64::EPSILON, "{failures}");
    let others = Fixture::new(Protocol::Http, &["198.51.100.0/24"], Vec::new()).await;
    assert_eq!(client_of(&others.say(&[GET]).await), "127.0.0.1");
    // What it says of itself is no request.
    assert!(others.say(&[V1, GET]).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn bytes_that_are_not_looked_into_come_after_the_header() {
    let pod = RawPod::start(async |mut stream, _| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
    })
    .await;
    let Action::Split(split) = route_value("/", &[("raw", 10_000)]).action else { panic!("a split") };
    let tcp = TcpRoute {
        id: TcpRouteId::new("t"),
        listeners: vec![ListenerId::new("l")],
        server_names: Vec::new(),
        terminate: false,
        split: Split { id: SplitId::new("t"), ..split },
    };
    let more = vec![cluster("raw", &[(pod.address, "h1")]), Change::TcpRoute(Arc::new(tcp))];
    let fixture = Fixture::new(Protocol::Tcp, &[], more).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(&[V2, b"bytes"].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    within(stream.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"bytes");
}
