//! Which pod of a cluster gets a request.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use proxy_config::model::{
    Address, Balance, BalancePolicy, Change, Cluster, HashCookie, HashKey, Outliers, SuccessRate,
};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Directory, Proxy,
    client::{self, Client, Reply},
    configs::{cluster, route},
    eventually,
    operator::Operator,
    upstream::{Pod, RawPod, nobody, read_head},
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Fixture {
    _operator: Operator,
    _directory: Directory,
    proxy: Proxy,
    _pods: Vec<Pod>,
}

impl Fixture {
    async fn new(policy: BalancePolicy) -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let proxy = Proxy::start(&operator, &directory);
        let mut pods = Vec::new();
        for name in NAMES {
            pods.push(Pod::start(name).await);
        }
        let addresses: Vec<_> = pods.iter().map(|it| (it.address, "h1")).collect();
        let Change::Cluster(plain) = cluster("all", &addresses) else { panic!("a cluster") };
        let balance = Balance { policy, slow_start_ms: None };
        let changed = Change::Cluster(Arc::new(Cluster { balance, ..Cluster::clone(&plain) }));
        operator.configure(vec![changed, route(&[("all", 10_000)])]).await;
        Self { _operator: operator, _directory: directory, proxy, _pods: pods }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get("/").header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut client = Client::connect(self.proxy.http).await.unwrap();
        Reply::read(client.send(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn a_pod_that_fails_is_left_out_for_a_time() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let bad = RawPod::start(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let response = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(response).await.unwrap();
        }
    })
    .await;
    let good = Pod::start("good").await;
    let addresses = [(bad.address, "h1"), (good.address, "h1")];
    let Change::Cluster(plain) = cluster("all", &addresses) else { panic!("a cluster") };
    let outliers = Outliers { server_errors: Some(3), base_ejection_ms: 60_000, ..Outliers::default() };
    let changed = Change::Cluster(Arc::new(Cluster { outliers, ..Cluster::clone(&plain) }));
    operator.configure(vec![changed, route(&[("all", 10_000)])]).await;
    let mut failures = 0;
    for _ in 0..60 {
        failures += u32::from(client::get(proxy.http, "/").await.status == 500);
    }
    assert_eq!(failures, 3, "after three in a row it gets nothing");
    assert!((proxy.metric("sluice_proxy_upstream_ejections_total").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn in_turn_every_pod_gets_as_many() {
    let fixture = Fixture::new(BalancePolicy::RoundRobin).await;
    let mut seen = [0; NAMES.len()];
    for _ in 0..40 {
        let reply = fixture.get(&[]).await;
        seen[NAMES.iter().position(|it| *it == reply.header("x-pod")).unwrap()] += 1;
    }
    assert_eq!(seen, [10; NAMES.len()]);
}

#[tokio::test]
async fn a_user_stays_at_a_pod() {
    for policy in [
        BalancePolicy::Maglev(HashKey::Header("x-user".into())),
        BalancePolicy::RingHash(HashKey::Header("x-user".into()), 1024),
    ] {
        let fixture = Fixture::new(policy).await;
        let mut pods = BTreeSet::new();
        for user in 0..30 {
            let user = user.to_string();
            let first = fixture.get(&[("x-user", &user)]).await;
            let second = fixture.get(&[("x-user", &user)]).await;
            assert_eq!(first.header("x-pod"), second.header("x-pod"), "{user}");
            pods.insert(first.header("x-pod").to_owned());
        }
        assert!(pods.len() > 2, "{pods:?}");
    }
}

#[tokio::test]
async fn a_cookie_keeps_a_browser_at_a_pod() {
    let cookie = HashCookie { name: "stay".into(), ttl_s: Some(60), path: Some("/".into()) };
    let fixture = Fixture::new(BalancePolicy::Maglev(HashKey::Cookie(cookie))).await;
    for _ in 0..10 {
        let first = fixture.get(&[]).await;
        let given = first.header("set-cookie").to_owned();
        assert!(given.starts_with("stay=") && given.ends_with("; Max-Age=60; Path=/; HttpOnly"), "{given}");
        let back = given.split(';').next().unwrap();
        let second = fixture.get(&[("cookie", back)]).await;
        assert_eq!((second.header("x-pod"), second.header("set-cookie")), (first.header("x-pod"), ""));
    }
}

/// A cluster of pods, each for the zone beside it.
fn zoned(id: &str, pods: &[(SocketAddr, &str)]) -> Change {
    let plain: Vec<_> = pods.iter().map(|(address, _)| (*address, id)).collect();
    let Change::Cluster(plain) = cluster(id, &plain) else { panic!("a cluster") };
    let mut zoned = Cluster::clone(&plain);
    for endpoint in &mut zoned.endpoints {
        let (_, zone) =
            pods.iter().find(|(address, _)| endpoint.address == Address::Socket(*address)).unwrap();
        endpoint.zones = vec![(*zone).into()];
    }
    Change::Cluster(Arc::new(zoned))
}

#[tokio::test]
async fn pods_of_the_own_zone_come_first_and_others_stand_in_for_them() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start_with(&operator, &directory, |it| it.zone = Some("east".into()));
    let (near, far) = (Pod::start("near").await, Pod::start("far").await);
    let pods = [(near.address, "east"), (far.address, "west")];
    let mut link = operator.configure(vec![zoned("all", &pods), route(&[("all", 10_000)])]).await;
    for _ in 0..40 {
        assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "near");
    }
    link.commit(vec![zoned("all", &[(nobody().await, "east"), (far.address, "west")])]).await;
    assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "far", "nobody answers here");
    link.commit(vec![zoned("all", &[(near.address, "north"), (far.address, "west")])]).await;
    eventually("without a pod here all get requests", async || {
        let reply = client::get(proxy.http, "/").await;
        reply.header("x-pod") == "near"
    })
    .await;
}

