//! Datagrams.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use proxy_config::model::{
    Action, Change, Draining, Listener, ListenerId, Protocol, Split, SplitId, TcpRoute, TcpRouteId,
    UnixMillis,
};
use proxy_config::wire::config::Report;
use tokio::{net::UdpSocket, task::JoinHandle};

use crate::support::{
    Directory, Proxy,
    configs::{cluster, cluster_with, route_value},
    eventually, free_port,
    operator::{Link, Operator},
    within,
};

/// Answers each datagram with its own name and what it heard.
async fn pod(name: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut heard = vec![0; 1 << 16];
        loop {
            let (length, from) = socket.recv_from(&mut heard).await.unwrap();
            let answer = [name.as_bytes(), &heard[..length]].concat();
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (address, task)
}

fn route(arms: &[(&str, u32)], idle_ms: Option<u32>) -> Change {
    let Action::Split(mut split) = route_value("/", arms).action else { panic!("a split") };
    split.arms.iter_mut().for_each(|it| it.idle_timeout_ms = idle_ms);
    Change::TcpRoute(Arc::new(TcpRoute {
        id: TcpRouteId::new("r"),
        listeners: vec![ListenerId::new("l")],
        server_names: Vec::new(),
        terminate: false,
        split: Split { id: SplitId::new("r"), ..split },
    }))
}

/// A proxy with a listener `l` of datagrams on this port.
struct Fixture {
    address: SocketAddr,
    link: Link,
    proxy: Proxy,
    _operator: Operator,
    _directory: Directory,
}

impl Fixture {
    async fn new(changes: Vec<Change>) -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start_with(&operator, &directory, |it| it.max_sessions = 200);
        let port = free_port();
        let listener = Listener { protocol: Protocol::Udp, ..Listener::http(ListenerId::new("l"), port) };
        let own = vec![Change::Listener(Arc::new(listener))];
        let link = operator.configure([own, changes].concat()).await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { address, link, proxy, _operator: operator, _directory: directory }
    }

    /// Another client, which will be a session of its own.
    async fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket
    }

    async fn dropped(&self) -> f64 {
        self.proxy.metric("sluice_proxy_datagrams_dropped_total").await
    }

    async fn sessions(&self) -> f64 {
        self.proxy.metric("sluice_proxy_downstream_sessions").await
    }
}

fn is(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 0.1
}

/// Says something and returns the answer.
async fn ask(client: &UdpSocket, text: &str) -> String {
    client.send(text.as_bytes()).await.unwrap();
    hear(client).await
}

