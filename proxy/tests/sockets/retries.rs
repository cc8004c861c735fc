//! What a route wants to be tried again, and how long all of it may take.

use std::time::Duration;

use proxy_config::model::{Change, Retry, RetryOn};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Directory, Proxy,
    client::{self, Client},
    configs::{cluster, route_changed, route_with},
    operator::Operator,
    upstream::{Pod, RawPod, read_head},
};

fn retried(retry: Retry) -> Change {
    route_changed("/", &[("a", 10_000)], |route| route.filters.retry = Some(Box::new(retry)))
}

fn retry(on: RetryOn, retries: u32) -> Retry {
    Retry { on: vec![on], retries, backoff_ms: 1, ..Retry::default() }
}

/// A pod that does `fails` as often as it is told and then answers `ok`.
async fn failing(times: u32, fails: &'static [u8]) -> RawPod {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    RawPod::start(move |mut stream, _| {
        let count = std::sync::Arc::clone(&count);
        async move {
            while read_head(&mut stream).await.is_some() {
                let answer: &[u8] = if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < times {
                    fails
                } else {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                };
                if answer.is_empty() {
                    return;
                }
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await
}

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

async fn through(pods: &[std::net::SocketAddr], route: Change) -> (Operator, Directory, Proxy) {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let pods: Vec<_> = pods.iter().map(|it| (*it, "h1")).collect();
    operator.configure(vec![cluster("a", &pods), route]).await;
    (operator, directory, proxy)
}

#[tokio::test]
async fn a_status_is_tried_again_as_often_as_the_policy_says() {
    for (fails, retries, expected) in [(2, 2, 200), (3, 2, 503)] {
        let pod = failing(fails, UNAVAILABLE).await;
        let route = retried(retry(RetryOn::GatewayError, retries));
        let (_operator, _directory, proxy) = through(&[pod.address], route).await;
        assert_eq!(client::get(proxy.http, "/").await.status, expected, "{fails} {retries}");
        assert!(proxy.metric("sluice_proxy_retries_total").await >= f64::from(retries));
    }
}

#[tokio::test]
async fn another_endpoint_is_tried_after_one_that_failed() {
    let (bad, good) = (failing(u32::MAX, UNAVAILABLE).await, Pod::start("good").await);
    let (_operator, _directory, proxy) =
        through(&[bad.address, good.address], retried(retry(RetryOn::ServerError, 1))).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.http, "/").await.status, 200);
    }
    assert_eq!(good.seen(), 20);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_where_the_policy_says() {
    let pod = failing(1, b"").await;
    let (_operator, _directory, proxy) = through(&[pod.address], retried(retry(RetryOn::Reset, 1))).await;
    assert_eq!(client::get(proxy.http, "/").await.body, "ok");
    let pod = failing(1, b"").await;
    let (_operator, _directory, proxy) = through(&[pod.address], retried(retry(RetryOn::Conflict, 1))).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (502, "upstream_reset"));
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_for_another() {
    let (slow, quick) = (Pod::start("slow").await, Pod::start("quick").await);
    let policy = Retry { per_try_timeout_ms: Some(100), ..retry(RetryOn::Reset, 1) };
    let (_operator, _directory, proxy) = through(&[slow.address, quick.address], retried(policy)).await;
    quick.release();
    // Each first try goes to either of them: that none of these goes to the slow one happens once in 2^64 runs.
    for _ in 0..64 {
        let reply = client::get(proxy.http, "/hold").await;
        assert_eq!((reply.status, reply.header("x-pod")), (200, "quick"));
        if slow.seen() > 0 {
            return;
        }
    }
    panic!("half of the first tries go to the slow pod");
}

#[tokio::test]
async fn when_all_tries_take_too_long_it_is_a_timeout() {
    let pod = Pod::start("slow").await;
    let policy = Retry { per_try_timeout_ms: Some(50), ..retry(RetryOn::Reset, 2) };
    let (_operator, _directory, proxy) = through(&[pod.address], retried(policy)).await;
    assert_eq!(client::get(proxy.http, "/hold").await.reason(), (504, "timeout"));
    assert_eq!(pod.seen(), 3);
}

#[tokio::test]
async fn a_body_that_is_gone_is_not_sent_again() {
    let pod = failing(1, UNAVAILABLE).await;
    let (_operator, _directory, proxy) =
        through(&[pod.address], retried(retry(RetryOn::GatewayError, 3))).await;
    let mut client = Client::connect(proxy.http).await.unwrap();
    let body = http_body_util::Full::new(bytes::Bytes::from_static(b"body"));
    let request = http::Request::post("/").header("host", "h").body(body).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 503);
}

#[tokio::test]
async fn an_exchange_ends_when_all_of_its_time_is_over() {
    let pod = RawPod::start(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        // It never stops, and never ends.
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let route = route_with("/", &[("a", 10_000)], |arm| arm.total_timeout_ms = Some(300));
    let (_operator, _directory, proxy) = through(&[pod.address], route).await;
    let response = client::raw(proxy.http, "GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.len() < 2_000, "{}", response.len());
    let late = route_with("/", &[("a", 10_000)], |arm| arm.total_timeout_ms = Some(50));
    let pod = Pod::start("slow").await;
    let (_operator, _directory, proxy) = through(&[pod.address], late).await;
    assert_eq!(client::get(proxy.http, "/hold").await.reason(), (504, "timeout"));
}
