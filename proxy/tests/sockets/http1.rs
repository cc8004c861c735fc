//! HTTP/1.1 as peers speak it badly, rarely or with bad intent.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::support::{
    Directory, Proxy,
    client::{self, Client},
    configs::{cluster, route},
    eventually,
    operator::{Link, Operator},
    upstream::{Pod, RawPod, read_head},
    within,
};

struct Fixture {
    proxy: Proxy,
    link: Link,
    _operator: Operator,
    _directory: Directory,
}

/// A proxy with one worker before this pod.
async fn before(pod: SocketAddr) -> Fixture {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start_with(&operator, &directory, |it| it.workers = 1.try_into().unwrap());
    let link = operator.configure(vec![cluster("a", &[(pod, "h1")]), route(&[("a", 10_000)])]).await;
    Fixture { proxy, link, _operator: operator, _directory: directory }
}

/// A pod that answers each request with these bytes.
async fn answering(answer: String) -> RawPod {
    let answer: Arc<str> = answer.into();
    RawPod::start(move |mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            while read_head(&mut stream).await.is_some() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn after_a_malformed_request_nothing_of_its_connection_is_read() {
    let pod = Pod::start("a").await;
    let it = before(pod.address).await;
    for (request, status) in [
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +4\r\n\r\nabcd", 400),
        ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nhost: h\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nhost: h\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost : h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: h\nx: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: h\r\nx: \0\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0", 400),
    ] {
        let response = client::raw(it.proxy.http, &format!("{request}{GET}")).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} gives {response}");
        assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    }
    assert_eq!(pod.seen(), 0);
}

#[tokio::test]
async fn a_body_that_turns_out_malformed_ends_its_request() {
    let pod = Pod::start("a").await;
    let mut it = before(pod.address).await;
    let request = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nxx\r\n";
    let response = client::raw(it.proxy.http, &format!("{request}{GET}")).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
    assert_eq!(pod.answered(), 0);
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let pod = Pod::start("a").await;
    let it = before(pod.address).await;
    let body = "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc";
    let chunks = "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n";
    let requests = format!("{body}\r\n{chunks}GET /x HTTP/1.1\r\nhost: h\r\n\r\n{LAST}");
    let responses = client::raw(it.proxy.http, &requests).await;
    let places: Vec<_> =
        ["abc", "2\r\nde\r\n0\r\n", "GET /x\n", "GET /\n"].map(|it| responses.find(it)).into();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} in {responses}");
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let pod = Pod::start("a").await;
    let it = before(pod.address).await;
    let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                   3;a=b\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    for byte in request.bytes() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut response = String::new();
    within(stream.read_to_string(&mut response)).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{response}");
    // It may come back in as many chunks as there are bytes: every second line is content.
    let content: String = body.split("\r\n").skip(1).step_by(2).collect();
    assert_eq!(content, "abc", "{response}");
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let pod = RawPod::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut seen = Vec::new();
            while !seen.ends_with(b"x-sum: 1\r\n\r\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            tell.send(String::from_utf8(seen).unwrap()).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\
                          content-length: 9\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let it = before(pod.address).await;
    let request = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                   3\r\nabc\r\n0\r\nhost: evil\r\nx-sum: 1\r\n\r\n";
    let response = client::raw(it.proxy.http, request).await;
    let seen = within(told.recv()).await.unwrap();
    assert!(seen.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), "{seen}");
    assert!(response.ends_with("\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn what_an_upstream_sends_unasked_reaches_nobody() {
    let twice = answering(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")).await;
    let it = before(twice.address).await;
    let mut kept = Client::connect(it.proxy.http).await.unwrap();
    for _ in 0..10 {
        assert_eq!(kept.get("/").await.unwrap().body, "ok");
    }
    assert_eq!(twice.connections.load(Ordering::Relaxed), 10, "such a connection is not used again");
}

#[tokio::test]
async fn an_upstream_that_floods_is_no_upstream() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000);
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for answer in [
        format!("{interim}{OK}"),
        large,
        many,
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\ncontent-length: 1\n\na".to_owned(),
        "HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 1\r\n\r\na".to_owned(),
    ] {
        let pod = answering(answer.clone()).await;
        let it = before(pod.address).await;
        let reply = client::get(it.proxy.http, "/").await;
        assert_eq!(reply.reason(), (502, "upstream_protocol"), "{answer:.60}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_leaves_ours_open() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await.unwrap();
    })
    .await;
    let it = before(pod.address).await;
    let mut kept = Client::connect(it.proxy.http).await.unwrap();
    for _ in 0..3 {
        assert_eq!(kept.get("/").await.unwrap().body, "until the end");
    }
    let old = client::raw(it.proxy.http, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
    assert!(old.contains("connection: close\r\n") && old.ends_with("\r\n\r\nuntil the end"), "{old}");
}

#[tokio::test]
async fn chunks_that_break_off_have_no_last_one() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
    })
    .await;
    let mut it = before(pod.address).await;
    let response = client::raw(it.proxy.http, GET).await;
    assert!(response.ends_with("\r\n\r\n3\r\nabc\r\n"), "{response}");
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

