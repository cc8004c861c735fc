//! Figures of HTTPRoutes on a real cluster, after gateway-api-bench: `cargo xtask bench propagation` prepares the
//! cluster and runs this.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use http::StatusCode;
use integration_tests::{
    cluster::{Cluster, Kind},
    figures::{Figures, percentile, progress, rounded},
    pod,
    probe::Probe,
    propagation::{Churn, Edge, Fleet, Implementation, flipped, http_route, probed},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Measures how soon a written HTTPRoute is served by every proxy, what is lost while one changes, and what thousands
/// of them cost.
#[derive(Parser)]
struct Arguments {
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Writes every figure into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where it is played.
    #[arg(long, default_value = "bench-propagation")]
    namespace: String,
    /// Whose Gateway it is.
    #[arg(long, value_enum, default_value_t = Implementation::Sluice)]
    implementation: Implementation,
    /// The namespace of the operator.
    #[arg(long, default_value = "sluice-system")]
    system: String,
    /// Another number of routes that come one by one.
    #[arg(long, value_name = "ROUTES")]
    probed: Option<usize>,
    /// Another number of routes with backends of their own.
    #[arg(long, value_name = "ROUTES")]
    fleet: Option<usize>,
    /// Another number of routes that come one by one while the others change.
    #[arg(long, value_name = "ROUTES")]
    churned: Option<usize>,
}

/// How much of everything.
struct Sizes {
    /// Routes that attach at once.
    attached: usize,
    /// Routes that come one by one.
    probed: usize,
    /// Changes of one route under load.
    flips: usize,
    /// Routes with backends of their own.
    fleet: usize,
    /// Routes that come one by one while the others change.
    churned: usize,
    /// How long nothing but churn happens.
    rest: Duration,
}

const FULL: Sizes = Sizes {
    attached: 1_000,
    probed: 3_000,
    flips: 1_000,
    fleet: 5_000,
    churned: 300,
    rest: Duration::from_mins(1),
};
const QUICK: Sizes =
    Sizes { attached: 50, probed: 50, flips: 50, fleet: 200, churned: 20, rest: Duration::from_secs(5) };

const MANIFESTS: &str = include_str!("bench-propagation.yaml");
const GATEWAY: &str = "edge";
const SERVICE: &str = "app";
/// Every request without a route of its own is for this host.
const HOST: &str = "bench.example.com";
/// Who waits longer waits in vain.
const LIMIT: Duration = Duration::from_mins(1);
/// Between two questions to one proxy: the machine has other things to do.
const PAUSE: Duration = Duration::from_micros(500);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let cluster = Cluster::fresh_namespace(&arguments.namespace).await?;
    let mut figures = Figures::default();
    let measured = measure(&cluster, &arguments, &mut figures).await;
    let removed = cluster.removed(Duration::from_mins(10)).await;
    measured?;
    figures.report(arguments.json.as_deref())?;
    removed
}

async fn measure(cluster: &Cluster, arguments: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let &Arguments { implementation, ref system, .. } = arguments;
    let sizes = if arguments.quick { QUICK } else { FULL };
    let sizes = Sizes {
        probed: arguments.probed.unwrap_or(sizes.probed),
        fleet: arguments.fleet.unwrap_or(sizes.fleet),
        churned: arguments.churned.unwrap_or(sizes.churned),
        ..sizes
    };
    cluster.apply(&implementation.class().to_string()).await?;
    cluster.apply(MANIFESTS).await?;
    cluster.create(Kind::Gateway, &gateway(implementation.class_name())).await?;
    let edge = Edge::wait(cluster.clone(), GATEWAY, implementation, system).await?;
    let fleet = Fleet::new(cluster.clone(), GATEWAY, application(cluster).await?);
    Bench { cluster: cluster.clone(), edge, fleet, sizes }.run(figures).await
}

struct Bench {
    cluster: Cluster,
    edge: Edge,
    fleet: Fleet,
    sizes: Sizes,
}

