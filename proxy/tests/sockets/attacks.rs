//! Peers that want much and give nothing: what one of them can have is bounded, and others never notice.
//!
//! The proxy is a process of its own here, so that its memory can be looked at.

#![expect(clippy::large_stack_arrays, reason = "a constant that is sent")]

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    http2::frame,
    process::Process,
    support::{
        client,
        upstream::{Pod, RawPod, read_head},
        within,
    },
};

/// How many peers do the same at once.
const PEERS: usize = 200;
/// What each of them may cost: what waits on its way in and out, in both of our buffers, and nothing that grows with what it
/// sends. In a build without optimisation.
const EACH: usize = 384 * 1024;
/// What each of them tries to make us keep.
const MUCH: usize = 4 * 1024 * 1024;

/// Whether all this costs no more than it may, and others are served.
async fn is_bounded(proxy: &Process, before: usize) {
    let each = proxy.resident().saturating_sub(before) / PEERS;
    assert!(each <= EACH, "{each} bytes for each of {PEERS} peers");
    assert_eq!(client::get(proxy.address, "/").await.status, 200);
}

async fn warm(proxy: &Process) -> usize {
    for _ in 0..50 {
        assert_eq!(client::get(proxy.address, "/").await.status, 200);
    }
    proxy.resident()
}

/// Writes for as long as somebody takes it, up to so much; says how much that was.
async fn push(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    let mut pushed = 0;
    while pushed < most {
        match tokio::time::timeout(Duration::from_millis(200), stream.write(bytes)).await {
            Ok(Ok(written)) => pushed += written,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    pushed
}

#[tokio::test]
async fn heads_that_never_end_are_not_kept() {
    let pod = Pod::start("a").await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let line = format!("x-more: {}\r\n", "x".repeat(1000));
    let attacks = (0..PEERS).map(|_| async {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n").await.unwrap();
        push(&mut stream, line.as_bytes(), MUCH).await;
        stream
    });
    let held = futures::future::join_all(attacks).await;
    is_bounded(&proxy, before).await;
    drop(held);
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_not_read_ahead() {
    let pod = Pod::start("a").await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let request = "GET /hold HTTP/1.1\r\nhost: h\r\n\r\n".repeat(500);
    let attacks = (0..PEERS).map(|_| async {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        push(&mut stream, request.as_bytes(), MUCH).await;
        stream
    });
    let held = futures::future::join_all(attacks).await;
    is_bounded(&proxy, before).await;
    drop(held);
}

#[tokio::test]
async fn what_a_pod_does_not_read_stays_with_the_client() {
    // It takes the head, answers a question of a warm-up, and reads no body.
    let pod = RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("POST") {
                std::future::pending::<()>().await;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    for framing in ["content-length: 999999999", "transfer-encoding: chunked"] {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        let attacks = (0..PEERS).map(|_| async {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            let head = format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            push(&mut stream, chunk.as_bytes(), MUCH).await;
            stream
        });
        let held = futures::future::join_all(attacks).await;
        is_bounded(&proxy, before).await;
        drop(held);
    }
}

#[tokio::test]
async fn what_a_client_does_not_read_stays_with_the_pod() {
    let pod = RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /much") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await;
                push(&mut stream, &[b'x'; 65_536], MUCH).await;
                std::future::pending::<()>().await;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let attacks = (0..PEERS).map(|_| async {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET /much HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        within(stream.read_u8()).await.unwrap();
        stream
    });
    let held = futures::future::join_all(attacks).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_bounded(&proxy, before).await;
    drop(held);
}

#[tokio::test]
async fn a_pod_whose_head_never_ends_is_not_read_for_ever() {
    let pod = RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /endless") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
                push(&mut stream, format!("x-more: {}\r\n", "x".repeat(1000)).as_bytes(), MUCH).await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let attacks = (0..PEERS).map(|_| async {
        let reply = client::get(proxy.address, "/endless").await;
        assert_eq!(reply.reason(), (502, "upstream_protocol"));
    });
    futures::future::join_all(attacks).await;
    is_bounded(&proxy, before).await;
}

#[tokio::test]
async fn streams_of_http2_that_nobody_reads_are_bounded() {
    let pod = RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /much") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await;
                push(&mut stream, &[b'x'; 65_536], MUCH).await;
                std::future::pending::<()>().await;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    // As many streams as a client may have, each with a window that is never used up.
    let (sender, connection) = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
        .initial_stream_window_size(1 << 30)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, http_body_util::Empty<bytes::Bytes>>(io)
        .await
        .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let asks = (0..100).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = http::Request::get("http://h/much").body(http_body_util::Empty::new()).unwrap();
            // Its body is never read.
            within(sender.send_request(request)).await.unwrap()
        }
    });
    let held = futures::future::join_all(asks).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_bounded(&proxy, before).await;
    drop(held);
}

/// A pod that reads all and answers with little.
async fn reader() -> RawPod {
    RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("POST") {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn trailers_and_extensions_that_never_end_are_not_kept() {
    let pod = reader().await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let trailer = format!("x-more: {}\r\n", "x".repeat(1000));
    for (begin, more) in [("0\r\n", trailer.as_str()), ("3;x=", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")] {
        let attacks = (0..PEERS).map(|_| async {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            let head = format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{begin}");
            stream.write_all(head.as_bytes()).await.unwrap();
            push(&mut stream, more.repeat(1 + 4_000 / more.len()).as_bytes(), MUCH).await;
            let mut status = [0; 10];
            within(stream.read_exact(&mut status)).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 4", "it is refused, whatever else comes");
            stream
        });
        let held = futures::future::join_all(attacks).await;
        is_bounded(&proxy, before).await;
        drop(held);
    }
}

#[tokio::test]
async fn interim_answers_that_never_end_are_not_read_for_ever() {
    let pod = RawPod::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /endless") {
                let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(50);
                push(&mut stream, interim.as_bytes(), MUCH).await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    let attacks = (0..PEERS).map(|_| async {
        let reply = client::get(proxy.address, "/endless").await;
        assert_eq!(reply.reason(), (502, "upstream_protocol"));
    });
    futures::future::join_all(attacks).await;
    is_bounded(&proxy, before).await;
}

#[tokio::test]
async fn frames_of_http2_that_cost_their_sender_nothing_are_bounded() {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    let pod = Pod::start("a").await;
    let proxy = Process::start(pod.address, "2000").await;
    let before = warm(&proxy).await;
    // A head without an end (CVE-2024-27316) of names that are kept nowhere, and questions whose answers nobody reads.
    let name = [[0, 4].as_slice(), b"x-ab", &[100], &[b'y'; 100]].concat();
    let floods = [
        (frame(HEADERS, 0, 1, &name), frame(CONTINUATION, 0, 1, &name.repeat(100))),
        (Vec::new(), frame(SETTINGS, 0, 0, &[]).repeat(500)),
        (Vec::new(), frame(PING, 0, 0, &[1; 8]).repeat(500)),
    ];
    for (first, flood) in floods {
        // Without optimisation each frame takes long.
        let attacks = (0..PEERS / 20).map(|_| async {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &[]), &first].concat();
            stream.write_all(&begin).await.unwrap();
            push(&mut stream, &flood, MUCH / 4).await;
            stream
        });
        let held = futures::future::join_all(attacks).await;
        let all = proxy.resident().saturating_sub(before);
        assert!(all <= EACH * PEERS / 20, "{all} bytes");
        assert_eq!(client::get(proxy.address, "/").await.status, 200);
        drop(held);
    }
}
