//! HTTP/2 on both sides, and what gRPC needs of it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_config::model::{
    CertificateId, Change, Cluster, Draining, Host, HostId, Insecure, Listener, ListenerId, Protocol,
    ServerTls, TlsVersions, UnixMillis, UpstreamProtocol,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{
    Directory, Proxy,
    client::{self, Reply},
    configs::{cluster, cluster_with, route},
    eventually, free_port,
    operator::{Link, Operator},
    tls::{Signer, connect},
    upstream::Pod,
    within,
};

type Body = BoxBody<Bytes, hyper::Error>;

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

async fn open(address: SocketAddr) -> SendRequest<Body> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://example.org{path}")).body(empty()).unwrap()
}

/// A pod that speaks HTTP/2 only: it answers with what it saw, and with the trailers of a gRPC server; `/echo` with the
/// request's body as it comes, and `/early` before it has come.
async fn grpc_pod() -> (SocketAddr, Arc<std::sync::atomic::AtomicU32>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<std::sync::atomic::AtomicU32>::default();
    let count = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(answer);
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, connections, task)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    match request.uri().path() {
        "/echo" => return Ok(Response::new(request.into_body().boxed())),
        "/early" => return Ok(Response::new(empty())),
        "/stream" => {
            let message = futures::stream::iter([Ok(Frame::data(Bytes::from_static(b"message")))]);
            // Neither another message nor an end.
            let message = futures::StreamExt::chain(message, futures::stream::pending());
            let body = StreamBody::new(message).boxed();
            return Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap());
        }
        _ => {}
    }
    let te = request.headers().get("te").map_or("-", |it| it.to_str().unwrap()).to_owned();
    let head = format!("{} {} te={te}\n", request.method(), request.uri());
    let body = request.into_body().collect().await?;
    let trailer = body.trailers().and_then(|it| it.get("x-sent")).cloned();
    let text = [head.into_bytes(), body.to_bytes().to_vec()].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    trailers.extend(trailer.map(|it| (HeaderName::from_static("x-seen"), it)));
    let frames = [Ok(Frame::data(Bytes::from(text))), Ok(Frame::trailers(trailers))];
    Ok(Response::new(StreamBody::new(futures::stream::iter(frames)).boxed()))
}

fn http2_cluster(id: &str, address: SocketAddr) -> Change {
    over_http2(cluster(id, &[(address, "h1")]))
}

fn over_http2(cluster: Change) -> Change {
    let Change::Cluster(plain) = cluster else { panic!("a cluster") };
    Change::Cluster(Arc::new(Cluster { protocol: UpstreamProtocol::Http2, ..Cluster::clone(&plain) }))
}

#[tokio::test]
async fn http2_takes_the_same_routes_in_the_clear_and_by_alpn() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let signer = Signer::new();
    let port = free_port();
    let https = Listener { protocol: Protocol::Https, ..Listener::http(ListenerId::new("https"), port) };
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
        Change::Listener(https.into()),
        Change::Listener(Listener::http(ListenerId::new("http"), operator.http_port).into()),
        Change::Host(host.into()),
        signer.sign(&["example.org"]).resource("c"),
        cluster("a", &[(pod.address, "h1")]),
        route(&[("a", 10_000)]),
    ];
    operator.configure(changes).await;
    let mut sender = open(proxy.http).await;
    let response = within(sender.send_request(get("/p?q"))).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let reply = Reply::read(response).await.unwrap();
    assert!(
        reply.body.starts_with("GET /p?q\n") && reply.body.contains("host: example.org\n"),
        "{}",
        reply.body
    );
    let address = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    let stream = connect(address, "example.org", &signer.client(None, &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let many = (0..50).map(|number| {
        let request = Request::get(format!("https://example.org/{number}")).body(empty()).unwrap();
        sender.send_request(request)
    });
    for (number, response) in within(futures::future::join_all(many)).await.into_iter().enumerate() {
        let reply = Reply::read(response.unwrap()).await.unwrap();
        assert!(reply.body.starts_with(&format!("GET /{number}\n")), "{}", reply.body);
        assert!(reply.body.contains("x-forwarded-proto: https\n"), "{}", reply.body);
    }
}

#[tokio::test]
async fn grpc_passes_with_its_trailers_on_one_connection() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let (pod, connections, _task) = grpc_pod().await;
    operator.configure(vec![http2_cluster("a", pod), route(&[("a", 10_000)])]).await;
    let mut sender = open(proxy.http).await;
    for number in 0..20 {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sent", HeaderValue::from(number));
        let frames = [Ok(Frame::data(Bytes::from_static(b"message"))), Ok(Frame::trailers(trailers))];
        let request = Request::post("http://example.org/echo.Echo/Say")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(StreamBody::new(futures::stream::iter(frames)).boxed())
            .unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        let body = within(response.into_body().collect()).await.unwrap();
        let trailers = body.trailers().unwrap();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-seen"]),
            (&HeaderValue::from(0), &HeaderValue::from(number))
        );
        let text = body.to_bytes();
        assert_eq!(text, "POST http://example.org/echo.Echo/Say te=trailers\nmessage");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    // HTTP/1 clients reach it as well.
    let reply = client::get(proxy.http, "/plain").await;
    assert_eq!((reply.status, &*reply.body), (200, "GET http://example.org/plain te=-\n"));
}

