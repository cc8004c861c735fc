//! Proxies beside one another: the same requests through each, and what each of them costs. `cargo xtask bench proxy`
//! prepares the programs and runs this.
//!
//! All run from the start to the end, one at a time under load, in rounds that take them in turns: what the machine does
//! otherwise meets all of them.

mod backend;
mod contender;
mod identity;
mod load;
mod process;
mod scenario;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::{
    backend::Backend,
    contender::{Contender, Kind, Programs},
    identity::Identity,
    load::{Measured, hold, run},
    scenario::{SMALL, Scenario},
};

/// Measures processor time per request, memory per idle connection and latency of our proxy beside others.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Writes every figure into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the proxies keep their files.
    #[arg(long, value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// The figures to reach: a scenario, the other proxy, and the most that ours may cost of it.
const TARGETS: [(Scenario, Kind, f64); 6] = [
    (KEPT, Kind::Envoy, 0.22),
    (KEPT, Kind::Haproxy, 0.67),
    (KEPT, Kind::Nginx, 0.67),
    (Scenario::Tls { connections: 64, bytes: SMALL }, Kind::Haproxy, 0.60),
    (STREAMS, Kind::Haproxy, 1.0),
    (STREAMS, Kind::Nginx, 0.7),
];
const KEPT: Scenario = Scenario::KeepAlive { connections: 64, bytes: SMALL };
const STREAMS: Scenario = Scenario::Http2 { connections: 16, streams: 8, bytes: SMALL };
/// Of an idle connection, and of a proxy without any.
const IDLE_CONNECTION: u64 = 4 * 1024;
const IDLE_PROXY: u64 = 15 * 1024 * 1024;
/// Connections for which memory is measured.
const HELD: usize = 1_000;

/// One measured load on one proxy.
#[derive(Clone, Copy, Debug)]
struct Cost {
    microseconds: f64,
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// Figures by name.
type Figures = BTreeMap<String, Value>;
type Costs = BTreeMap<(usize, Kind), Vec<Cost>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (rounds, time) =
        if arguments.quick { (1, Duration::from_secs(1)) } else { (3, Duration::from_secs(4)) };
    let backend = Backend::start().await?;
    let identity = Identity::new()?;
    let mut figures = Figures::new();
    let mut contenders = Vec::new();
    for kind in Kind::ALL {
        let Some(contender) =
            arguments.programs.start(kind, &backend, &identity, &arguments.directory).await?
        else {
            continue;
        };
        add(&mut figures, format!("version_{kind}"), contender.version.clone());
        memory(&contender, &mut figures).await?;
        contenders.push(contender);
    }
    let costs = contest(&mut contenders, &identity, rounds, time).await?;
    for ((scenario, kind), costs) in &costs {
        let name = format!("{}_{kind}", Scenario::ALL[*scenario].name());
        let cost = median(costs);
        add(&mut figures, format!("{name}_us_per_request"), rounded(cost.microseconds, 2));
        add(&mut figures, format!("{name}_requests_per_second"), rounded(cost.rate, 0));
        add(&mut figures, format!("{name}_p50_us"), rounded(cost.p50.as_secs_f64() * 1e6, 0));
        add(&mut figures, format!("{name}_p99_us"), rounded(cost.p99.as_secs_f64() * 1e6, 0));
    }
    report(&figures, arguments.json.as_deref())?;
    compare(&costs, &contenders);
    Ok(())
}

/// What a proxy has resident when it has done nothing, and what connections add that wait after one request each.
async fn memory(contender: &Contender, figures: &mut Figures) -> anyhow::Result<()> {
    let (kind, process) = (contender.kind, &contender.process);
    // The first requests make pools and buffers that stay.
    drop(hold(contender.addresses.http, 10).await?);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = process.resident()?;
    let held = hold(contender.addresses.http, HELD).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let each = process.resident()?.saturating_sub(before) / HELD as u64;
    drop(held);
    add(figures, format!("idle_{kind}_rss_kib"), before / 1024);
    add(figures, format!("idle_connection_{kind}_bytes"), each);
    if kind == Kind::Sluice {
        add(figures, format!("idle_{kind}_rss_is_reached"), before <= IDLE_PROXY);
        add(figures, format!("idle_connection_{kind}_is_reached"), each <= IDLE_CONNECTION);
    }
    Ok(())
}

