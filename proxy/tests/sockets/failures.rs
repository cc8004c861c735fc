//! What clients get when something is wrong, and what they never notice.

use std::sync::{Arc, atomic::Ordering};

use proxy_config::model::{Change, Cluster, ClusterId, Listener, ListenerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Directory, Proxy,
    client::{self, Client},
    configs::{cluster, listener, refusal, route, route_with},
    operator::Operator,
    upstream::{Pod, RawPod, nobody, read_head},
};

#[tokio::test]
async fn every_answer_of_our_own_has_a_status_and_a_reason_and_is_counted() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let silent = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let resetting = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
    })
    .await;
    let babbling = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"what?\r\n\r\n").await.unwrap();
    })
    .await;
    let only = |path, arm| route_with(path, &[(arm, 10_000)], |_| {});
    let changes = vec![
        cluster("empty", &[]),
        absent("absent"),
        cluster("dead", &[(nobody().await, "h1")]),
        cluster("silent", &[(silent.address, "h1")]),
        cluster("resetting", &[(resetting.address, "h1")]),
        cluster("babbling", &[(babbling.address, "h1")]),
        only("/empty", "empty"),
        only("/absent", "absent"),
        only("/dead", "dead"),
        only("/resetting", "resetting"),
        only("/babbling", "babbling"),
        route_with("/late", &[("silent", 10_000)], |arm| arm.timeout_ms = Some(50)),
        route_with("/idle", &[("silent", 10_000)], |arm| arm.idle_timeout_ms = Some(50)),
        refusal("/refused", 500, "missing_service"),
    ];
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(changes).await;
    for (path, status, reason) in [
        ("/nothing", 404, "no_route"),
        ("/empty", 503, "no_endpoints"),
        ("/absent", 500, "no_backend"),
        ("/dead", 503, "connect_failed"),
        ("/resetting", 502, "upstream_reset"),
        ("/babbling", 502, "upstream_protocol"),
        ("/late", 504, "timeout"),
        ("/idle", 504, "idle_timeout"),
        ("/refused", 500, "missing_service"),
    ] {
        let reply = client::get(proxy.http, path).await;
        assert_eq!(reply.reason(), (status, reason), "{path}");
        assert!(reply.body.starts_with("sluice: ") && reply.body.len() < 100, "{}", reply.body);
        let counter = format!("sluice_proxy_own_answers_total{{reason=\"{reason}\"}}");
        assert!((proxy.metric(&counter).await - 1.0).abs() < 0.1, "{counter}");
    }
    let of = |arm: &str, hash: &str| (format!("/{arm}"), hash.to_owned());
    let mut bad = std::collections::BTreeMap::new();
    link.report(|report| {
        for count in &report.arms {
            bad.insert((count.split.clone(), count.hash.clone()), (count.requests, count.bad));
        }
        [of("empty", ""), of("dead", "h1"), of("resetting", "h1"), of("late", "h1"), of("idle", "h1")]
            .iter()
            .all(|key| bad.get(key) == Some(&(1, 1)))
    })
    .await;
}

/// A cluster that stands for nothing.
fn absent(id: &str) -> Change {
    let plain = Cluster::plain(ClusterId::new(id), 1_000, Vec::new());
    Change::Cluster(Arc::new(Cluster { absent: true, ..plain }))
}

#[tokio::test]
async fn a_connect_failure_goes_to_another_pod_and_the_client_never_knows() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("b").await);
    let proxy = Proxy::start(&operator, &directory);
    let pods = [(nobody().await, "h1"), (pod.address, "h1")];
    operator.configure(vec![cluster("a", &pods), route(&[("a", 10_000)])]).await;
    for number in 0..40 {
        let reply = client::get(proxy.http, "/").await;
        assert_eq!((reply.status, reply.header("x-pod")), (200, "b"), "request {number}");
    }
    assert!(proxy.metric("sluice_proxy_retries_total").await > 0.0);
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_just_closed_is_no_error() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    // Closes the first connection when the second request has arrived on it: what a server does whose idle
    // timeout ends at that moment.
    let pod = RawPod::start(|mut stream, number| async move {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        read_head(&mut stream).await;
        stream.write_all(response).await.unwrap();
        while read_head(&mut stream).await.is_some() && number > 0 {
            stream.write_all(response).await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::start_with(&operator, &directory, |it| it.workers = 1.try_into().unwrap());
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut client = Client::connect(proxy.http).await.unwrap();
    for number in 0..5 {
        let reply = client.get("/").await.unwrap();
        assert_eq!((reply.status, &*reply.body), (200, "ok"), "request {number}");
    }
    assert_eq!(pod.connections.load(Ordering::Relaxed), 2);
    assert!((proxy.metric("sluice_proxy_retries_total").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_post_is_not_repeated_once_it_was_sent() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let proxy = Proxy::start_with(&operator, &directory, |it| it.workers = 1.try_into().unwrap());
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n";
    let last = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let responses = client::raw(proxy.http, &format!("{post}{last}")).await;
    assert!(responses.contains("x-sluice-reason: upstream_reset"), "{responses}");
    assert_eq!(pod.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_seen_to_break_off() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    assert!(client::get_from(proxy.http, "h", "/").await.is_err());
    link.report(|it| it.in_flight.is_empty() && it.served.is_some()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind_and_is_not_a_bad_try() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    drop(stream);
    link.report(|it| it.in_flight.is_empty()).await;
    client::get(proxy.http, "/").await;
    let report = link.report(|it| !it.arms.is_empty()).await;
    assert_eq!((report.arms[0].requests, report.arms[0].bad), (1, 0));
}

#[tokio::test]
async fn a_response_body_that_stands_still_ends_after_the_idle_timeout() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        let mut end = [0];
        let _ = stream.read(&mut end).await;
    })
    .await;
    let proxy = Proxy::start(&operator, &directory);
    let idle = route_with("/", &[("a", 10_000)], |arm| arm.idle_timeout_ms = Some(50));
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), idle]).await;
    assert!(client::get_from(proxy.http, "h", "/").await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_opened_when_it_is_free() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let taken = std::net::TcpListener::bind(("127.0.0.1", operator.http_port)).unwrap();
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.link().await;
    let changes =
        vec![listener(operator.http_port), cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])];
    link.commit(changes).await;
    let (status, text) = proxy.admin("/readyz").await.unwrap();
    assert_eq!(status, 503);
    assert!(
        text.starts_with(&format!("not ready: no listener is open: http on port {}", operator.http_port)),
        "{text}"
    );
    drop(taken);
    proxy.ready().await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
}

#[tokio::test]
async fn a_port_that_is_taken_does_not_stop_the_others() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    proxy.ready().await;
    let id = ListenerId::new("second");
    link.commit(vec![Change::Listener(Arc::new(Listener::http(id, proxy.settings.admin_port)))]).await;
    let down =
        format!("sluice_proxy_listener_up{{listener=\"second\",port=\"{}\"}}", proxy.settings.admin_port);
    assert!(proxy.metric(&down).await.abs() < 0.1);
    assert!(proxy.admin("/metrics").await.unwrap().1.contains(&down), "it is shown");
    assert_eq!(proxy.admin("/readyz").await.unwrap().0, 200);
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
}
