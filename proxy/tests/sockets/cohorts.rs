//! Requests counted by the second in which they began.

use std::collections::BTreeMap;

use proxy_config::wire::config::{Cohort, Report};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Directory, Proxy, client,
    configs::{cluster, route},
    eventually,
    operator::{Link, Operator},
    upstream::Pod,
};

/// What was told last of each second, by arm and hash.
#[derive(Debug, Default)]
struct Told(BTreeMap<(String, String), BTreeMap<i64, Cohort>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    requests: u64,
    bad: u64,
    shares: u64,
    ended: u64,
}

impl Told {
    fn take(&mut self, report: &Report) {
        for of in &report.cohorts {
            let seconds = self.0.entry((of.arm.clone(), of.hash.clone())).or_default();
            seconds.extend(of.seconds.iter().map(|it| (it.second, it.clone())));
        }
    }

    fn sum(&self, arm: &str, hash: &str) -> Sum {
        let seconds = self.0.get(&(arm.to_owned(), hash.to_owned())).into_iter().flat_map(BTreeMap::values);
        seconds.fold(Sum::default(), |sum, it| Sum {
            requests: sum.requests + it.requests,
            bad: sum.bad + it.bad,
            shares: sum.shares + it.shares,
            ended: sum.ended + it.ended.iter().sum::<u64>(),
        })
    }

    async fn until(&mut self, link: &mut Link, fits: impl Fn(&Self) -> bool) {
        link.report(|report| {
            self.take(report);
            fits(self)
        })
        .await;
    }
}

const HOLD: &[u8] = b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n";

#[tokio::test]
async fn a_request_belongs_to_the_second_in_which_it_began() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (stable, canary) = (Pod::start("stable").await, Pod::start("canary").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("stable", &[(stable.address, "h1")]),
        cluster("canary", &[(canary.address, "h2")]),
        route(&[("canary", 5_000), ("stable", 5_000)]),
    ];
    let mut link = operator.configure(changes).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.http, "/status/500").await.status, 500);
    }
    let mut told = Told::default();
    let all = |told: &Told| told.sum("canary", "h2").ended + told.sum("stable", "h1").ended == 20;
    told.until(&mut link, all).await;
    let Sum { requests, bad, shares, ended } = told.sum("canary", "h2");
    assert!((9..=11).contains(&requests), "{told:?}");
    assert_eq!((bad, shares, ended), (requests, requests * 5_000, requests));

    // Those that hang are seen before they end.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(proxy.http).await.unwrap();
        stream.write_all(HOLD).await.unwrap();
        held.push(stream);
    }
    let sum =
        |told: &Told, of: fn(&Sum) -> u64| of(&told.sum("canary", "h2")) + of(&told.sum("stable", "h1"));
    let all = |told: &Told| (sum(told, |it| it.requests), sum(told, |it| it.ended));
    told.until(&mut link, |told| all(told) == (22, 20)).await;
    // Of a request that its client gives up nothing stays.
    drop(held);
    told.until(&mut link, |told| all(told) == (20, 20)).await;
    assert_eq!(sum(&told, |it| it.shares), 20 * 5_000);

    // What ends later is told of the second in which it began.
    let late = [(); 2].map(|()| tokio::spawn(client::get(proxy.http, "/hold")));
    told.until(&mut link, |told| all(told) == (22, 20)).await;
    let seconds = |told: &Told| told.0.values().map(BTreeMap::len).sum::<usize>();
    let before = seconds(&told);
    stable.release();
    canary.release();
    told.until(&mut link, |told| all(told) == (22, 22)).await;
    for late in late {
        assert_eq!(late.await.unwrap().status, 200);
    }
    assert_eq!(seconds(&told), before, "{told:?}");
}

#[tokio::test]
async fn an_arm_without_pods_has_bad_requests_of_no_version() {
    let (mut operator, directory, stable) =
        (Operator::start().await, Directory::new(), Pod::start("stable").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![
        cluster("stable", &[(stable.address, "h1")]),
        cluster("canary", &[]),
        route(&[("canary", 5_000), ("stable", 5_000)]),
    ];
    let mut link = operator.configure(changes).await;
    for _ in 0..10 {
        client::get(proxy.http, "/").await;
    }
    let mut told = Told::default();
    told.until(&mut link, |told| told.sum("canary", "").ended + told.sum("stable", "h1").ended == 10).await;
    let Sum { requests, bad, .. } = told.sum("canary", "");
    assert!((4..=6).contains(&requests) && bad == requests, "{told:?}");
    assert_eq!(told.sum("stable", "h1").bad, 0);
}

#[tokio::test]
async fn nothing_is_counted_where_there_is_nothing_to_compare() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![cluster("a", &[(pod.address, "h1")]), cluster("b", &[]), route(&[("a", 10_000)])];
    let mut link = operator.configure(changes).await;
    client::get(proxy.http, "/").await;
    let report = link.report(|it| !it.arms.is_empty()).await;
    assert_eq!(report.cohorts, []);
    // A second version in the same arm makes it two.
    let other = Pod::start("b").await;
    link.commit(vec![cluster("a", &[(pod.address, "h1"), (other.address, "h2")])]).await;
    eventually("both versions have requests", async || {
        client::get(proxy.http, "/").await;
        pod.seen() > 1 && other.seen() > 0
    })
    .await;
    let mut told = Told::default();
    told.until(&mut link, |told| told.sum("a", "h1").ended > 0 && told.sum("a", "h2").ended > 0).await;
}

#[tokio::test]
async fn tries_are_told_when_they_have_ended_whatever_there_is_to_compare() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes = vec![cluster("a", &[(pod.address, "h1")]), cluster("b", &[]), route(&[("a", 10_000)])];
    let mut link = operator.configure(changes).await;
    let first = link.report(|_| true).await;
    assert_eq!(first.tries, []);
    for path in ["/", "/status/500", "/status/404"] {
        client::get(proxy.http, path).await;
    }
    let mut told: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut until = async |link: &mut Link, hash: &str, expected: (u64, u64)| {
        link.report(|report| {
            for of in &report.tries {
                let (ended, bad) = told.entry(of.hash.clone()).or_default();
                *ended += of.ended.iter().sum::<u64>();
                *bad += of.bad;
            }
            told.get(hash) == Some(&expected)
        })
        .await
    };
    until(&mut link, "h1", (3, 1)).await;
    // Each once.
    client::get(proxy.http, "/").await;
    until(&mut link, "h1", (4, 1)).await;
    link.commit(vec![cluster("a", &[])]).await;
    client::get(proxy.http, "/").await;
    until(&mut link, "", (1, 1)).await;
}