#[tokio::test]
async fn a_version_without_pods_in_the_zone_gets_its_share_all_the_same() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start_with(&operator, &directory, |it| it.zone = Some("east".into()));
    let pods = [Pod::start("near").await, Pod::start("far").await, Pod::start("canary").await];
    let [near, far, canary] = pods.each_ref().map(|it| it.address);
    let stable = zoned("stable", &[(near, "east"), (far, "west")]);
    let routed = route(&[("canary", 2_000), ("stable", 8_000)]);
    operator.configure(vec![stable, zoned("canary", &[(canary, "west")]), routed]).await;
    let mut to_canary = 0_i32;
    for _ in 0..100 {
        match client::get(proxy.http, "/").await.header("x-pod") {
            "canary" => to_canary += 1,
            pod => assert_eq!(pod, "near"),
        }
    }
    assert!((to_canary - 20).abs() < 2, "{to_canary}");
}

#[tokio::test]
async fn a_pod_that_does_much_worse_than_the_others_is_left_out() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    // It fails every other time, never twice in a row.
    let bad = RawPod::start(|mut stream, _| async move {
        let responses = ["200 OK", "500 Internal Server Error"];
        for response in responses.iter().cycle() {
            if read_head(&mut stream).await.is_none() {
                return;
            }
            let response = format!("HTTP/1.1 {response}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    })
    .await;
    let good = [Pod::start("a").await, Pod::start("b").await, Pod::start("c").await, Pod::start("d").await];
    let addresses: Vec<_> =
        good.iter().map(|it| it.address).chain([bad.address]).map(|it| (it, "h1")).collect();
    let Change::Cluster(plain) = cluster("all", &addresses) else { panic!("a cluster") };
    let outliers = Outliers {
        success_rate: Some(SuccessRate { request_volume: 4, ..SuccessRate::default() }),
        interval_ms: 500,
        base_ejection_ms: 600_000,
        max_ejection_ms: 600_000,
        ..Outliers::default()
    };
    let changed = Change::Cluster(Arc::new(Cluster { outliers, ..Cluster::clone(&plain) }));
    operator.configure(vec![changed, route(&[("all", 10_000)])]).await;
    let mut client = Client::connect(proxy.http).await.unwrap();
    eventually("it is left out", async || {
        for _ in 0..50 {
            client.get("/").await.unwrap();
        }
        proxy.metric("sluice_proxy_upstream_ejections_total").await > 0.9
    })
    .await;
    for _ in 0..50 {
        assert_eq!(client.get("/").await.unwrap().status, 200);
    }
}
