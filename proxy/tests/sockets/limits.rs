//! Clusters that take only so much at a time.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use proxy_config::model::{
    Balance, BalancePolicy, Change, Cluster, Limits, Retry, RetryOn, UpstreamProtocol,
};
use tokio::{io::AsyncWriteExt as _, task::JoinHandle};

use crate::support::{
    Directory, Proxy,
    client::{self, Client, Reply},
    configs::{cluster, route, route_changed},
    eventually,
    operator::{Link, Operator},
    upstream::{Pod, RawPod, read_head},
};

/// A cluster that is changed first.
fn changed(cluster: Change, change: impl FnOnce(&mut Cluster)) -> Change {
    let Change::Cluster(cluster) = cluster else { panic!("a cluster") };
    let mut cluster = Cluster::clone(&cluster);
    change(&mut cluster);
    Change::Cluster(Arc::new(cluster))
}

fn limited(pods: &[std::net::SocketAddr], limits: Limits) -> Change {
    let pods: Vec<_> = pods.iter().map(|it| (*it, "h1")).collect();
    changed(cluster("a", &pods), |cluster| cluster.limits = limits)
}

/// A proxy of so many threads before one cluster.
async fn before(workers: usize, cluster: Change) -> (Operator, Directory, Proxy, Link) {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy =
        Proxy::start_with(&operator, &directory, |it| it.workers = NonZeroUsize::new(workers).unwrap());
    let link = operator.configure(vec![cluster, route(&[("a", 10_000)])]).await;
    (operator, directory, proxy, link)
}

/// Sends a request on a connection of its own.
fn ask(proxy: &Proxy, path: &'static str) -> JoinHandle<Reply> {
    let address = proxy.http;
    tokio::spawn(async move { client::get(address, path).await })
}

async fn kept_back(proxy: &Proxy, limit: &str) -> f64 {
    proxy.metric(&format!("sluice_proxy_limited_total{{limit=\"{limit}\"}}")).await
}

#[tokio::test]
async fn what_is_above_the_requests_that_may_be_under_way_is_refused_by_all_threads_together() {
    let pod = Pod::start("a").await;
    let limits = Limits { requests: Some(3), ..Limits::default() };
    let (_operator, _directory, proxy, mut link) = before(2, limited(&[pod.address], limits)).await;
    let held: Vec<_> = (0..3).map(|_| ask(&proxy, "/hold")).collect();
    eventually("three are under way", async || pod.seen() == 3).await;
    for _ in 0..8 {
        let reply = client::get(proxy.http, "/").await;
        assert_eq!(reply.reason(), (503, "overloaded"));
    }
    assert!((kept_back(&proxy, "requests").await - 8.0).abs() < 0.1);
    let report = link.report(|it| it.arms.iter().any(|it| it.bad == 8)).await;
    assert_eq!(report.in_flight[0].requests, 3, "what is refused was never in flight: {report:?}");
    pod.release();
    for held in held {
        assert_eq!(held.await.unwrap().status, 200);
    }
    link.report(|it| it.in_flight.is_empty()).await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200, "and there is room again");
    assert_eq!(pod.seen(), 4);
}

#[tokio::test]
async fn a_limit_that_changes_counts_what_is_under_way() {
    let pod = Pod::start("a").await;
    let limits = |requests| Limits { requests: Some(requests), ..Limits::default() };
    let (_operator, _directory, proxy, mut link) = before(2, limited(&[pod.address], limits(1))).await;
    let held = ask(&proxy, "/hold");
    eventually("one is under way", async || pod.seen() == 1).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (503, "overloaded"));
    link.commit(vec![limited(&[pod.address], limits(2))]).await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    link.commit(vec![limited(&[pod.address], limits(1))]).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (503, "overloaded"));
    pod.release();
    assert_eq!(held.await.unwrap().status, 200);
}

