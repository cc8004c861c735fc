//! Figures of rollouts on a real cluster: `cargo xtask bench rollouts` prepares the cluster and runs this.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use integration_tests::{
    cluster::{Cluster, Kind},
    figures::{Figures, percentile, progress, rounded},
    probe::{Probe, resident_bytes},
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

/// Measures how soon a written Mapping is served by every proxy, how exact a split is, and what memory it takes.
#[derive(Parser)]
struct Arguments {
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Writes every figure into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where it is played.
    #[arg(long, default_value = "bench-rollouts")]
    namespace: String,
    /// The namespace of operator and proxies.
    #[arg(long, default_value = "sluice-system")]
    system: String,
}

const MANIFESTS: &str = include_str!("bench-rollouts.yaml");
const WEIGHTS: [u32; 4] = [1, 5, 30, 60];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (flips, draws) = if arguments.quick { (20, 1_000) } else { (200, 10_000) };
    let cluster = Cluster::namespace(&arguments.namespace).await?;
    let system = cluster.elsewhere(&arguments.system);
    cluster.apply(MANIFESTS).await?;
    let proxies = system.pod_addresses("app.kubernetes.io/component=proxy").await?;
    let mut figures = Figures::default();

    let mut probes = Vec::new();
    for address in &proxies {
        probes.push(Probe::new(*address, "/bench/"));
    }
    write_weight(&cluster, 0).await?;
    served_everywhere(&mut probes, "v1").await?;

    let bar = progress(flips, "Mapping written, then served by every proxy");
    let mut delays = Vec::new();
    for flip in 0..flips {
        let (weight, version) = if flip % 2 == 0 { (100, "v2") } else { (0, "v1") };
        let written = Instant::now();
        let (served, write) =
            tokio::join!(served_everywhere(&mut probes, version), write_weight(&cluster, weight));
        write?;
        served?;
        delays.push(written.elapsed());
        bar.inc(1);
    }
    bar.finish_and_clear();
    delays.sort();
    figures.add("proxies", json!(proxies.len()));
    figures.add("mapping_to_served_p50_ms", percentile(&delays, 50));
    figures.add("mapping_to_served_p99_ms", percentile(&delays, 99));

    let bar = progress(WEIGHTS.len() as u64, "split error");
    for weight in WEIGHTS {
        write_weight(&cluster, weight).await?;
        let probe = probes.first_mut().context("there is no proxy")?;
        split_is(probe, weight).await?;
        let error = split_error(probe, weight, draws).await?;
        figures.add(format!("split_error_at_{weight}_requests"), json!(error));
        bar.inc(1);
    }
    bar.finish_and_clear();
    figures.add("split_requests", json!(draws));

    for (component, port) in [("operator", 8090), ("proxy", 8877)] {
        let pods = system.pod_addresses(&format!("app.kubernetes.io/component={component}")).await?;
        let mut largest = 0;
        for address in pods {
            largest = largest.max(resident_bytes((address, port).into()).await?);
        }
        figures.add(format!("{component}_rss_mib"), json!(largest / 1024 / 1024));
    }
    figures.report(arguments.json.as_deref())?;
    cluster.remove().await
}

async fn write_weight(cluster: &Cluster, weight: u32) -> anyhow::Result<()> {
    cluster.merge(Kind::Mapping, "bench-canary", &json!({"spec": {"weight": weight}})).await
}

/// Asks each proxy again and again until each has answered with this version.
async fn served_everywhere(probes: &mut Vec<Probe>, version: &'static str) -> anyhow::Result<()> {
    let mut asked = JoinSet::new();
    for mut probe in probes.drain(..) {
        asked.spawn(async move {
            let end = Instant::now() + Duration::from_mins(1);
            while probe.version().await?.as_deref() != Some(version) {
                ensure!(Instant::now() < end, "waited 60 s in vain for {version} from {}", probe.address());
            }
            Ok(probe)
        });
    }
    while let Some(probe) = asked.join_next().await {
        probes.push(probe.context("failed to ask a proxy")??);
    }
    Ok(())
}

/// Waits until the proxy splits by this weight: 200 requests tell any two of [`WEIGHTS`] apart.
async fn split_is(probe: &mut Probe, weight: u32) -> anyhow::Result<()> {
    for _ in 0..100 {
        let mut canary = 0;
        for _ in 0..200 {
            canary += u32::from(probe.version().await?.as_deref() == Some("v2"));
        }
        if canary.abs_diff(2 * weight) <= 2 {
            return Ok(());
        }
    }
    anyhow::bail!("waited in vain for weight {weight}")
}

/// How many requests any window of the next `draws` is off the exact share at most.
async fn split_error(probe: &mut Probe, weight: u32, draws: u64) -> anyhow::Result<Value> {
    let share = f64::from(weight) / 100.0;
    let (mut off, mut lowest, mut highest) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..draws {
        let canary = probe.version().await?.as_deref() == Some("v2");
        off += f64::from(u8::from(canary)) - share;
        lowest = lowest.min(off);
        highest = highest.max(off);
    }
    // The worst window runs from the lowest to the highest sum, or back.
    Ok(rounded(highest - lowest, 3))
}
