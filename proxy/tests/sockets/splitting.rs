//! Which pod gets which request.

use bytes::Bytes;
use http_body_util::Empty;
use proxy_config::wire::config::PodLoad;

use crate::support::{
    Directory, Proxy,
    client::{self, Client},
    configs::{cluster, cluster_with_draining, route, route_with, without_route},
    eventually,
    operator::Operator,
    upstream::{Pod, nobody},
};

#[tokio::test]
async fn ten_thousand_requests_are_split_exactly() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (stable, canary) = (Pod::start("stable").await, Pod::start("canary").await);
    let proxy = Proxy::start(&operator, &directory);
    let arms = [("canary", 3_000), ("stable", 7_000)];
    let changes = vec![
        cluster("stable", &[(stable.address, "h1")]),
        cluster("canary", &[(canary.address, "h2")]),
        route(&arms),
    ];
    let mut link = operator.configure(changes).await;
    let load = (0..8).map(|_| async {
        let mut client = Client::connect(proxy.http).await.unwrap();
        for _ in 0..1_250 {
            assert_eq!(client.get("/").await.unwrap().status, 200);
        }
    });
    futures::future::join_all(load).await;
    assert_eq!(stable.seen() + canary.seen(), 10_000);
    assert!(canary.seen().abs_diff(3_000) < 2, "{}", canary.seen());
    let mut requests = std::collections::BTreeMap::new();
    link.report(|report| {
        for count in &report.arms {
            requests.insert((count.arm.clone(), count.hash.clone()), count.requests);
        }
        requests.values().sum::<u64>() == 10_000
    })
    .await;
    assert_eq!(requests[&("canary".into(), "h2".into())], u64::from(canary.seen()));
    let counter = "sluice_proxy_requests_total{arm=\"canary\",code=\"2xx\",hash=\"h2\",split=\"/\"}";
    assert!((proxy.metric(counter).await - f64::from(canary.seen())).abs() < 0.1);
}

#[tokio::test]
async fn an_acknowledged_weight_holds_from_the_next_request_on() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (stable, canary) = (Pod::start("stable").await, Pod::start("canary").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("stable", &[(stable.address, "h1")]),
        cluster("canary", &[(canary.address, "h2")]),
        route(&[("canary", 0), ("stable", 10_000)]),
    ];
    let mut link = operator.configure(changes).await;
    let mut clients: Vec<Client<Empty<Bytes>>> = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(proxy.http).await.unwrap());
    }
    for round in 0..20 {
        let (all, none) = if round % 2 == 0 { ("canary", "stable") } else { ("stable", "canary") };
        link.commit(vec![route(&[("canary", (1 - round % 2) * 10_000), ("stable", round % 2 * 10_000)])])
            .await;
        for client in &mut clients {
            let reply = client.get("/").await.unwrap();
            assert_eq!(reply.header("x-pod"), all, "round {round}: nothing goes to {none} after the Ack");
        }
    }
}

#[tokio::test]
async fn changes_under_load_lose_no_request() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pods = [Pod::start("a").await, Pod::start("b").await, Pod::start("c").await];
    let proxy = Proxy::start(&operator, &directory);
    let all = |hash: &'static str| -> Vec<_> { pods.iter().map(|it| (it.address, hash)).collect() };
    let changes = vec![cluster("x", &all("h1")), cluster("y", &all("h2")), route(&[("x", 10_000), ("y", 0)])];
    let mut link = operator.configure(changes).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load: Vec<_> = (0..8)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(proxy.http).await.unwrap();
                let mut count = 0;
                while !*stopped.borrow() {
                    let reply = client.get("/").await.unwrap();
                    assert_eq!(reply.status, 200, "{reply:?}");
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..60_u32 {
        let share = round * 160;
        let (address, left) = (pods[round as usize % 3].address, pods[(round as usize + 1) % 3].address);
        let changes = vec![
            route(&[("x", 10_000 - share), ("y", share)]),
            cluster_with_draining("x", &[(address, "h1", false), (left, "h1", true)]),
            cluster("y", &all(if round % 2 == 0 { "h2" } else { "h3" })),
        ];
        link.commit(changes).await;
    }
    stop.send_replace(true);
    let mut requests = 0;
    for client in load {
        requests += client.await.unwrap();
    }
    assert_eq!(pods.iter().map(Pod::seen).sum::<u32>(), requests, "each request reached one pod once");
}

