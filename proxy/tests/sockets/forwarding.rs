//! What passes through unchanged, and what is changed on purpose.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use http::Request;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use proxy_config::model::{HostRewrite, Rewrite};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{
    Directory, Proxy,
    client::{self, Client, Reply},
    configs::{cluster, listener_with, route, route_of_host, route_with},
    operator::Operator,
    upstream::{Pod, RawPod, read_head},
    within,
};

/// A proxy that sends everything to one pod.
async fn one_pod(name: &'static str) -> (Operator, Directory, Proxy, Pod) {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start(name).await);
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    (operator, directory, proxy, pod)
}

#[tokio::test]
async fn the_upstream_sees_the_request_and_where_it_came_from() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let reply = client::get(proxy.http, "/some/path?with=query").await;
    assert_eq!((reply.status, reply.header("x-pod")), (200, "a"));
    let lines: Vec<_> = reply.body.lines().collect();
    assert_eq!(lines[0], "GET /some/path?with=query");
    for expected in ["host: example.org", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"] {
        assert!(lines.contains(&expected), "{expected} in {lines:?}");
    }
    assert!(lines.iter().any(|it| it.starts_with("x-request-id: ")), "{lines:?}");
}

#[tokio::test]
async fn a_client_cannot_say_which_certificate_it_has_shown() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let mut client = Client::connect(proxy.http).await.unwrap();
    let request = Request::get("/").header("host", "h").header("X-Forwarded-Client-Cert", "By=spiffe://evil");
    let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let reply = client.send(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let body = Reply::read(reply).await.unwrap().body;
    assert!(!body.contains("evil"), "{body}");
    assert!(
        body.contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"),
        "{body}"
    );
}

#[tokio::test]
async fn where_a_request_has_been_is_said_in_one_header_if_that_is_wanted() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start_with(&operator, &directory, |it| it.forwarded = true);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let ours = "forwarded: for=127.0.0.1;host=\"example.org:80\";proto=http\n";
    let request =
        "GET / HTTP/1.1\r\nhost: example.org:80\r\nforwarded: for=\"evil\r\nconnection: close\r\n\r\n";
    let response = client::raw(proxy.http, request).await;
    assert!(response.contains(ours) && !response.contains("evil"), "{response}");
    link.commit(vec![listener_with(operator.http_port, |it| it.trusted_hops = 1)]).await;
    let request =
        "GET / HTTP/1.1\r\nhost: example.org:80\r\nforwarded: for=198.18.0.7\r\nconnection: close\r\n\r\n";
    let response = client::raw(proxy.http, request).await;
    assert!(response.contains(&format!("forwarded: for=198.18.0.7\n{ours}")), "{response}");
}

#[tokio::test]
async fn the_host_is_found_however_it_is_written() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let route = route_of_host("example.org", &[("a", 10_000)]);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route]).await;
    for (target, host, seen) in [
        ("/x", "example.org", Some("host: example.org\n")),
        ("/x", "Example.ORG:8080", Some("host: Example.ORG:8080\n")),
        ("http://example.org/x", "EXAMPLE.org:80", Some("host: example.org\n")),
        ("http://other.org/x", "other.org", None),
        ("/x", "example.org.other", None),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let response = client::raw(proxy.http, &request).await;
        assert_eq!(response.contains("GET /x\n"), seen.is_some(), "{request} gives {response}");
        assert!(seen.is_none_or(|it| response.contains(it)), "{request} gives {response}");
    }
}

