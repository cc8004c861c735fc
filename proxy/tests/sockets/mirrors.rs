//! Copies of requests.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use proxy_config::model::TextMatch;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::support::{
    Directory, Proxy,
    client::{self, Client, Reply},
    configs::{cluster, mirrored},
    eventually,
    operator::Operator,
    upstream::{Pod, RawPod, nobody, read_head},
    within,
};

/// A pod that tells each request that it got, head and body, and then answers.
async fn listener() -> (RawPod, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let (told, copied) = mpsc::unbounded_channel();
    let pod = RawPod::start(move |mut stream, _| {
        let told = told.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let body = read_body(&mut stream, &head).await;
                told.send((head, body)).unwrap();
                stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            }
        }
    })
    .await;
    (pod, copied)
}

async fn read_body(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        return body;
    }
    let mut body = Vec::new();
    while head.contains("transfer-encoding: chunked") {
        let size = read_line(stream).await;
        let mut chunk = vec![0; usize::from_str_radix(&size, 16).unwrap()];
        stream.read_exact(&mut chunk).await.unwrap();
        assert_eq!(read_line(stream).await, "");
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    body
}

async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// How many copies for the mirror `m` ended so.
async fn copies(proxy: &Proxy, outcome: &str) -> f64 {
    let line =
        format!("sluice_proxy_mirrored_requests_total{{mirror=\"m\",outcome=\"{outcome}\",split=\"/\"}}");
    proxy.metric(&line).await
}

#[tokio::test]
async fn a_mirror_gets_its_exact_share_and_nobody_hears_its_answers() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, (mirror, mut copied)) = (Pod::start("a").await, listener().await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(pod.address, "h1")]),
        cluster("m", &[(mirror.address, "h2")]),
        mirrored(&[("a", 10_000)], "m", 2_500, |_| {}),
    ];
    let mut link = operator.configure(changes).await;
    let load = (0..4).map(|_| async {
        let mut client = Client::connect(proxy.http).await.unwrap();
        for _ in 0..250 {
            let reply = client.get("/x?y").await.unwrap();
            assert_eq!((reply.status, reply.header("x-pod")), (200, "a"));
            assert!(reply.body.contains("host: example.org\n"), "{}", reply.body);
        }
    });
    futures::future::join_all(load).await;
    eventually("all copies are answered", async || copies(&proxy, "answered").await > 248.5).await;
    assert!((copies(&proxy, "answered").await - 250.0).abs() < 1.5);
    assert_eq!(pod.seen(), 1_000);
    let (head, _) = within(copied.recv()).await.unwrap();
    assert!(
        head.starts_with("GET /x?y HTTP/1.1\r\n") && head.contains("host: example.org-shadow\r\n"),
        "{head}"
    );
    let report = link.report(|it| it.arms.iter().any(|arm| arm.requests == 1_000)).await;
    let arms: Vec<_> = report.arms.iter().map(|arm| (&*arm.arm, arm.bad)).collect();
    assert_eq!(arms, [("a", 0)], "the answers of a mirror are in no arm's counts");
}

#[tokio::test]
async fn only_requests_that_a_mirror_asks_for_are_copied() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, (mirror, mut copied)) = (Pod::start("a").await, listener().await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(pod.address, "h1")]),
        cluster("m", &[(mirror.address, "h2")]),
        mirrored(&[("a", 10_000)], "m", 10_000, |it| it.method = Some(TextMatch::Exact("PUT".into()))),
    ];
    operator.configure(changes).await;
    let mut client = Client::<Full<Bytes>>::connect(proxy.http).await.unwrap();
    for method in ["POST", "PUT", "GET"] {
        let request = Request::builder().method(method).uri("/").header("host", "h");
        let reply = client.send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(Reply::read(reply).await.unwrap().status, 200);
    }
    let (head, _) = within(copied.recv()).await.unwrap();
    assert!(head.starts_with("PUT / "), "{head}");
    eventually("the copy is answered", async || copies(&proxy, "answered").await > 0.5).await;
    assert!(copied.try_recv().is_err(), "there is no other");
}