#[tokio::test]
async fn zero_in_flight_is_said_only_when_nothing_can_come_any_more() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (old, new) = (Pod::start("old").await, Pod::start("new").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(old.address, "h1")]),
        cluster("b", &[(new.address, "h2")]),
        route(&[("a", 10_000)]),
    ];
    let mut link = operator.configure(changes).await;
    let held = tokio::spawn(async move { client::get(proxy.http, "/hold").await });
    link.report(|it| it.in_flight.iter().any(|it| it.hash == "h1" && it.requests == 1)).await;
    link.commit(vec![route(&[("b", 10_000)]), cluster("a", &[])]).await;
    let removal = link.position().into();
    let report = link.report(|it| it.served == Some(removal)).await;
    assert_eq!(report.in_flight.len(), 1, "the held request is still at the removed pod: {report:?}");
    assert_ne!(report.oldest_pinned, Some(removal), "and may be sent again by the old snapshot");
    assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "new");
    old.release();
    // It leaves its snapshot with the head of its response, and the pod with the last byte.
    link.report(|it| it.oldest_pinned == Some(removal) && it.in_flight.is_empty()).await;
    assert_eq!(held.await.unwrap().header("x-pod"), "old", "it was served to its end");
}

/// What a scale-down relies on: once the zero is said, the pod may go.
#[tokio::test]
async fn after_its_zero_no_request_reaches_a_removed_pod_however_much_load_there_is() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let hashes = ["h1", "h2"];
    let proxy = Proxy::start(&operator, &directory);
    let both = [("a", 5_000), ("b", 5_000)];
    let full = |pod: usize| cluster(["a", "b"][pod], &[(pods[pod].address, hashes[pod])]);
    let mut link = operator.configure(vec![full(0), full(1), route(&both)]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load: Vec<_> = (0..16)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(proxy.http).await.unwrap();
                while !*stopped.borrow() {
                    assert_eq!(client.get("/").await.unwrap().status, 200);
                }
            })
        })
        .collect();
    for round in 0..40 {
        let (leaving, staying) = (round % 2, 1 - round % 2);
        // Weight and endpoints go in one commit: requests of the old one may still be on their way.
        let all = [("a", 10_000), ("b", 10_000)][staying];
        link.commit(vec![route(&[all]), cluster(["a", "b"][leaving], &[])]).await;
        let removal = Some(link.position().into());
        link.report(|it| {
            let idle = !it.in_flight.iter().any(|it| it.hash == hashes[leaving]);
            it.served == removal && it.oldest_pinned == removal && idle
        })
        .await;
        let seen = pods[leaving].seen();
        assert_eq!(pods[leaving].answered(), seen, "round {round}: it has nothing to do any more");
        let others = pods[staying].seen();
        eventually("more requests were served", async || pods[staying].seen() > others + 50).await;
        assert_eq!(pods[leaving].seen(), seen, "round {round}: and gets nothing any more");
        link.commit(vec![full(leaving), route(&both)]).await;
    }
    stop.send_replace(true);
    for client in load {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn draining_pods_get_nothing_new() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (staying, leaving) = (Pod::start("staying").await, Pod::start("leaving").await);
    let proxy = Proxy::start(&operator, &directory);
    let pods = [(staying.address, "h1", false), (leaving.address, "h1", true)];
    let mut link = operator.configure(vec![cluster_with_draining("a", &pods), route(&[("a", 10_000)])]).await;
    for _ in 0..30 {
        assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "staying");
    }
    let gone = [(staying.address, "h1", true), (nobody().await, "h1", true)];
    link.commit(vec![cluster_with_draining("a", &gone)]).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (503, "no_endpoints"));
    assert_eq!(leaving.seen(), 0);
}

