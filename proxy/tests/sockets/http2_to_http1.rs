//! Clients of HTTP/2 and endpoints of HTTP/1.1, on our own codec.

use std::{net::SocketAddr, sync::atomic::Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Frame,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_config::model::{Change, Upgrades};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Directory, Proxy,
    configs::{cluster, route, route_changed},
    operator::{Link, Operator},
    upstream::{Pod, RawPod, read_head},
    within,
};

type Body = BoxBody<Bytes, hyper::Error>;

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

struct Fixture {
    client: SendRequest<Body>,
    link: Link,
    _proxy: Proxy,
    _operator: Operator,
    _directory: Directory,
}

impl Fixture {
    /// A client of a proxy with one endpoint.
    async fn new(endpoint: SocketAddr) -> Self {
        Self::with(vec![cluster("a", &[(endpoint, "h1")]), route(&[("a", 10_000)])]).await
    }

    async fn with(changes: Vec<Change>) -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start(&operator, &directory);
        let link = operator.configure(changes).await;
        let io = TokioIo::new(TcpStream::connect(proxy.http).await.unwrap());
        let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Self { client, link, _proxy: proxy, _operator: operator, _directory: directory }
    }

    /// Sends a request; its status, headers, body and trailers.
    async fn ask(&mut self, request: Request<Body>) -> (u16, HeaderMap, String, Option<HeaderMap>) {
        let response = within(self.client.send_request(request)).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        let (parts, body) = response.into_parts();
        let body = within(body.collect()).await.unwrap();
        let trailers = body.trailers().cloned();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        (parts.status.as_u16(), parts.headers, text, trailers)
    }

    async fn get(&mut self, path: &str) -> (u16, HeaderMap, String, Option<HeaderMap>) {
        self.ask(request(Method::GET, path, empty())).await
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(format!("http://example.org{path}")).body(body).unwrap()
}

