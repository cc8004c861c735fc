//! Figures of an operator with many Rollouts: `cargo xtask bench scale` prepares the cluster and runs this.
//!
//! The Rollouts have no pods: what is measured is the operator, and not how fast a machine starts containers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::ensure;
use clap::Parser;
use integration_tests::{
    cluster::Cluster,
    figures::{Figures, progress, rounded},
    scale::{Fleet, Operator, Usage},
    scrape::Scrape,
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Measures memory, processor time and API calls of an operator: at rest, under change, and after a restart.
#[derive(Parser)]
struct Arguments {
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Writes every figure into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The operator's program.
    #[arg(long)]
    operator: PathBuf,
    /// Numbers of Rollouts, one run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    rollouts: Vec<usize>,
    /// Where they are made.
    #[arg(long, default_value = "bench-scale")]
    namespace: String,
}

const ROLLOUT: &str = include_str!("bench-scale.yaml");

/// A short run has this many Rollouts.
const QUICK: usize = 200;

/// All that is asked of the operator.
const FAMILIES: &[&str] = &[
    "rollout_info{",
    "rollout_duration_seconds_count",
    "sluice_rollout_pass_seconds",
    "controller_clientset_k8s_request_total",
    "workqueue_depth",
];

/// Verbs that change something.
const WRITES: [&str; 4] = ["Create", "Update", "Patch", "Delete"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (sizes, rest) = if arguments.quick {
        (vec![QUICK], Duration::from_secs(10))
    } else {
        (arguments.rollouts.clone(), Duration::from_secs(30))
    };
    let mut figures = Figures::default();
    for size in sizes {
        let cluster = Cluster::fresh_namespace(&arguments.namespace).await?;
        let measured = Bench { cluster: &cluster, program: &arguments.operator, size, rest }.run().await;
        let removed = cluster.removed(Duration::from_mins(5)).await;
        for (name, figure) in measured? {
            figures.add(format!("{size}_rollouts_{name}"), figure);
        }
        removed?;
    }
    figures.report(arguments.json.as_deref())
}

/// One run.
struct Bench<'a> {
    cluster: &'a Cluster,
    program: &'a Path,
    /// Number of Rollouts.
    size: usize,
    /// How long nothing happens.
    rest: Duration,
}

type Measured = BTreeMap<String, Value>;

impl Bench<'_> {
    async fn run(&self) -> anyhow::Result<Measured> {
        let mut figures = Measured::new();
        let fleet = Fleet::new(self.cluster.clone(), ROLLOUT, self.size)?;
        fleet.create().await?;
        let operator = self.start().await?;
        self.first_version(&operator, &mut figures).await?;
        self.rest(&operator, &mut figures).await?;
        self.change(&operator, &fleet, &mut figures).await?;
        operator.stop().await?;
        self.restart(&mut figures).await?;
        Ok(figures)
    }

    async fn start(&self) -> anyhow::Result<Operator> {
        let log = std::env::temp_dir().join("sluice-bench-scale-operator.log");
        let mut operator = Operator::start(self.program, self.cluster.name(), &log)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Every Rollout gets its ReplicaSet and its status.
    async fn first_version(&self, operator: &Operator, figures: &mut Measured) -> anyhow::Result<()> {
        let (before, begun, none) = (operator.usage()?, Instant::now(), Scrape::default());
        let done = |scrape: &Scrape| scrape.count("rollout_info", &[("phase", "Completed")]);
        let scrape = watched(operator, "Rollouts with their first version", self.size, done).await?;
        figures.insert("first_version_seconds".to_owned(), rounded(begun.elapsed().as_secs_f64(), 1));
        figures.insert("first_version_cpu_cores".to_owned(), cores(before, operator.usage()?, begun));
        figures.insert("first_version_calls_per_rollout".to_owned(), calls(&scrape.since(&none), self.size));
        Ok(())
    }

    /// Nothing happens, once the last events are written: they are written one after the other, behind all else.
    async fn rest(&self, operator: &Operator, figures: &mut Measured) -> anyhow::Result<()> {
        calm(operator).await?;
        let (before, begun) = (operator.usage()?, Instant::now());
        let counted = operator.scrape(FAMILIES).await?;
        let bar = progress(self.rest.as_secs(), "seconds at rest");
        for _ in 0..self.rest.as_secs() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let after = operator.usage()?;
        let calls = operator.scrape(FAMILIES).await?.since(&counted);
        figures.insert("idle_cpu_cores".to_owned(), cores(before, after, begun));
        figures.insert("idle_rss_mib".to_owned(), mebibytes(after.resident));
        figures.insert("idle_writes".to_owned(), json!(writes(&calls)));
        Ok(())
    }

    /// A tenth of the Rollouts get a new version, all of them in a short run.
    async fn change(&self, operator: &Operator, fleet: &Fleet, figures: &mut Measured) -> anyhow::Result<()> {
        let number = if self.size <= QUICK { self.size } else { self.size / 10 };
        let counted = operator.scrape(FAMILIES).await?;
        let (before, begun) = (operator.usage()?, Instant::now());
        fleet.change(number).await?;
        let promoted = |scrape: &Scrape| {
            let promoted = [("status", "Promoted")];
            whole(scrape.since(&counted).sum("rollout_duration_seconds_count", &promoted))
        };
        let scrape = watched(operator, "Rollouts with their second version", number, promoted).await?;
        let (after, changes) = (operator.usage()?, scrape.since(&counted));
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1_000.0;
        figures.insert("changed".to_owned(), json!(number));
        figures.insert("change_seconds".to_owned(), rounded(begun.elapsed().as_secs_f64(), 1));
        figures.insert("change_cpu_cores".to_owned(), cores(before, after, begun));
        figures.insert("change_cpu_ms_per_rollout".to_owned(), rounded(cpu / as_float(number), 2));
        figures.insert("change_calls_per_rollout".to_owned(), calls(&changes, number));
        figures.insert("change_rss_peak_mib".to_owned(), mebibytes(after.peak));
        passes(&changes, "moved", "pass_that_writes", figures);
        Ok(())
    }

    /// Another operator finds every Rollout settled: it must not write anything.
    async fn restart(&self, figures: &mut Measured) -> anyhow::Result<()> {
        let begun = Instant::now();
        let operator = self.start().await?;
        figures.insert("restart_ready_seconds".to_owned(), rounded(begun.elapsed().as_secs_f64(), 2));
        let looked = |scrape: &Scrape| {
            whole(scrape.sum("sluice_rollout_pass_seconds_count", &[("outcome", "settled")]))
        };
        let scrape = watched(&operator, "Rollouts looked at after a restart", self.size, looked).await?;
        figures.insert("restart_rss_mib".to_owned(), mebibytes(operator.usage()?.resident));
        figures.insert("restart_writes".to_owned(), json!(writes(&scrape)));
        passes(&scrape, "settled", "no_op_pass", figures);
        operator.stop().await
    }
}

