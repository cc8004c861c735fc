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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_hands_its_port_over_to_the_next_and_no_connection_is_lost() {
    let (mut operator, pod) = (Operator::start().await, Pod::start("a").await);
    let changes = || vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])];
    let directories = [Directory::new(), Directory::new(), Directory::new(), Directory::new()];
    let mut serving = Proxy::start(&operator, &directories[0]);
    let _first = operator.configure(changes()).await;
    let (address, (stop, stopped)) = (serving.http, tokio::sync::watch::channel(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut lost = Vec::new();
                while !*stopped.borrow() {
                    match client::get_from(address, "h", "/").await {
                        Ok(reply) => assert_eq!(reply.status, 200),
                        Err(error) => lost.push(error.to_string()),
                    }
                }
                lost
            })
        })
        .collect();
    let mut links = Vec::new();
    for directory in &directories[1..] {
        let next = Proxy::start(&operator, directory);
        links.push(operator.configure(changes()).await);
        next.ready().await;
        let seen = pod.seen();
        eventually("there is load", async || pod.seen() > seen + 50).await;
        let mut last = std::mem::replace(&mut serving, next);
        last.stop();
        last.ended().await;
    }
    stop.send_replace(true);
    for lost in futures::future::join_all(load).await {
        assert_eq!(lost.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn who_has_connected_before_the_end_is_served_although_it_asks_after_it() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let mut proxy = Proxy::start(&operator, &directory);
    operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut fresh = Client::connect(proxy.http).await.unwrap();
    let mut used = Client::connect(proxy.http).await.unwrap();
    used.get("/").await.unwrap();
    proxy.stop();
    eventually("it accepts no more", async || TcpStream::connect(proxy.http).await.is_err()).await;
    let reply = fresh.get("/").await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    assert!(used.get("/").await.is_err(), "a connection that was idle is closed");
    proxy.ended().await;
}