/// All scenarios on all proxies, in rounds whose order turns.
async fn contest(
    contenders: &mut [Contender],
    identity: &Identity,
    rounds: u64,
    time: Duration,
) -> anyhow::Result<Costs> {
    let mut costs = Costs::new();
    let bar = ProgressBar::new(rounds * (Scenario::ALL.len() * contenders.len()) as u64);
    bar.set_style(ProgressStyle::with_template("load {wide_bar} {pos}/{len}").context("a template is none")?);
    for _ in 0..rounds {
        for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
            for contender in contenders.iter() {
                let begin = || contender.process.processor_time();
                let measured = run(scenario, &contender.addresses, identity, time, begin);
                let name = || format!("{} with {}", contender.kind, scenario.name());
                let (measured, before) = measured.await.with_context(name)?;
                let used = contender.process.processor_time()?.saturating_sub(before?);
                costs.entry((place, contender.kind)).or_default().push(cost(&measured, used, time));
                bar.inc(1);
            }
        }
        contenders.reverse();
    }
    bar.finish_and_clear();
    contenders.sort_by_key(|it| it.kind);
    Ok(costs)
}

#[expect(clippy::cast_precision_loss, reason = "no bench has 2^52 requests")]
fn cost(measured: &Measured, used: Duration, time: Duration) -> Cost {
    let requests = measured.requests as f64;
    let at = |percent: usize| measured.latencies[(measured.latencies.len() - 1) * percent / 100];
    Cost {
        microseconds: used.as_secs_f64() * 1e6 / requests,
        rate: requests / time.as_secs_f64(),
        p50: at(50),
        p99: at(99),
    }
}

/// Of the rounds the one whose cost is in the middle.
fn median(costs: &[Cost]) -> Cost {
    let mut sorted = costs.to_vec();
    sorted.sort_by(|a, b| a.microseconds.total_cmp(&b.microseconds));
    sorted[sorted.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn compare(costs: &Costs, contenders: &[Contender]) {
    let of = |scenario: usize, kind| costs.get(&(scenario, kind)).map(|costs| median(costs).microseconds);
    println!("\nprocessor time per request in µs, and what ours costs of it");
    let kinds: Vec<_> = contenders.iter().map(|it| it.kind).collect();
    let heads: String =
        kinds.iter().map(|kind| format!("{:>16}", kind.to_string())).collect::<Vec<_>>().concat();
    println!("{:<32}{heads}", "");
    for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
        let cell = |kind: &Kind| match (of(place, *kind), of(place, Kind::Sluice)) {
            (Some(theirs), Some(ours)) => format!("{theirs:>9.2} ({:.2})", ours / theirs),
            _ => format!("{:>16}", "-"),
        };
        println!("{:<32}{}", scenario.name(), kinds.iter().map(cell).collect::<Vec<_>>().concat());
    }
    println!();
    for (scenario, kind, target) in TARGETS {
        let Some(place) = Scenario::ALL.iter().position(|it| *it == scenario) else { continue };
        let (Some(ours), Some(theirs)) = (of(place, Kind::Sluice), of(place, kind)) else { continue };
        let ratio = ours / theirs;
        let verdict = if ratio <= target { "reached" } else { "not reached" };
        println!("{} of {kind}: {ratio:.2}, to reach {target:.2}: {verdict}", scenario.name());
    }
}

fn add(figures: &mut Figures, name: String, figure: impl Into<Value>) {
    figures.insert(name, figure.into());
}

/// A figure with as many digits as mean something.
fn rounded(value: f64, digits: i32) -> Value {
    let factor = 10_f64.powi(digits);
    json!((value * factor).round() / factor)
}

/// Prints every figure, and writes them into a file if there is one.
#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn report(figures: &Figures, file: Option<&Path>) -> anyhow::Result<()> {
    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, figure) in figures {
        println!("{name:<width$} {figure}");
    }
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures).context("failed to write figures as JSON")?;
    fs::write(file, text + "\n").with_context(|| format!("failed to write {}", file.display()))
}