/// A proxy with one worker before a pod that speaks HTTP/2 only.
struct Before {
    proxy: Proxy,
    link: Link,
    connections: Arc<std::sync::atomic::AtomicU32>,
    pod: SocketAddr,
    _task: JoinHandle<()>,
    _operator: Operator,
    _directory: Directory,
}

impl Before {
    async fn start() -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start_with(&operator, &directory, |it| it.workers = 1.try_into().unwrap());
        let (pod, connections, task) = grpc_pod().await;
        let link = operator.configure(vec![http2_cluster("a", pod), route(&[("a", 10_000)])]).await;
        Self { proxy, link, connections, pod, _task: task, _operator: operator, _directory: directory }
    }
}

#[tokio::test]
async fn clients_of_http1_reach_pods_of_http2() {
    let it = Before::start().await;
    let chunked = "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\nhost: evil\r\nx-sent: 7\r\n\r\n";
    let length = "PUT /b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nxyz";
    let head = "HEAD /c HTTP/1.1\r\nhost: h\r\n\r\n";
    let last = "GET /d HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let responses = client::raw(it.proxy.http, &format!("{chunked}{length}{head}{last}")).await;
    for (part, whole) in responses.split("HTTP/1.1 200 OK\r\n").skip(1).zip([
        Some("POST http://h/a te=-\nabcde"),
        Some("PUT http://h/b te=-\nxyz"),
        None,
        Some("GET http://h/d te=-\n"),
    ]) {
        let Some(whole) = whole else {
            assert!(part.ends_with("\r\n\r\n"), "{part}");
            continue;
        };
        let length = whole.len();
        let seen = if whole.starts_with("POST") { "x-seen: 7\r\n" } else { "" };
        let end = format!("\r\n\r\n{length:x}\r\n{whole}\r\n0\r\ngrpc-status: 0\r\n{seen}\r\n");
        assert!(part.ends_with(&end), "{part} does not end with {end}");
    }
    assert_eq!(responses.matches("HTTP/1.1 200 OK").count(), 4, "{responses}");
    let old = client::raw(it.proxy.http, "GET /old HTTP/1.0\r\nhost: h\r\n\r\n").await;
    assert!(old.ends_with("\r\nconnection: close\r\n\r\nGET http://h/old te=-\n"), "{old}");
    let nameless = client::raw(it.proxy.http, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(nameless.contains("GET http://127.0.0.1:"), "{nameless}");
    assert_eq!(it.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn both_bodies_pass_at_once_between_http1_and_http2() {
    const LARGE: usize = 8 << 20;
    let mut it = Before::start().await;
    let stream = TcpStream::connect(it.proxy.http).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let send = async {
        let head =
            format!("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\nconnection: close\r\n\r\n");
        to.write_all(head.as_bytes()).await.unwrap();
        let piece: Vec<u8> = (0..=u8::MAX).collect();
        for _ in 0..LARGE / piece.len() {
            to.write_all(&piece).await.unwrap();
        }
    };
    let receive = async {
        let mut response = Vec::new();
        within(from.read_to_end(&mut response)).await.unwrap();
        response
    };
    let ((), response) = tokio::join!(send, receive);
    let head = response.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let ordered = response[head..].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 256);
    assert!(response.len() - head == LARGE && ordered, "{} bytes", response.len() - head);
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_client_and_not_with_its_request() {
    let mut it = Before::start().await;
    let mut early = TcpStream::connect(it.proxy.http).await.unwrap();
    early
        .write_all(b"POST /early HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\nbegin")
        .await
        .unwrap();
    let mut head = Vec::new();
    within(early.read_to_end(&mut head)).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
    let mut gone = TcpStream::connect(it.proxy.http).await.unwrap();
    gone.write_all(b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nbegin").await.unwrap();
    it.link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    drop(gone);
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
    assert_eq!(client::get(it.proxy.http, "/after").await.status, 200);
    assert_eq!(it.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn our_own_errors_are_grpc_statuses() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[]), route(&[("a", 10_000)])]).await;
    let mut sender = open(proxy.http).await;
    let request = Request::post("http://example.org/echo.Echo/Say")
        .header("content-type", "application/grpc+proto")
        .body(Full::new(Bytes::from_static(b"m")).map_err(|never| match never {}).boxed())
        .unwrap();
    let reply = Reply::read(within(sender.send_request(request)).await.unwrap()).await.unwrap();
    assert_eq!(reply.reason(), (200, "no_endpoints"));
    assert_eq!((reply.header("grpc-status"), &*reply.body), ("14", ""));
    assert_eq!(reply.header("grpc-message"), "sluice: the upstream has no ready endpoint");
    let reply = Reply::read(within(sender.send_request(get("/"))).await.unwrap()).await.unwrap();
    assert_eq!(reply.reason(), (503, "no_endpoints"));
}

#[tokio::test]
async fn a_stream_of_grpc_ends_with_a_status_when_the_time_of_its_pod_is_over() {
    let mut it = Before::start().await;
    let mut sender = open(it.proxy.http).await;
    let request = Request::post("http://h/stream").header("content-type", "application/grpc").body(empty());
    let mut stream = within(sender.send_request(request.unwrap())).await.unwrap().into_body();
    let message = within(stream.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&*message, b"message");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = UnixMillis(i64::try_from(now).unwrap());
    for (until, ends) in [(UnixMillis(i64::MAX - 1), false), (now, true)] {
        let draining = Draining { until: Some(until) };
        it.link.commit(vec![over_http2(cluster_with("a", &[(it.pod, "h1", Some(draining))]))]).await;
        let next = tokio::time::timeout(Duration::from_millis(1_500), stream.frame()).await;
        if !ends {
            assert!(next.is_err(), "its time is not over: {next:?}");
            continue;
        }
        let trailers = next.unwrap().unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&HeaderValue::from(14), &HeaderValue::from_static("sluice: the pod goes"))
        );
    }
    assert!(within(stream.frame()).await.is_none());
    it.link.report(|it| it.draining.is_empty() && it.in_flight.is_empty()).await;
}