/// Answers each request on a connection with the next of these texts.
async fn scripted(answers: &'static [&'static str]) -> RawPod {
    RawPod::start(move |mut stream, _| async move {
        for answer in answers {
            if read_head(&mut stream).await.is_none() {
                return;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn requests_share_one_connection_to_the_endpoint_one_after_the_other() {
    let pod = scripted(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nx-end: 2\r\n\r\nab",
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nx-sum: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nto the end",
    ])
    .await;
    let mut fixture = Fixture::new(pod.address).await;
    let (status, headers, body, _) = fixture.get("/").await;
    assert_eq!((status, body.as_str()), (200, "ab"));
    assert_eq!(headers["x-end"], "2");
    assert_eq!(headers["content-length"], "2");
    assert!(!headers.contains_key("x-hop") && !headers.contains_key("connection"), "{headers:?}");
    assert_eq!(fixture.get("/").await.0, 204);
    let (_, _, body, trailers) = fixture.get("/").await;
    assert_eq!(body, "abcde");
    assert_eq!(trailers.unwrap()["x-sum"], "5");
    let (status, headers, _, _) = fixture.get("/").await;
    assert_eq!((status, &headers["content-length"]), (304, &HeaderValue::from_static("7")));
    assert_eq!(fixture.get("/").await.2, "to the end");
    assert_eq!(pod.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_head_is_written_as_http1_has_it() {
    let pod = RawPod::start(async |mut stream, _| {
        while let Some(head) = read_head(&mut stream).await {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut fixture = Fixture::new(pod.address).await;
    let mut asked = request(Method::GET, "/a/../b?q=1", empty());
    asked.headers_mut().append("cookie", HeaderValue::from_static("a=1"));
    asked.headers_mut().append("te", HeaderValue::from_static("trailers"));
    let (_, _, head, _) = fixture.ask(asked).await;
    assert!(head.starts_with("GET /b?q=1 HTTP/1.1\r\nhost: example.org\r\n"), "{head}");
    assert!(
        head.contains("\r\ncookie: a=1\r\n") && head.contains("\r\nx-forwarded-proto: http\r\n"),
        "{head}"
    );
    for absent in ["content-length", "transfer-encoding", "\r\nte:", "connection"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    // An empty body is said where one is expected.
    let (_, _, head, _) = fixture.ask(request(Method::POST, "/", empty())).await;
    assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    let (_, headers, body, _) = fixture.ask(request(Method::HEAD, "/", empty())).await;
    assert_eq!(body, "");
    assert!(headers["content-length"].to_str().unwrap().parse::<u32>().unwrap() > 0);
}

#[tokio::test]
async fn bodies_pass_whole_with_their_trailers_and_back_while_they_come() {
    let pod = Pod::start("a").await;
    let mut fixture = Fixture::new(pod.address).await;
    let long = "x".repeat(3_000_000);
    assert_eq!(fixture.ask(request(Method::POST, "/echo", whole(long.clone()))).await.2, long);
    // Of unknown length, in pieces, each of which comes back before the next is sent.
    let (feed, pieces) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, hyper::Error>>(1);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(pieces)).boxed();
    let response = fixture.client.send_request(request(Method::POST, "/echo", body));
    let first = async {
        feed.send(Ok(Frame::data(Bytes::from_static(b"first")))).await.unwrap();
        within(response).await.unwrap()
    };
    let mut body = first.await.into_body();
    for piece in [&b"first"[..], b"second", b"third"] {
        if piece != b"first" {
            feed.send(Ok(Frame::data(Bytes::copy_from_slice(piece)))).await.unwrap();
        }
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(feed);
    while let Some(frame) = within(body.frame()).await {
        frame.unwrap();
    }
    // The endpoint's connection is as good as before.
    assert_eq!(fixture.get("/status/201").await.0, 201);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_ends_it() {
    let pod = scripted(&["HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"]).await;
    let mut fixture = Fixture::new(pod.address).await;
    let body = StreamBody::new(futures::stream::pending()).boxed();
    let (status, _, text, _) = fixture.ask(request(Method::POST, "/", body)).await;
    assert_eq!((status, text.as_str()), (413, "big"));
    // What was not sent to the end cannot be followed by another request.
    assert_eq!(fixture.get("/").await.0, 413);
    assert_eq!(pod.connections.load(Ordering::Relaxed), 2);
    fixture.link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn what_is_no_answer_is_none_and_a_body_that_breaks_off_is_seen() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17) + "HTTP/1.1 200 OK\r\n\r\n";
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 502),
        ("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 502),
        ("ICY 200 OK\r\n\r\n", 502),
        ("", 502),
        (&interim, 502),
    ] {
        let answer = answer.to_owned();
        let said = answer.clone();
        let pod = RawPod::start(move |mut stream, _| {
            let said = said.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(said.as_bytes()).await;
            }
        })
        .await;
        let mut fixture = Fixture::new(pod.address).await;
        assert_eq!(fixture.get("/").await.0, status, "{answer:?}");
    }
    let pod = scripted(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"]).await;
    let mut fixture = Fixture::new(pod.address).await;
    let whole = async {
        // What is wrong with the body may be known before its head is read.
        fixture.client.send_request(request(Method::GET, "/", empty())).await?.into_body().collect().await
    };
    assert!(within(whole).await.is_err());
    fixture.link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_gives_up_ends_the_exchange() {
    let pod = RawPod::start(async |mut stream, _| {
        read_head(&mut stream).await;
        // Until the proxy closes.
        let _ = stream.read_u8().await;
    })
    .await;
    let mut fixture = Fixture::new(pod.address).await;
    let asked = fixture.client.send_request(request(Method::GET, "/", empty()));
    let asked = tokio::spawn(asked);
    fixture.link.report(|it| !it.in_flight.is_empty()).await;
    asked.abort();
    fixture.link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_the_end_of_a_request() {
    // Answers once on each connection and closes it without a word.
    let pod = scripted(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]).await;
    let mut fixture = Fixture::new(pod.address).await;
    for _ in 0..20 {
        assert_eq!(fixture.get("/").await.0, 200);
    }
}

/// Asks for a `WebSocket` as RFC 8441 §5 has it.
fn websocket(path: &str) -> Request<Body> {
    let mut request = request(Method::CONNECT, path, empty());
    request.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

#[tokio::test]
async fn a_websocket_over_http2_is_one_of_http1_for_the_endpoint() {
    let pod = RawPod::start(async |mut stream, _| {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
        for field in
            ["connection: upgrade", "upgrade: websocket", "sec-websocket-key: ", "sec-websocket-version: 13"]
        {
            assert!(head.contains(&format!("\r\n{field}")), "{field} is missing: {head}");
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: x\r\nsec-websocket-protocol: chat\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let mut fixture = Fixture::new(pod.address).await;
    let response = within(fixture.client.send_request(websocket("/chat"))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for absent in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(absent), "{absent}");
    }
    let mut tunnel = TokioIo::new(within(hyper::upgrade::on(response)).await.unwrap());
    let mut heard = [0; 5];
    within(tunnel.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
    tunnel.write_all(b"again").await.unwrap();
    within(tunnel.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"again");
    fixture.link.report(|it| !it.in_flight.is_empty()).await;
    drop(tunnel);
    fixture.link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_websocket_that_is_refused_and_other_tunnels_have_an_answer() {
    let pod = Pod::start("a").await;
    let closed = route_changed("/closed", &[("a", 10_000)], |it| {
        it.filters.upgrades = Upgrades::Only(Vec::new());
    });
    let changes = vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)]), closed];
    let mut fixture = Fixture::with(changes).await;
    // The endpoint does not switch.
    assert_eq!(fixture.ask(websocket("/")).await.0, 502);
    assert_eq!(fixture.ask(websocket("/status/404")).await.0, 404);
    // The route does not allow it.
    assert_eq!(fixture.ask(websocket("/closed")).await.0, 403);
    let mut other = websocket("/");
    other.extensions_mut().insert(Protocol::from_static("connect-udp"));
    assert_eq!(fixture.ask(other).await.0, 405);
}