#[tokio::test]
async fn who_finds_no_connection_waits_until_one_is_idle() {
    let pod = Pod::start("a").await;
    let limits = Limits { connections: Some(2), ..Limits::default() };
    let (_operator, _directory, proxy, _link) = before(1, limited(&[pod.address], limits)).await;
    let asked: Vec<_> = (0..10).map(|_| ask(&proxy, "/hold")).collect();
    eventually("two are under way", async || pod.seen() == 2).await;
    pod.release();
    for asked in asked {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    assert!((proxy.metric("sluice_proxy_upstream_connects_total").await - 2.0).abs() < 0.1);
    assert!(kept_back(&proxy, "connections").await < 0.1, "who waits is not refused");
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let pod = Pod::start("a").await;
    let limits = Limits { connections: Some(1), pending: Some(2), ..Limits::default() };
    let (_operator, _directory, proxy, _link) = before(1, limited(&[pod.address], limits)).await;
    let first = ask(&proxy, "/hold");
    eventually("it is under way", async || pod.seen() == 1).await;
    let asked: Vec<_> = (0..5).map(|_| ask(&proxy, "/")).collect();
    eventually("three are refused", async || kept_back(&proxy, "pending").await > 2.5).await;
    pod.release();
    assert_eq!(first.await.unwrap().status, 200);
    let mut statuses = Vec::new();
    for asked in asked {
        let reply = asked.await.unwrap();
        statuses.push(reply.status);
        assert!(reply.status == 200 || reply.reason() == (503, "overloaded"), "{reply:?}");
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503, 503]);
}

#[tokio::test]
async fn a_client_that_gives_up_waiting_leaves_its_place_to_the_next() {
    let pod = Pod::start("a").await;
    let limits = Limits { connections: Some(1), pending: Some(1), ..Limits::default() };
    let (_operator, _directory, proxy, _link) = before(1, limited(&[pod.address], limits)).await;
    let first = ask(&proxy, "/hold");
    eventually("it is under way", async || pod.seen() == 1).await;
    // One of the two waits, the other is refused.
    let (mut one, mut other) = (ask(&proxy, "/"), ask(&proxy, "/"));
    let (refused, waiting) = tokio::select! {
        refused = &mut one => (refused, other),
        refused = &mut other => (refused, one),
    };
    assert_eq!(refused.unwrap().reason(), (503, "overloaded"));
    waiting.abort();
    // As soon as the proxy has seen that it is gone, somebody else waits in its place.
    let next = loop {
        let mut next = ask(&proxy, "/");
        match tokio::time::timeout(Duration::from_millis(100), &mut next).await {
            Ok(refused) => assert_eq!(refused.unwrap().reason(), (503, "overloaded")),
            Err(_) => break next,
        }
    };
    pod.release();
    assert_eq!((first.await.unwrap().status, next.await.unwrap().status), (200, 200));
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_one_to_another_pod() {
    let (one, other) = (Pod::start("one").await, Pod::start("other").await);
    let limits = Limits { connections: Some(1), ..Limits::default() };
    let in_turn = Balance { policy: BalancePolicy::RoundRobin, slow_start_ms: None };
    let cluster = changed(limited(&[one.address, other.address], limits), |it| it.balance = in_turn);
    let (_operator, _directory, proxy, _link) = before(1, cluster).await;
    for number in 0..10 {
        assert_eq!(client::get(proxy.http, "/").await.status, 200, "request {number}");
    }
    assert_eq!((one.seen(), other.seen()), (5, 5));
}

#[tokio::test]
async fn each_thread_has_a_connection_whatever_the_limit() {
    let pod = Pod::start("a").await;
    let limits = Limits { connections: Some(0), ..Limits::default() };
    let (_operator, _directory, proxy, _link) = before(2, limited(&[pod.address], limits)).await;
    let asked: Vec<_> = (0..40).map(|_| ask(&proxy, "/")).collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    assert!(proxy.metric("sluice_proxy_upstream_connects_total").await < 2.5);
}

#[tokio::test]
async fn tries_beyond_those_that_may_be_under_way_do_not_follow() {
    let failing = RawPod::start(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            stream
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull")
                .await
                .unwrap();
        }
    })
    .await;
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let retry = Retry { on: vec![RetryOn::ServerError], retries: 2, backoff_ms: 1, ..Retry::default() };
    let route = route_changed("/", &[("a", 10_000)], |route| route.filters.retry = Some(Box::new(retry)));
    let limits = Limits { retries: Some(0), ..Limits::default() };
    operator.configure(vec![limited(&[failing.address], limits), route]).await;
    let reply = client::get(proxy.http, "/").await;
    assert_eq!((reply.reason(), &*reply.body), ((503, ""), "full"), "the pod's own answer");
    assert!((kept_back(&proxy, "retries").await - 1.0).abs() < 0.1);
    assert!(proxy.metric("sluice_proxy_retries_total").await < 0.1);
}