/// One frame (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_preface_may_come_byte_by_byte() {
    const SETTINGS: u8 = 4;
    let it = Before::start().await;
    let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut head = [0; 9];
    within(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], SETTINGS);
    // After a request of HTTP/1 it is none.
    let late = "GET / HTTP/1.1\r\nhost: h\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let responses = client::raw(it.proxy.http, late).await;
    assert!(responses.contains("\r\n\r\n") && responses.contains("HTTP/1.1 505 "), "{responses}");
}

#[tokio::test]
async fn who_opens_and_resets_without_end_is_cut_off() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u8 = 11;
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let mut attack = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    attack.extend(frame(SETTINGS, 0, 0, &[]));
    // `GET http://a/`, ended and reset at once (RFC 7541 appendix A has most of it).
    let head = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    for number in 0..2_000 {
        attack.extend(frame(HEADERS, 0x5, number * 2 + 1, &head));
        attack.extend(frame(RST_STREAM, 0, number * 2 + 1, &8_u32.to_be_bytes()));
    }
    // It may be cut off in the middle.
    let _ = stream.write_all(&attack).await;
    let mut said = Vec::new();
    let _ = within(stream.read_to_end(&mut said)).await;
    let mut rest = &said[..];
    let mut reasons = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let (payload, next) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        if *kind == GOAWAY {
            reasons.push(payload[7]);
        }
        rest = next;
    }
    assert!(reasons.contains(&ENHANCE_YOUR_CALM), "{reasons:?}");
    assert!(pod.seen() < 200, "{}", pod.seen());
    assert_eq!(within(open(proxy.http).await.send_request(get("/"))).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_proxy_that_leaves_says_so_and_ends_what_is_under_way() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let mut proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut sender = open(proxy.http).await;
    let held = tokio::spawn(sender.send_request(get("/hold")));
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    proxy.stop();
    eventually("the client is told to go", async || sender.send_request(get("/")).await.is_err()).await;
    pod.release();
    assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    proxy.ended().await;
}