#[tokio::test]
async fn a_draining_pod_ends_what_it_has_and_is_counted_by_itself() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (staying, leaving) = (Pod::start("staying").await, Pod::start("leaving").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(leaving.address, "h1")]), route(&[("a", 10_000)])]).await;
    assert_eq!(link.hello.features, proxy_config::features::SERVED);
    let held = tokio::spawn(async move { client::get(proxy.http, "/hold").await });
    let report = link.report(|it| it.in_flight.iter().any(|it| it.requests == 1)).await;
    assert_eq!(report.draining, [], "it drains not yet");
    let pods = [(staying.address, "h1", false), (leaving.address, "h1", true)];
    link.commit(vec![cluster_with_draining("a", &pods)]).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "staying");
    }
    let pod = format!("pod-{}", leaving.address.port());
    let load = |requests| PodLoad { namespace: "default".into(), pod: pod.clone(), requests };
    let removal = Some(link.position().into());
    let report = link.report(|it| it.served == removal && !it.draining.is_empty()).await;
    assert_eq!(report.draining, [load(1)]);
    link.commit(vec![cluster("a", &[(staying.address, "h1")])]).await;
    let removal = Some(link.position().into());
    let report = link.report(|it| it.served == removal).await;
    assert_eq!(report.draining, [load(1)], "also when its endpoint is gone");
    leaving.release();
    link.report(|it| it.oldest_pinned == removal && it.draining.is_empty()).await;
    assert_eq!(held.await.unwrap().header("x-pod"), "leaving", "it was served to its end");
    assert_eq!(leaving.seen(), 1);
}

#[tokio::test]
async fn routes_that_come_and_go_leave_no_counters_behind() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.configure(vec![cluster("a", &[(pod.address, "h1")])]).await;
    let series = async || {
        let (_, page) = proxy.admin("/metrics").await.unwrap();
        page.lines().filter(|it| it.contains("{arm=")).map(str::to_owned).collect::<Vec<_>>()
    };
    for number in 0..20 {
        let path = format!("/passing-{number}");
        link.commit(vec![route_with(&path, &[("a", 10_000)], |_| {})]).await;
        assert_eq!(client::get(proxy.http, &path).await.status, 200);
        let now = series().await;
        let answers = format!("{{arm=\"a\",code=\"2xx\",hash=\"h1\",split=\"{path}\"}} 1");
        assert!(now.iter().any(|it| it.ends_with(&answers)), "{now:?}");
        assert!(now.iter().all(|it| it.contains(&path)), "{now:?}");
        link.commit(vec![without_route(&path)]).await;
        assert_eq!(series().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn latencies_are_shown_of_all_requests_or_of_each_version() {
    let (mut operator, directory, a, b) =
        (Operator::start().await, Directory::new(), Pod::start("a").await, Pod::start("b").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("a", &[(a.address, "h1")]),
        cluster("b", &[(b.address, "h2")]),
        route(&[("a", 5_000), ("b", 5_000)]),
    ];
    let mut stream = operator.configure(changes).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.http, "/").await.status, 200);
    }
    let (_, page) = proxy.admin("/metrics").await.unwrap();
    assert!(page.contains("\nsluice_proxy_first_try_seconds_count 20\n"), "{page}");
    assert!(page.contains("\nsluice_proxy_first_try_seconds_bucket{le=\"+Inf\"} 20\n"), "{page}");
    let (_, page) = proxy.admin("/metrics?latencies=arms").await.unwrap();
    let count = |arm: &str| {
        let name = format!("sluice_proxy_first_try_seconds_count{{split=\"/\",arm=\"{arm}\"");
        let line = page.lines().find(|line| line.starts_with(&name)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|it| it.parse::<u32>().ok()).unwrap_or_default()
    };
    assert_eq!(count("a") + count("b"), 20, "{page}");
    assert!(count("a") >= 9 && count("b") >= 9, "{page}");
    // A sum that became smaller would look like a restart.
    stream.commit(vec![without_route("/")]).await;
    let (_, page) = proxy.admin("/metrics").await.unwrap();
    assert!(page.contains("\nsluice_proxy_first_try_seconds_count 20\n"), "{page}");
}