#[tokio::test]
async fn when_everything_fails_retries_are_a_fraction_of_the_requests() {
    const AT_ONCE: usize = 100;
    let arrived = Arc::new(tokio::sync::Semaphore::new(0));
    let (seen, gate) = (Arc::clone(&arrived), Arc::new(tokio::sync::Notify::new()));
    let open = Arc::clone(&gate);
    let failing = RawPod::start(move |mut stream, _| {
        let (seen, open) = (Arc::clone(&seen), Arc::clone(&open));
        async move {
            while read_head(&mut stream).await.is_some() {
                let opened = open.notified();
                seen.add_permits(1);
                opened.await;
                let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let retry = Retry { on: vec![RetryOn::ServerError], retries: 1, backoff_ms: 1, ..Retry::default() };
    let route = route_changed("/", &[("a", 10_000)], |route| route.filters.retry = Some(Box::new(retry)));
    operator.configure(vec![cluster("a", &[(failing.address, "h1")]), route]).await;
    let asked: Vec<_> = (0..AT_ONCE).map(|_| ask(&proxy, "/")).collect();
    let all = crate::support::within(arrived.acquire_many(u32::try_from(AT_ONCE).unwrap())).await.unwrap();
    all.forget();
    gate.notify_waiters();
    // Retries wait at the pod like the requests before; none of them ends before all others have their answer.
    eventually("the others have their answer", async || {
        asked.iter().filter(|it| it.is_finished()).count() >= 80
    })
    .await;
    gate.notify_waiters();
    let retried = proxy.metric("sluice_proxy_retries_total").await;
    assert!((3.0..=20.0).contains(&retried), "{retried}");
    eventually("all have their answer", async || {
        gate.notify_waiters();
        asked.iter().all(JoinHandle::is_finished)
    })
    .await;
    for asked in asked {
        assert_eq!(asked.await.unwrap().status, 500);
    }
}

#[tokio::test]
async fn clients_and_pods_of_http2_have_the_same_limits() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(async |request: Request<Incoming>| {
                    if request.uri().path() == "/hold" {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
                });
                let executor = hyper_util::rt::TokioExecutor::new();
                let _ = hyper::server::conn::http2::Builder::new(executor)
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let limits = Limits { requests: Some(1), connections: Some(1), ..Limits::default() };
    let cluster = changed(limited(&[address], limits), |it| it.protocol = UpstreamProtocol::Http2);
    let (_operator, _directory, proxy, mut link) = before(2, cluster).await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    let mut holding = Client::<Empty<Bytes>>::connect(proxy.http).await.unwrap();
    // The proxy may learn after its client that the first request is over.
    let held =
        tokio::spawn(async move { while holding.get("/hold").await.is_ok_and(|it| it.status == 503) {} });
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (503, "overloaded"));
    let io = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(proxy.http).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(executor, io).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let call = Request::post("http://h/a.B/C").header("content-type", "application/grpc");
    let reply = sender.send_request(call.body(Empty::new()).unwrap()).await.unwrap();
    let reply = Reply::read(reply).await.unwrap();
    assert_eq!((reply.reason(), reply.header("grpc-status")), ((200, "overloaded"), "14"), "UNAVAILABLE");
    held.abort();
    link.report(|it| it.in_flight.is_empty()).await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    task.abort();
}