/// Waits until `done` of the Rollouts are `size`, and nothing is due any more.
async fn watched(
    operator: &Operator,
    what: &str,
    size: usize,
    done: impl Fn(&Scrape) -> usize,
) -> anyhow::Result<Scrape> {
    let bar = progress(size as u64, what);
    let mut news = (0, Instant::now());
    loop {
        let scrape = operator.scrape(FAMILIES).await?;
        let done = done(&scrape);
        bar.set_position(done as u64);
        if done >= size && scrape.sum("workqueue_depth", &[]) == 0.0 {
            bar.finish_and_clear();
            return Ok(scrape);
        }
        // Every Rollout gets its first pass before any gets its second: for long none may be done.
        let passes = whole(scrape.sum("sluice_rollout_pass_seconds_count", &[]));
        if passes != news.0 {
            news = (passes, Instant::now());
        }
        let stuck = news.1.elapsed() > Duration::from_mins(1);
        ensure!(!stuck, "{what}: {done} of {size}, and not one pass for a minute");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until nothing is written any more.
async fn calm(operator: &Operator) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_mins(5);
    let mut written = writes(&operator.scrape(FAMILIES).await?);
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = writes(&operator.scrape(FAMILIES).await?);
        if now == written {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the operator goes on writing for 5 minutes: {now} writes so far");
        written = now;
    }
}

/// Calls per Rollout by verb and kind, without the lease's.
fn calls(scrape: &Scrape, rollouts: usize) -> Value {
    let sums = scrape.sums("controller_clientset_k8s_request_total", &["verb", "kind"]);
    let named = sums.into_iter().filter(|(key, count)| key.iter().all(|it| it != "leases") && *count > 0.0);
    named.map(|(key, count)| (key.join(" "), rounded(count / as_float(rollouts), 3))).collect()
}

/// Calls that change something other than the lease.
fn writes(scrape: &Scrape) -> usize {
    let sums = scrape.sums("controller_clientset_k8s_request_total", &["verb", "kind"]);
    let changing = sums.iter().filter(|(key, _)| WRITES.contains(&key[0].as_str()) && key[1] != "leases");
    whole(changing.map(|(_, count)| count).sum())
}

fn passes(scrape: &Scrape, outcome: &str, name: &str, figures: &mut Measured) {
    for (share, percent) in [(0.5, "p50"), (0.99, "p99")] {
        let seconds = scrape.quantile("sluice_rollout_pass_seconds", &[("outcome", outcome)], share);
        figures.insert(
            format!("{name}_{percent}_ms"),
            seconds.map_or(Value::Null, |it| rounded(it * 1_000.0, 3)),
        );
    }
}

fn cores(before: Usage, after: Usage, begun: Instant) -> Value {
    rounded(after.cpu.saturating_sub(before.cpu).as_secs_f64() / begun.elapsed().as_secs_f64(), 4)
}

fn mebibytes(bytes: u64) -> Value {
    json!(bytes / 1024 / 1024)
}

#[expect(clippy::cast_precision_loss, reason = "there are not 2^52 Rollouts")]
fn as_float(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter is whole and at least 0"
)]
fn whole(count: f64) -> usize {
    count as usize
}
