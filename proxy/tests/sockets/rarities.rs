//! What peers do that no good peer does, and what good peers do that is rare.

use std::{sync::Arc, time::Duration};

use proxy_config::model::Change;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
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

/// A proxy before one pod of which the test writes every byte: each connection gets one request, this answer to it,
/// and nothing more.
async fn answering(answer: &'static str) -> (Operator, Directory, Proxy, Link, RawPod) {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        // The proxy closes first.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let link = operator.configure(to(pod.address)).await;
    (operator, directory, proxy, link, pod)
}

fn to(pod: std::net::SocketAddr) -> Vec<Change> {
    vec![cluster("a", &[(pod, "h1")]), route(&[("a", 10_000)])]
}

const LAST: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn of_two_lengths_of_a_response_the_encoding_counts() {
    for head in
        ["content-length: 3\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 3"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n9\r\nlong body\r\n0\r\n\r\n");
        let (_operator, _directory, proxy, _link, _pod) = answering(answer.leak()).await;
        let response = client::raw(proxy.http, LAST).await;
        assert!(response.ends_with("9\r\nlong body\r\n0\r\n\r\n"), "{response}");
        assert!(!response.contains("content-length"), "{response}");
    }
}

#[tokio::test]
async fn informational_answers_are_not_the_answer() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                  HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (_operator, _directory, proxy, _link, _pod) = answering(answer).await;
    let response = client::raw(proxy.http, LAST).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nok"), "{response}");
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (status, head) in
        [("204 No Content", ""), ("304 Not Modified", "etag: \"a\"\r\ncontent-length: 7\r\n")]
    {
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\n");
        let (_operator, _directory, proxy, mut link, _pod) = answering(answer.leak()).await;
        let response = client::raw(proxy.http, LAST).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert!(response.ends_with("\r\n\r\n") && !response.contains("transfer-encoding"), "{response}");
        assert_eq!(response.contains("etag"), head.contains("etag"), "{response}");
        link.report(|it| it.in_flight.is_empty() && !it.arms.is_empty()).await;
    }
}

#[tokio::test]
async fn trailers_do_not_disturb_the_body() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                  4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n";
    let (_operator, _directory, proxy, _link, _pod) = answering(answer).await;
    let response = client::raw(proxy.http, LAST).await;
    assert!(response.contains("\r\n\r\n4\r\nbody\r\n0\r\n") && response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_no_answer() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let (_operator, _directory, proxy, mut link, _pod) = answering(answer).await;
    let response = client::raw(proxy.http, LAST).await;
    assert!(response.contains("x-sluice-reason: upstream_protocol\r\n"), "{response}");
    link.report(|it| it.arms.iter().any(|it| (it.requests, it.bad) == (1, 1)) && it.in_flight.is_empty())
        .await;
}

