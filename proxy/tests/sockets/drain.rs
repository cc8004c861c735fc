//! The end of a proxy.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{
    Directory, Proxy,
    client::{self, Client},
    configs::{cluster, route},
    eventually,
    operator::Operator,
    upstream::Pod,
};

#[tokio::test]
async fn a_stopped_proxy_ends_what_is_under_way_and_its_stream_last() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let mut proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let address = proxy.http;
    let held = tokio::spawn(async move { client::get(address, "/hold").await });
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    proxy.stop();
    eventually("it accepts no more", async || TcpStream::connect(address).await.is_err()).await;
    let ready = proxy.admin("/readyz").await.unwrap();
    assert_eq!(ready, (503, "not ready: shutting down\n".into()));
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    pod.release();
    let reply = held.await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    link.closed().await;
    proxy.ended().await;
}

#[tokio::test]
async fn until_everybody_knows_it_accepts_and_asks_clients_to_go() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    // Long enough that the test is over before; it is not waited for.
    let delay = Duration::from_mins(10);
    let mut proxy = Proxy::start_with(&operator, &directory, |it| it.drain_delay = delay);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut kept = Client::connect(proxy.http).await.unwrap();
    assert_eq!(kept.get("/").await.unwrap().header("connection"), "");
    proxy.stop();
    eventually("it is not ready", async || proxy.admin("/readyz").await.is_some_and(|it| it.0 == 503)).await;
    eventually("clients are asked to go", async || {
        client::get(proxy.http, "/").await.header("connection") == "close"
    })
    .await;
    assert_eq!(kept.get("/").await.unwrap().header("connection"), "close", "also on older connections");
}

#[tokio::test]
async fn what_never_ends_is_not_waited_for_longer_than_the_drain_timeout() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let timeout = Duration::from_millis(100);
    let mut proxy = Proxy::start_with(&operator, &directory, |it| it.drain_timeout = timeout);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let address = proxy.http;
    let held = tokio::spawn(async move { client::get_from(address, "h", "/hold").await.is_err() });
    link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    proxy.stop();
    proxy.ended().await;
    assert!(held.await.unwrap(), "its connection is closed");
}
