//! The end of the time that a draining pod has.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use proxy_config::model::{Draining, UnixMillis};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::support::{
    Directory, Proxy, client,
    configs::{cluster, cluster_with, route},
    operator::{Link, Operator},
    upstream::{Pod, RawPod, read_head},
    within,
};

/// What a test makes the pod do.
enum Do {
    Send(&'static [u8]),
    /// Reads to the end, and tells what came.
    Hear,
}

/// A pod that switches to what the client asks for and does what it is told.
async fn socket(
    protocol: &'static str,
) -> (RawPod, mpsc::UnboundedSender<Do>, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (make, orders) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let orders = std::sync::Arc::new(tokio::sync::Mutex::new(orders));
    let pod = RawPod::start(move |mut stream, _| {
        let (orders, tell) = (std::sync::Arc::clone(&orders), tell.clone());
        async move {
            read_head(&mut stream).await.unwrap();
            let switch = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
            );
            stream.write_all(switch.as_bytes()).await.unwrap();
            while let Some(what) = orders.lock().await.recv().await {
                match what {
                    Do::Send(bytes) => stream.write_all(bytes).await.unwrap(),
                    Do::Hear => {
                        let mut rest = Vec::new();
                        stream.read_to_end(&mut rest).await.unwrap();
                        tell.send(rest).unwrap();
                    }
                }
            }
        }
    })
    .await;
    (pod, make, told)
}

/// A client that has switched.
async fn switched(address: SocketAddr, protocol: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: {protocol}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = within(read_head(&mut stream)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

/// The pod `a` drains from now on, and is to be empty at once.
async fn drain(link: &mut Link, address: SocketAddr) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let until = Some(UnixMillis(i64::try_from(now).unwrap()));
    link.commit(vec![cluster_with("a", &[(address, "h1", Some(Draining { until }))])]).await;
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    rest
}

#[tokio::test]
async fn a_websocket_is_told_to_go_away_between_two_frames() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, make, mut told) = socket("WebSocket").await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = switched(proxy.http, "WebSocket").await;
    // A frame of five bytes of which three have come.
    make.send(Do::Send(b"\x82\x05abc")).unwrap();
    let mut begun = [0; 5];
    within(client.read_exact(&mut begun)).await.unwrap();
    drain(&mut link, pod.address).await;
    link.report(|it| it.draining.iter().any(|it| it.requests == 1)).await;
    // The rest of it, and a frame that comes too late, after the deadline has been seen.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    make.send(Do::Send(b"de\x82\x01f")).unwrap();
    make.send(Do::Hear).unwrap();
    assert_eq!(rest(&mut client).await, b"de\x88\x02\x03\xe9", "the frame is whole, and 1001 follows");
    drop(client);
    assert_eq!(within(told.recv()).await.unwrap(), b"\x88\x82\0\0\0\0\x03\xe9", "the pod is told as well");
    link.report(|it| it.draining.is_empty() && it.in_flight.is_empty()).await;
}

#[tokio::test]
async fn without_a_deadline_or_before_it_a_tunnel_goes_on() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, make, _told) = socket("WebSocket").await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = switched(proxy.http, "WebSocket").await;
    let later = Some(UnixMillis(i64::MAX - 1));
    for until in [None, later] {
        link.commit(vec![cluster_with("a", &[(pod.address, "h1", Some(Draining { until }))])]).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        make.send(Do::Send(b"\x82\x01a")).unwrap();
        let mut frame = [0; 3];
        within(client.read_exact(&mut frame)).await.unwrap();
        assert_eq!(&frame, b"\x82\x01a");
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_closed() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, make, mut told) = socket("echo").await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = switched(proxy.http, "echo").await;
    make.send(Do::Hear).unwrap();
    drain(&mut link, pod.address).await;
    assert_eq!(rest(&mut client).await, b"");
    assert_eq!(within(told.recv()).await.unwrap(), b"");
}

#[tokio::test]
async fn an_answer_after_the_deadline_ends_its_connection() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let held = tokio::spawn(async move { client::get(proxy.http, "/hold").await });
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    drain(&mut link, pod.address).await;
    pod.release();
    let reply = held.await.unwrap();
    assert_eq!((reply.status, reply.header("connection"), reply.header("x-pod")), (200, "close", "a"));
}

#[tokio::test]
async fn a_process_that_ends_tells_its_websockets() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, make, mut told) = socket("WebSocket").await;
    let mut proxy =
        Proxy::start_with(&operator, &directory, |it| it.drain_timeout = Duration::from_millis(100));
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = switched(proxy.http, "WebSocket").await;
    make.send(Do::Hear).unwrap();
    proxy.stop();
    assert_eq!(rest(&mut client).await, b"\x88\x02\x03\xe9", "1001");
    drop(client);
    assert_eq!(within(told.recv()).await.unwrap(), b"\x88\x82\0\0\0\0\x03\xe9", "the pod is told as well");
    proxy.ended().await;
}