impl Bench {
    async fn run(&self, figures: &mut Figures) -> anyhow::Result<()> {
        figures.add("proxies", json!(self.edge.probes(HOST, "/").len()));
        self.attach(figures).await?;
        self.probe("propagation", self.sizes.probed, figures).await?;
        self.flip(figures).await?;
        // What is measured from here on is the fleet's.
        self.fleet.detach().await?;
        self.edge.attached(0).await?;
        self.grow(figures).await?;
        let churn = Churn::begin(self.fleet.clone(), self.sizes.fleet);
        self.rest(figures).await?;
        self.probe("propagation_under_churn", self.sizes.churned, figures).await?;
        churn.end().await
    }

    /// From the last route that is made or deleted to a status that counts right.
    async fn attach(&self, figures: &mut Figures) -> anyhow::Result<()> {
        self.fleet.attach(self.sizes.attached, SERVICE).await?;
        let attached = self.edge.attached(self.sizes.attached).await?;
        self.fleet.detach().await?;
        let detached = self.edge.attached(0).await?;
        figures.add("attached_routes", json!(self.sizes.attached));
        figures.add("attached_after_ms", json!(attached.as_millis()));
        figures.add("detached_after_ms", json!(detached.as_millis()));
        Ok(())
    }

    /// Routes one by one: each is written when the one before is served, and asked for at every proxy meanwhile.
    async fn probe(&self, name: &str, routes: usize, figures: &mut Figures) -> anyhow::Result<()> {
        let bar = progress(u64::try_from(routes)?, "HTTPRoute written, then served by every proxy");
        let mut probes = self.edge.probes(HOST, "/");
        let (mut delays, mut writes, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        let mut stray = BTreeMap::<String, u64>::new();
        for index in 0..routes {
            let (route, path) = (format!("{}-{index}", name.replace('_', "-")), format!("/{name}/{index}/"));
            let written = Instant::now();
            let object = probed(GATEWAY, &route, &path, SERVICE);
            let write = async {
                self.cluster.create(Kind::HttpRoute, &object).await?;
                anyhow::Ok(written.elapsed())
            };
            let (served, write) = tokio::join!(served_everywhere(&mut probes, &path), write);
            let (delay, write) = (written.elapsed(), write?);
            for status in served? {
                *stray.entry(status.to_string()).or_default() += 1;
            }
            delays.push(delay);
            writes.push(write);
            behind.push(delay.saturating_sub(write));
            bar.inc(1);
        }
        bar.finish_and_clear();
        for times in [&mut delays, &mut writes, &mut behind] {
            times.sort();
        }
        figures.add(format!("{name}_routes"), json!(routes));
        // What of it the API server alone takes before it answers: no controller can be faster.
        figures.add(format!("{name}_written_p50_ms"), percentile(&writes, 50));
        figures.add(format!("{name}_written_p99_ms"), percentile(&writes, 99));
        // And what passes after that answer until every proxy serves the route.
        figures.add(format!("{name}_behind_p50_ms"), percentile(&behind, 50));
        figures.add(format!("{name}_behind_p99_ms"), percentile(&behind, 99));
        figures.add(format!("{name}_p50_ms"), percentile(&delays, 50));
        figures.add(format!("{name}_p99_ms"), percentile(&delays, 99));
        figures.add(format!("{name}_max_ms"), percentile(&delays, 100));
        figures.add(format!("{name}_stray"), json!(stray));
        Ok(())
    }

    /// One route changes again and again while every proxy is asked for it.
    async fn flip(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let path = "/flip/";
        let route = http_route(GATEWAY, "flip", &flipped(path, SERVICE, 80));
        self.cluster.create(Kind::HttpRoute, &route).await?;
        let mut probes = self.edge.probes(HOST, path);
        served_everywhere(&mut probes, path).await?;
        let (end, ended) = watch::channel(false);
        let mut asking = JoinSet::new();
        for mut probe in probes {
            let ended = ended.clone();
            asking.spawn(async move {
                let mut answers = BTreeMap::<String, u64>::new();
                while !*ended.borrow() {
                    let answer = match probe.status().await {
                        Ok(status) => status.as_str().to_owned(),
                        Err(_) => "lost".to_owned(),
                    };
                    *answers.entry(answer).or_default() += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                answers
            });
        }
        let bar = progress(u64::try_from(self.sizes.flips)?, "one route changes under load");
        for flip in 0..self.sizes.flips {
            let port = if flip % 2 == 0 { 8080 } else { 80 };
            let rules = flipped(path, SERVICE, port);
            self.cluster.merge(Kind::HttpRoute, "flip", &json!({"spec": {"rules": rules}})).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        end.send_replace(true);
        let mut answers = BTreeMap::<String, u64>::new();
        while let Some(of_probe) = asking.join_next().await {
            for (answer, count) in of_probe.context("failed to ask a proxy")? {
                *answers.entry(answer).or_default() += count;
            }
        }
        figures.add("flips", json!(self.sizes.flips));
        figures.add("flip_answers", json!(answers));
        Ok(())
    }

    /// Routes with backends of their own.
    async fn grow(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let bar = progress(u64::try_from(self.sizes.fleet)?, "HTTPRoutes with Services and endpoints");
        let begun = Instant::now();
        self.fleet.create(self.sizes.fleet, &bar).await?;
        bar.finish_and_clear();
        let created = begun.elapsed();
        let attached = self.edge.attached(self.sizes.fleet).await?;
        figures.add("fleet_routes", json!(self.sizes.fleet));
        figures.add("fleet_created_s", rounded(created.as_secs_f64(), 1));
        figures.add("fleet_attached_after_ms", json!(attached.as_millis()));
        Ok(())
    }

    /// What all of it costs while a route and an endpoint change every second.
    async fn rest(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let before = self.edge.footprint().await?;
        let bar = progress(self.sizes.rest.as_secs(), "memory and processor time under churn");
        for _ in 0..self.sizes.rest.as_secs() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let after = self.edge.footprint().await?;
        let mib = |bytes: u64| json!(bytes / 1024 / 1024);
        figures.add("operator_rss_mib", mib(after.operator_bytes));
        if let Some(bytes) = after.proxy_bytes {
            figures.add("proxy_rss_mib", mib(bytes));
        }
        for (name, before, after) in
            [("operator", before.operators, after.operators), ("proxy", before.proxies, after.proxies)]
        {
            figures.add(format!("{name}_anonymous_mib"), mib(after.largest_anonymous_bytes()));
            figures.add(format!("{name}_cores"), rounded(after.cores_since(&before), 4));
        }
        Ok(())
    }
}

/// Asks each proxy again and again until each has found the route. Returns the answers that are neither this nor 404.
async fn served_everywhere(probes: &mut Vec<Probe>, path: &str) -> anyhow::Result<Vec<StatusCode>> {
    let mut asked = JoinSet::new();
    for mut probe in probes.drain(..) {
        probe.turn_to(path);
        asked.spawn(async move {
            let (end, mut stray) = (Instant::now() + LIMIT, Vec::new());
            loop {
                match probe.status().await? {
                    StatusCode::OK => return anyhow::Ok((probe, stray)),
                    StatusCode::NOT_FOUND => {}
                    other => stray.push(other),
                }
                ensure!(Instant::now() < end, "waited in vain for a route from {}", probe.address());
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    let mut all = Vec::new();
    while let Some(probe) = asked.join_next().await {
        let (probe, stray) = probe.context("failed to ask a proxy")??;
        probes.push(probe);
        all.extend(stray);
    }
    Ok(all)
}

/// A Gateway of this class with one listener.
fn gateway(class: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY},
        "spec": {"gatewayClassName": class, "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
    })
}

/// The address of the application, once it is ready.
async fn application(cluster: &Cluster) -> anyhow::Result<IpAddr> {
    let ready = || async {
        let pods = cluster.pods("app=bench").await?;
        Ok(pods.iter().filter(|it| pod::is_ready(it)).find_map(pod::address))
    };
    cluster.until("the application is ready", LIMIT, ready).await
}