#[tokio::test]
async fn a_body_arrives_whole_at_both() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let ((pod, mut received), (mirror, mut copied)) = (listener().await, listener().await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(pod.address, "h1")]),
        cluster("m", &[(mirror.address, "h2")]),
        mirrored(&[("a", 10_000)], "m", 10_000, |_| {}),
    ];
    operator.configure(changes).await;
    // As one with its length, and as a stream whose parts come while the copy is already under way.
    let whole: Bytes = (0..200_000_u32).map(|it| it.to_le_bytes()[0]).collect();
    let mut client = Client::connect(proxy.http).await.unwrap();
    let request = Request::post("/").header("host", "h").body(Full::new(whole.clone())).unwrap();
    Reply::read(client.send(request).await.unwrap()).await.unwrap();
    assert_eq!(within(received.recv()).await.unwrap().1, whole);
    assert_eq!(within(copied.recv()).await.unwrap().1, whole);

    let (parts, stream) = mpsc::channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    let part = whole.slice(..50_000);
    let piece = part.clone();
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(stream));
    let send = async move {
        for _ in 0..40 {
            parts.send(Ok(Frame::data(piece.clone()))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let mut client = Client::connect(proxy.http).await.unwrap();
    let request = Request::post("/").header("host", "h").body(body).unwrap();
    let (response, ()) = tokio::join!(client.send(request), send);
    Reply::read(response.unwrap()).await.unwrap();
    let expected = part.repeat(40);
    assert_eq!(within(received.recv()).await.unwrap().1, expected);
    let (head, body) = within(copied.recv()).await.unwrap();
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_mirror_that_does_not_read_loses_its_copy_and_slows_nobody() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let mirror = RawPod::start(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(pod.address, "h1")]),
        cluster("m", &[(mirror.address, "h2")]),
        mirrored(&[("a", 10_000)], "m", 10_000, |_| {}),
    ];
    let mut link = operator.configure(changes).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.http, "/").await.status, 200);
    }
    // More than the sockets between here and there hold.
    let body = Bytes::from(vec![7; 32 << 20]);
    let mut client = Client::connect(proxy.http).await.unwrap();
    let request = Request::post("/echo").header("host", "h").body(Full::new(body.clone())).unwrap();
    let response = client.send(request).await.unwrap();
    let echoed = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(echoed == body, "it comes back whole");
    eventually("its copy is dropped", async || copies(&proxy, "dropped").await > 0.5).await;
    let report = link.report(|it| it.in_flight.iter().any(|it| it.hash == "h2")).await;
    let copies = report.in_flight.iter().find(|it| it.hash == "h2").map(|it| it.requests);
    assert_eq!(copies, Some(20), "copies are work of their pods: a scale-down waits for them");
}

#[tokio::test]
async fn a_mirror_that_fails_is_seen_in_its_counters_only() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let breaking = RawPod::start(|mut stream, _| async move { drop(read_head(&mut stream).await) }).await;
    let proxy = Proxy::start(&operator, &directory);
    let to = |address: &[(SocketAddr, &'static str)]| {
        vec![
            cluster("a", &[(pod.address, "h1")]),
            cluster("m", address),
            mirrored(&[("a", 10_000)], "m", 10_000, |_| {}),
        ]
    };
    let mut link = operator.configure(to(&[(nobody().await, "h2")])).await;
    for (round, address) in [&[][..], &[(breaking.address, "h2")]].into_iter().enumerate() {
        for _ in 0..10 {
            assert_eq!(client::get(proxy.http, "/").await.status, 200);
        }
        let least = f64::from(u32::try_from(round).unwrap()) * 10.0 + 9.5;
        eventually("the copies have failed", async || copies(&proxy, "failed").await > least).await;
        link.commit(to(address)).await;
    }
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    eventually("the copy has failed", async || copies(&proxy, "failed").await > 20.5).await;
    let report = link.report(|it| !it.arms.is_empty()).await;
    assert!(report.arms.iter().all(|arm| arm.bad == 0 && arm.arm == "a"), "{report:?}");
}