#[tokio::test]
async fn paths_are_normalised_and_rewritten_by_the_arm() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let rewritten = route_with("/svc/", &[("a", 10_000)], |arm| {
        arm.rewrite = Rewrite::Prefix("/v2/".into());
        arm.host_rewrite = HostRewrite::Literal("inner.example".into());
    });
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)]), rewritten]).await;
    for (path, expected) in [
        ("/svc/x?q=1", "GET /v2/x?q=1"),
        ("/x/../svc//y", "GET /v2//y"),
        ("/%73vc/x", "GET /v2/x"),
        ("/svc/%2F", "GET /v2/%2F"),
        ("/x/../y", "GET /y"),
    ] {
        let reply = client::get(proxy.http, path).await;
        assert_eq!(reply.body.lines().next(), Some(expected), "{path}");
        assert_eq!(reply.body.contains("host: inner.example\n"), expected.contains("/v2/"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_connection_takes_many_requests_and_so_does_the_upstream_one() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(response).await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = Client::connect(proxy.http).await.unwrap();
    for _ in 0..50 {
        let reply = client.get("/").await.unwrap();
        assert_eq!((reply.status, &*reply.body), (200, "ok"));
    }
    assert_eq!(pod.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn large_bodies_stream_in_both_directions() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let (chunk, chunks) = (Bytes::from(vec![b'x'; 64 * 1024]), 512);
    let frames = futures::stream::iter(std::iter::repeat_n(chunk.clone(), chunks))
        .map(|it| Ok::<_, Infallible>(Frame::data(it)));
    let mut client = Client::connect(proxy.http).await.unwrap();
    let request = Request::post("/echo").header("host", "h").body(StreamBody::new(frames)).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = within(body.frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, chunk.len() * chunks);
}

#[tokio::test]
async fn a_body_is_passed_on_while_it_comes() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let (frames, body) = mpsc::channel(1);
    let mut client = Client::connect(proxy.http).await.unwrap();
    let body = StreamBody::new(ReceiverStream::new(body));
    let request = Request::post("/echo").header("host", "h").body(body).unwrap();
    let mut response = client.send(request).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        frames.send(Ok::<_, Infallible>(Frame::data(Bytes::from(word)))).await.unwrap();
        let echoed = within(response.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(echoed, word, "before the next word is sent");
    }
    drop(frames);
    assert!(within(response.frame()).await.is_none());
}

#[tokio::test]
async fn an_answer_arrives_while_the_client_still_sends() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        let response = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig";
        stream.write_all(response).await.unwrap();
        // Reads on, as a server does that closes in order.
        let mut rest = vec![0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|it| it > 0) {}
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let (frames, body) = mpsc::channel(1);
    frames.send(Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"begin")))).await.unwrap();
    let mut client = Client::connect(proxy.http).await.unwrap();
    let body = StreamBody::new(ReceiverStream::new(body));
    let request = Request::post("/").header("host", "h").body(body).unwrap();
    let reply = Reply::read(client.send(request).await.unwrap()).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (413, "big"), "with the request's body still open");
    drop(frames);
}

#[tokio::test]
async fn old_clients_are_served() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let closing = client::raw(proxy.http, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(closing.starts_with("HTTP/1.0 200 OK\r\n"), "{closing}");
    assert!(closing.contains("GET /old\n"), "{closing}");
    assert!(closing.contains("host: 127.0.0.1:"), "the pod gets a host: {closing}");
    let kept =
        "GET /1 HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\nhost: h\r\n\r\n";
    let kept = client::raw(proxy.http, kept).await;
    assert!(kept.contains("GET /1\n") && kept.contains("GET /2\n"), "{kept}");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let (_operator, _directory, proxy, pod) = one_pod("a").await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET /\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let response = client::raw(proxy.http, request).await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{request:?} gives {response:?}");
    }
    let connect =
        client::raw(proxy.http, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 405 "), "{connect}");
    assert_eq!(pod.seen(), 0);
}

#[tokio::test]
async fn a_head_request_has_no_body_and_keeps_the_connection() {
    let (_operator, _directory, proxy, _pod) = one_pod("a").await;
    let requests =
        "HEAD /1 HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let responses = client::raw(proxy.http, requests).await;
    assert_eq!(responses.matches("HTTP/1.1 200 OK").count(), 2, "{responses}");
    assert!(!responses.contains("HEAD /1\n") && responses.contains("GET /2\n"), "{responses}");
}

#[tokio::test]
async fn protocols_are_switched_where_both_sides_want_it() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("upgrade: echo\r\n"), "{head}");
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let head = within(read_head(&mut stream)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: echo\r\n"), "{head}");
    stream.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 5];
    within(stream.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"hello");
    link.report(|it| it.in_flight.iter().any(|it| it.hash == "h1" && it.requests == 1)).await;
    drop(stream);
    link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_ends_after_the_idle_timeout() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let mut end = [0];
        let _ = stream.read(&mut end).await;
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let idle = route_with("/", &[("a", 10_000)], |arm| arm.idle_timeout_ms = Some(50));
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), idle]).await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    let response = client::raw(proxy.http, request).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
}