/// More than all sockets on the way hold.
const LARGE: usize = 32 << 20;

#[tokio::test]
async fn an_answer_larger_than_all_buffers_comes_before_the_request_is_read() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'd'; LARGE]).await.unwrap();
        let mut upload = vec![0; LARGE];
        stream.read_exact(&mut upload).await.unwrap();
        assert!(upload.iter().all(|it| *it == b'u'));
        // A request that came whole leaves the connection for another one.
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let it = before(pod.address).await;
    let stream = TcpStream::connect(it.proxy.http).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let send = async {
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\n\r\n");
        to.write_all(head.as_bytes()).await.unwrap();
        to.write_all(&vec![b'u'; LARGE]).await.unwrap();
        to.write_all(LAST.as_bytes()).await.unwrap();
    };
    let receive = async {
        let mut response = Vec::new();
        within(from.read_to_end(&mut response)).await.unwrap();
        response
    };
    let ((), response) = tokio::join!(send, receive);
    let head = response.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    assert!(response[head..head + LARGE].iter().all(|it| *it == b'd'));
    // Whether the request was read whole before its answer was over is a race; then the connection is kept.
    let text = String::from_utf8_lossy(&response[head + LARGE..]);
    assert!(text.is_empty() || text.ends_with("\r\n\r\nok"), "{text:.300}");
}

#[tokio::test]
async fn an_answer_is_passed_on_although_the_upstream_closes_on_the_request() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
        stream.shutdown().await.unwrap();
        // Closed with the request unread: the next bytes are answered with a reset.
        tokio::time::sleep(Duration::from_millis(20)).await;
    })
    .await;
    let mut it = before(pod.address).await;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\n\r\nbegin");
        stream.write_all(head.as_bytes()).await.unwrap();
        let head = within(read_head(&mut stream)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        let mut body = [0; 3];
        within(stream.read_exact(&mut body)).await.unwrap();
        assert_eq!(&body, b"big");
    }
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn an_upload_is_not_read_faster_than_the_upstream_takes_it() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut it = before(pod.address).await;
    let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 1 << 30);
    stream.write_all(head.as_bytes()).await.unwrap();
    let (part, mut sent) = (vec![0; 1 << 16], 0);
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), stream.write(&part)).await {
        sent += written.unwrap();
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken for an upstream that reads nothing");
    drop(stream);
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn a_pod_learns_that_its_client_has_gone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let pod = RawPod::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            tell.send("asked").unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            tell.send("closed").unwrap();
        }
    })
    .await;
    let it = before(pod.address).await;
    let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(within(told.recv()).await, Some("asked"));
    drop(stream);
    assert_eq!(within(told.recv()).await, Some("closed"));
}

#[tokio::test]
async fn a_connection_that_an_upstream_closed_meanwhile_is_not_used() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let it = before(pod.address).await;
    for number in 1..=5 {
        // A POST would not be sent again.
        let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        let response = client::raw(it.proxy.http, post).await;
        assert!(response.ends_with("\r\n\r\nok"), "{response}");
        assert_eq!(pod.connections.load(Ordering::Relaxed), number);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_request_is_lost_while_endpoints_come_and_go() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let mut it = before(pods[0].address).await;
    let address = it.proxy.http;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load: Vec<_> = (0..8)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                let mut served = 0;
                while !*stopped.borrow() {
                    assert_eq!(client.get("/x").await.unwrap().status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for turn in 0..100 {
        it.link.commit(vec![cluster("a", &[(pods[turn % 2].address, "h1")])]).await;
    }
    stop.send_replace(true);
    let mut served = 0;
    for client in load {
        served += within(client).await.unwrap();
    }
    assert!(served > 100, "{served}");
    it.link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn whoever_does_not_finish_holds_nobody_up() {
    let pod = Pod::start("a").await;
    let it = before(pod.address).await;
    let mut stalled = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(it.proxy.http).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nx: ").await.unwrap();
        stalled.push(stream);
    }
    let open = "sluice_proxy_downstream_connections";
    eventually("all are accepted", async || it.proxy.metric(open).await > 299.5).await;
    for _ in 0..20 {
        assert_eq!(client::get(it.proxy.http, "/").await.status, 200);
    }
}