#[tokio::test]
async fn http_inside_of_http_is_not_offered_to_the_upstream() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(to(pod.address)).await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let response = client::raw(proxy.http, request).await;
    let (_, seen) = response.split_once("\r\n\r\n").unwrap();
    assert!(
        seen.starts_with("GET /\n") && !seen.contains("h2c") && !seen.contains("http2-settings"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_tunnel_whose_client_is_gone_before_it_opens_leaves_nothing_behind() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (gone, seen) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, tell) = (Arc::clone(&gone), Arc::clone(&seen));
    let pod = RawPod::start(move |mut stream, _| {
        let (wait, tell) = (Arc::clone(&wait), Arc::clone(&tell));
        async move {
            read_head(&mut stream).await;
            tell.notify_one();
            wait.notified().await;
            let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            // Nobody may listen any more.
            let _ = stream.write_all(switch).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(to(pod.address)).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    within(seen.notified()).await;
    drop(stream);
    gone.notify_one();
    link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn a_client_waits_with_its_body_until_somebody_takes_it() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(to(pod.address)).await;
    let head = b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(head).await.unwrap();
    assert_eq!(within(read_head(&mut stream)).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut response = String::new();
    within(stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nbody"), "{response}");

    link.commit(vec![cluster("a", &[])]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(head).await.unwrap();
    let refused = within(read_head(&mut stream)).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "without a 100 before: {refused}");
}

#[tokio::test]
async fn an_answer_is_read_by_a_client_that_sends_more_than_anybody_wants() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    operator.configure(to(pod.address)).await;
    let large = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "x".repeat(4 << 20));
    let long = format!(
        "POST / HTTP/1.1\r\nhost: user@h\r\ncontent-length: {0}\r\n\r\n{1}",
        4 << 20,
        "x".repeat(4 << 20)
    );
    for (request, status) in [(large, "HTTP/1.1 431 "), (long, "HTTP/1.1 400 ")] {
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        within(stream.write_all(request.as_bytes())).await.expect("all of it is taken");
        stream.shutdown().await.unwrap();
        let mut response = String::new();
        within(stream.read_to_string(&mut response)).await.expect("the connection is not reset");
        assert!(response.starts_with(status), "{response}");
    }
    for reason in ["head_too_large", "bad_request"] {
        let counter = format!("sluice_proxy_own_answers_total{{reason=\"{reason}\"}}");
        eventually("it is counted once", async || (proxy.metric(&counter).await - 1.0).abs() < 0.1).await;
    }
    assert_eq!(pod.seen(), 0);
}

#[tokio::test]
async fn a_client_that_breaks_off_its_upload_leaves_nothing_behind() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(to(pod.address)).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let half = b"POST /hold HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf";
    stream.write_all(half).await.unwrap();
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    drop(stream);
    link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_weight_that_changes_leaves_requests_under_way_where_they_are() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (old, new) = (Pod::start("old").await, Pod::start("new").await);
    let proxy = Proxy::start(&operator, &directory);
    let clusters = vec![cluster("old", &[(old.address, "h1")]), cluster("new", &[(new.address, "h2")])];
    let mut link = operator.configure([clusters, vec![route(&[("new", 0), ("old", 10_000)])]].concat()).await;
    let address = proxy.http;
    let held = tokio::spawn(async move { client::get(address, "/hold").await });
    link.report(|it| it.in_flight.iter().any(|it| it.hash == "h1" && it.requests == 1)).await;
    link.commit(vec![route(&[("new", 10_000), ("old", 0)])]).await;
    assert_eq!(client::get(address, "/").await.header("x-pod"), "new");
    link.report(|it| it.in_flight.iter().any(|it| it.hash == "h1" && it.requests == 1)).await;
    old.release();
    let reply = within(held).await.unwrap();
    assert_eq!((reply.status, reply.header("x-pod")), (200, "old"));
    link.report(|it| it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_slows_the_upstream_down() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (report, mut sent) = tokio::sync::watch::channel(0_usize);
    let pod = RawPod::start(move |mut stream, _| {
        let report = report.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 268435456\r\n\r\n").await.unwrap();
            let chunk = vec![b'x'; 1 << 16];
            for n in 1..=4096 {
                if stream.write_all(&chunk).await.is_err() {
                    return;
                }
                report.send_replace(n << 16);
            }
        }
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(to(pod.address)).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    read_head(&mut stream).await.unwrap();
    // Nobody reads: the pod stops when the buffers of the system and of the proxy are full.
    while tokio::time::timeout(Duration::from_millis(300), sent.changed()).await.is_ok() {}
    let stopped_at = *sent.borrow();
    assert!(stopped_at < 64 << 20, "{stopped_at} bytes were taken for a client that reads nothing");
    drop(stream);
    link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start_with(&operator, &directory, |it| {
        it.max_connections = 2;
        it.workers = 1.try_into().unwrap();
    });
    operator.configure(to(pod.address)).await;
    let mut first = Client::connect(proxy.http).await.unwrap();
    let mut second = Client::connect(proxy.http).await.unwrap();
    first.get("/").await.unwrap();
    second.get("/").await.unwrap();
    let address = proxy.http;
    let third = tokio::spawn(async move { client::get(address, "/").await.status });
    for _ in 0..20 {
        assert_eq!(second.get("/").await.unwrap().status, 200, "the others are served");
    }
    assert_eq!(pod.seen(), 22, "the third one waits");
    drop(first);
    assert_eq!(within(third).await.unwrap(), 200);
}
