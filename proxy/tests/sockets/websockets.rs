//! `WebSocket` to endpoints that speak HTTP/2 (RFC 8441), for clients of both versions.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2, ext::Protocol, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_config::model::{Change, Cluster, UpstreamProtocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::support::{
    Directory, Proxy,
    configs::{cluster, route},
    operator::{Link, Operator},
    within,
};

type Body = BoxBody<Bytes, Infallible>;
/// What an endpoint was asked for.
type Asked = (Method, Uri, Option<String>, HeaderMap);

/// An endpoint that speaks HTTP/2 only. It takes any `WebSocket` but that of `/no`, greets, and sends everything back.
struct Endpoint {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Endpoint {
    async fn start(offers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let tell = tell.clone();
                let service = service_fn(move |request| {
                    std::future::ready(Ok::<_, Infallible>(answer(request, &tell)))
                });
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                if offers {
                    builder.enable_connect_protocol();
                }
                tokio::spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        Self { address, asked }
    }
}

fn answer(mut request: Request<Incoming>, tell: &mpsc::UnboundedSender<Asked>) -> Response<Body> {
    let protocol = request.extensions().get::<Protocol>().map(|it| it.as_str().to_owned());
    let opens = protocol.is_some() && request.uri().path() != "/no";
    let path = request.uri().path().to_owned();
    let seen = (request.method().clone(), request.uri().clone(), protocol, request.headers().clone());
    tell.send(seen).unwrap();
    if opens {
        let opening = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(opening.await.unwrap());
            stream.write_all(b"hello").await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
        let response = Response::builder().header("sec-websocket-protocol", "chat");
        return response.body(Empty::new().boxed()).unwrap();
    }
    let status = if path == "/no" { 404 } else { 200 };
    Response::builder().status(status).body(Full::new(Bytes::from("plain")).boxed()).unwrap()
}

struct Fixture {
    proxy: Proxy,
    endpoint: Endpoint,
    link: Link,
    _operator: Operator,
    _directory: Directory,
}

impl Fixture {
    async fn new(offers: bool) -> Self {
        let endpoint = Endpoint::start(offers).await;
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start(&operator, &directory);
        let Change::Cluster(plain) = cluster("a", &[(endpoint.address, "h1")]) else { panic!("a cluster") };
        let over_http2 = Cluster { protocol: UpstreamProtocol::Http2, ..Cluster::clone(&plain) };
        let changes = vec![Change::Cluster(Arc::new(over_http2)), route(&[("a", 10_000)])];
        let link = operator.configure(changes).await;
        Self { proxy, endpoint, link, _operator: operator, _directory: directory }
    }

    /// Asks as RFC 6455 has it, and returns the head of the answer with the connection behind it.
    async fn ask_http1(&self, path: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(self.proxy.http).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: example.org\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        (String::from_utf8(head).unwrap(), stream)
    }

    /// Asks as RFC 8441 has it.
    async fn ask_http2(&self, path: &str) -> Response<Incoming> {
        let io = TokioIo::new(TcpStream::connect(self.proxy.http).await.unwrap());
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("http://example.org{path}").parse().unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        within(client.send_request(request)).await.unwrap()
    }

    /// What the endpoint was asked for is a `WebSocket` in its own form.
    async fn was_asked_in_its_form(&mut self, path: &str) {
        let (method, uri, protocol, headers) = within(self.endpoint.asked.recv()).await.unwrap();
        assert_eq!((method, protocol.as_deref()), (Method::CONNECT, Some("websocket")));
        assert_eq!((uri.authority().unwrap().as_str(), uri.path()), ("example.org", path));
        for absent in ["connection", "upgrade", "sec-websocket-key"] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
        assert!(headers.contains_key("x-forwarded-for") && headers.contains_key("x-request-id"));
    }
}

/// It greets, sends back what it gets, and ends when its other side does.
async fn talks(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
    stream.write_all(b"again").await.unwrap();
    within(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"again");
    stream.shutdown().await.unwrap();
    assert_eq!(within(stream.read(&mut heard)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_of_http1_gets_its_websocket_from_an_endpoint_of_http2() {
    let mut fixture = Fixture::new(true).await;
    // On a connection that is made for it, and on one that is there.
    for _ in 0..2 {
        let (head, stream) = fixture.ask_http1("/chat").await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        for field in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "sec-websocket-protocol: chat",
        ] {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "{field} is missing: {head}");
        }
        fixture.was_asked_in_its_form("/chat").await;
        fixture.link.report(|it| !it.in_flight.is_empty()).await;
        talks(stream).await;
        fixture.link.report(|it| it.in_flight.is_empty()).await;
    }
}

#[tokio::test]
async fn a_client_of_http2_gets_its_websocket_from_an_endpoint_of_http2() {
    let mut fixture = Fixture::new(true).await;
    for _ in 0..2 {
        let response = fixture.ask_http2("/chat").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        for absent in ["sec-websocket-accept", "upgrade", "connection"] {
            assert!(!response.headers().contains_key(absent), "{absent}");
        }
        fixture.was_asked_in_its_form("/chat").await;
        let stream = within(hyper::upgrade::on(response)).await.unwrap();
        fixture.link.report(|it| !it.in_flight.is_empty()).await;
        talks(TokioIo::new(stream)).await;
        fixture.link.report(|it| it.in_flight.is_empty()).await;
    }
}

#[tokio::test]
async fn a_websocket_that_an_endpoint_of_http2_refuses_has_its_answer() {
    let mut fixture = Fixture::new(true).await;
    let (head, _) = fixture.ask_http1("/no").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    fixture.was_asked_in_its_form("/no").await;
    assert_eq!(fixture.ask_http2("/no").await.status(), 404);
    fixture.was_asked_in_its_form("/no").await;
}

#[tokio::test]
async fn an_endpoint_that_offers_no_websocket_is_asked_without_one() {
    let mut fixture = Fixture::new(false).await;
    let (head, _) = fixture.ask_http1("/chat").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (method, _, protocol, _) = within(fixture.endpoint.asked.recv()).await.unwrap();
    assert_eq!((method, protocol), (Method::GET, None));
    // To this client any success would mean that it has what it asked for.
    assert_eq!(fixture.ask_http2("/chat").await.status(), 502);
}