async fn hear(client: &UdpSocket) -> String {
    let mut heard = vec![0; 1 << 16];
    let length = within(client.recv(&mut heard)).await.unwrap();
    String::from_utf8(heard[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn datagrams_of_every_size_pass_whole_in_both_directions() {
    let (a, _task) = pod("a").await;
    let fixture = Fixture::new(vec![cluster("a", &[(a, "h1")]), route(&[("a", 10_000)], None)]).await;
    let client = fixture.client().await;
    for length in [0, 1, 1_500, 60_000] {
        let text = "x".repeat(length);
        assert_eq!(ask(&client, &text).await, format!("a{text}"));
    }
    assert!(is(fixture.sessions().await, 1.0));
}

#[tokio::test]
async fn sessions_are_split_exactly_and_stay_at_their_endpoint() {
    let ((a, _a), (a2, _a2), (b, _b)) = (pod("a").await, pod("A").await, pod("b").await);
    let mut fixture = Fixture::new(vec![
        cluster("a", &[(a, "h1"), (a2, "h1")]),
        cluster("b", &[(b, "h2")]),
        route(&[("a", 9_000), ("b", 1_000)], None),
    ])
    .await;
    let mut sessions = Vec::new();
    let mut counts = HashMap::<String, u32>::new();
    for _ in 0..100 {
        let client = fixture.client().await;
        let name = ask(&client, "").await;
        *counts.entry(name.clone()).or_default() += 1;
        sessions.push((client, name));
    }
    assert!((9..=11).contains(&counts["b"]), "{counts:?}");
    assert!(counts["a"] > 10 && counts["A"] > 10, "{counts:?}");
    // A report names the arms that have changed.
    let mut counted = HashMap::new();
    let all = |report: &Report| {
        counted.extend(report.arms.iter().map(|it| (it.arm.clone(), it.requests)));
        let in_flight: u64 = report.in_flight.iter().map(|it| it.requests).sum();
        counted.values().sum::<u64>() == 100 && in_flight == 100
    };
    fixture.link.report(all).await;
    // A weight is for sessions that begin.
    fixture.link.commit(vec![route(&[("a", 0), ("b", 10_000)], None)]).await;
    for (client, name) in &sessions {
        assert_eq!(ask(client, "").await, *name);
    }
    for _ in 0..20 {
        assert_eq!(ask(&fixture.client().await, "").await, "b");
    }
}

#[tokio::test]
async fn a_session_in_which_nothing_passes_ends_and_another_begins() {
    let ((a, _a), (b, _b)) = (pod("a").await, pod("b").await);
    let mut fixture = Fixture::new(vec![
        cluster("a", &[(a, "h1")]),
        cluster("b", &[(b, "h2")]),
        route(&[("a", 10_000), ("b", 0)], Some(50)),
    ])
    .await;
    let client = fixture.client().await;
    assert_eq!(ask(&client, "").await, "a");
    fixture.link.commit(vec![route(&[("a", 0), ("b", 10_000)], Some(50))]).await;
    fixture.link.report(|it| it.in_flight.is_empty()).await;
    assert!(is(fixture.sessions().await, 0.0));
    assert_eq!(ask(&client, "").await, "b");
}

#[tokio::test]
async fn a_session_leaves_a_pod_whose_time_is_over() {
    let ((a, _a), (b, _b)) = (pod("a").await, pod("b").await);
    let mut fixture = Fixture::new(vec![cluster("a", &[(a, "h1")]), route(&[("a", 10_000)], None)]).await;
    let client = fixture.client().await;
    assert_eq!(ask(&client, "").await, "a");
    // One that drains keeps its sessions, so that scale-down waits for them.
    let draining = |until| cluster_with("a", &[(a, "h1", Some(Draining { until })), (b, "h1", None)]);
    fixture.link.commit(vec![draining(None)]).await;
    assert_eq!(ask(&client, "").await, "a");
    assert_eq!(ask(&fixture.client().await, "").await, "b");
    fixture.link.report(|it| it.draining.iter().map(|it| it.requests).sum::<u64>() == 1).await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    fixture.link.commit(vec![draining(Some(UnixMillis(i64::try_from(now).unwrap())))]).await;
    fixture.link.report(|it| it.draining.is_empty()).await;
    assert_eq!(ask(&client, "").await, "b");
}

#[tokio::test]
async fn a_session_moves_on_from_a_pod_where_nobody_listens() {
    let (a, _a) = pod("a").await;
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let both = cluster("a", &[(a, "h1"), (nobody, "h1")]);
    let mut fixture = Fixture::new(vec![both, route(&[("a", 10_000)], None)]).await;
    for _ in 0..20 {
        let client = fixture.client().await;
        let heard = async {
            loop {
                client.send(b"").await.unwrap();
                // What was sent to nobody is lost, as it would be without a proxy.
                if let Ok(heard) = tokio::time::timeout(Duration::from_millis(50), hear(&client)).await {
                    break heard;
                }
            }
        };
        assert_eq!(within(heard).await, "a");
    }
    assert!(fixture.proxy.metric("sluice_proxy_upstream_connect_failures_total").await > 0.0);
    fixture.link.commit(vec![cluster("a", &[(nobody, "h1")])]).await;
    let client = fixture.client().await;
    client.send(b"").await.unwrap();
    // Nothing is left of a session that goes nowhere.
    fixture.link.report(|it| it.arms.iter().any(|it| it.bad > 0)).await;
    eventually("no session", async || fixture.sessions().await <= 20.0).await;
}

#[tokio::test]
async fn there_are_as_many_sessions_as_may_be_and_old_ones_go_on() {
    let (a, _a) = pod("a").await;
    let mut fixture = Fixture::new(vec![cluster("a", &[(a, "h1")]), route(&[("a", 10_000)], None)]).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let client = fixture.client().await;
        assert_eq!(ask(&client, "").await, "a");
        clients.push(client);
    }
    let late = fixture.client().await;
    late.send(b"late").await.unwrap();
    eventually("it is thrown away", async || is(fixture.dropped().await, 1.0)).await;
    assert_eq!(ask(&clients[0], "").await, "a");
    assert!(is(fixture.sessions().await, 200.0));
    // A port that closes ends its sessions.
    let gone = proxy_config::model::Key::Listener(ListenerId::new("l"));
    fixture.link.commit(vec![Change::Removed(gone)]).await;
    fixture.link.report(|it| it.in_flight.is_empty()).await;
    eventually("they have ended", async || is(fixture.sessions().await, 0.0)).await;
}

#[tokio::test]
async fn while_the_process_drains_sessions_go_on_and_none_begins() {
    let (a, _a) = pod("a").await;
    let idle = Some(1_000);
    let mut fixture = Fixture::new(vec![cluster("a", &[(a, "h1")]), route(&[("a", 10_000)], idle)]).await;
    let client = fixture.client().await;
    assert_eq!(ask(&client, "").await, "a");
    fixture.proxy.stop();
    let is_refused = async || {
        assert_eq!(ask(&client, "").await, "a");
        let heard = tokio::time::timeout(Duration::from_millis(50), ask(&fixture.client().await, "")).await;
        heard.is_err()
    };
    eventually("new clients hear nothing", is_refused).await;
    assert_eq!(ask(&client, "still").await, "astill");
    fixture.proxy.ended().await;
}
