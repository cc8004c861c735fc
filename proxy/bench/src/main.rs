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

use anyhow::{Context as _, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::{
    backend::Backend,
    contender::{Contender, Kind, Programs, Routes},
    identity::Identity,
    load::{Measured, hold, hold_http2, hold_securely, run},
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
    /// Only loads whose names have this in them, and no memory.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
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
    p999: Duration,
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
    let only = arguments.only.as_deref();
    let scenarios = Scenario::ALL.into_iter().filter(|it| only.is_none_or(|only| it.name().contains(only)));
    let scenarios: Vec<_> = scenarios.collect();
    ensure!(!scenarios.is_empty(), "no load has that name");
    let mut figures = Figures::new();
    let mut contenders = Vec::new();
    for kind in Kind::ALL {
        let start =
            |routes| arguments.programs.start(kind, routes, &backend, &identity, &arguments.directory);
        let Some(contender) = start(Routes::Few).await? else { continue };
        add(&mut figures, format!("version_{kind}"), contender.version.clone());
        if only.is_none() {
            memory(&contender, Idle::Http1, &identity, &mut figures).await?;
            for idle in [Idle::Tls, Idle::Http2] {
                if let Some(fresh) = start(Routes::Few).await? {
                    memory(&fresh, idle, &identity, &mut figures).await?;
                }
            }
        }
        let Some(crowded) = start(Routes::Many).await? else { continue };
        contenders.push((contender, crowded));
    }
    let costs = contest(&scenarios, &mut contenders, &identity, rounds, time).await?;
    for ((scenario, kind), costs) in &costs {
        let name = format!("{}_{kind}", scenarios[*scenario].name());
        let cost = median(costs);
        add(&mut figures, format!("{name}_us_per_request"), rounded(cost.microseconds, 2));
        add(&mut figures, format!("{name}_requests_per_second"), rounded(cost.rate, 0));
        add(&mut figures, format!("{name}_p50_us"), rounded(cost.p50.as_secs_f64() * 1e6, 0));
        add(&mut figures, format!("{name}_p99_us"), rounded(cost.p99.as_secs_f64() * 1e6, 0));
        add(&mut figures, format!("{name}_p999_us"), rounded(cost.p999.as_secs_f64() * 1e6, 0));
    }
    report(&figures, arguments.json.as_deref())?;
    compare(&scenarios, &costs, &contenders);
    Ok(())
}

/// Connections that wait for their next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    Http1,
    Tls,
    Http2,
}

/// What a proxy has resident when it has done nothing, and what connections add that wait after one request each. The
/// process should be new: what others have left room for would not be seen.
async fn memory(
    contender: &Contender,
    idle: Idle,
    identity: &Identity,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (kind, process, addresses) = (contender.kind, &contender.process, contender.addresses);
    let settled = async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.resident()
    };
    let empty = settled().await?;
    // The first requests make pools and buffers that stay.
    let mut added = Vec::new();
    for connections in [10, HELD] {
        let before = settled().await?;
        let with = match idle {
            Idle::Http1 => {
                let _held = hold(addresses.http, connections).await?;
                settled().await?
            }
            Idle::Tls => {
                let _held = hold_securely(addresses.https, &identity.connector(), connections).await?;
                settled().await?
            }
            Idle::Http2 => {
                let _held = hold_http2(addresses.http2, connections).await?;
                settled().await?
            }
        };
        added.push(with.saturating_sub(before) / connections as u64);
    }
    let each = added.pop().unwrap_or_default();
    let name = match idle {
        Idle::Http1 => "connection",
        Idle::Tls => "tls_connection",
        Idle::Http2 => "http2_connection",
    };
    add(figures, format!("idle_{name}_{kind}_bytes"), each);
    if idle == Idle::Http1 {
        add(figures, format!("idle_{kind}_rss_kib"), empty / 1024);
        if kind == Kind::Sluice {
            add(figures, format!("idle_{kind}_rss_is_reached"), empty <= IDLE_PROXY);
            add(figures, format!("idle_connection_{kind}_is_reached"), each <= IDLE_CONNECTION);
        }
    }
    Ok(())
}

/// These scenarios on all proxies, in rounds whose order turns.
async fn contest(
    scenarios: &[Scenario],
    contenders: &mut [(Contender, Contender)],
    identity: &Identity,
    rounds: u64,
    time: Duration,
) -> anyhow::Result<Costs> {
    let mut costs = Costs::new();
    let bar = ProgressBar::new(rounds * (scenarios.len() * contenders.len()) as u64);
    bar.set_style(ProgressStyle::with_template("load {wide_bar} {pos}/{len}").context("a template is none")?);
    for _ in 0..rounds {
        for (place, scenario) in scenarios.iter().copied().enumerate() {
            for (few, many) in contenders.iter() {
                let contender = if matches!(scenario, Scenario::Routes { .. }) { many } else { few };
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
    contenders.sort_by_key(|(it, _)| it.kind);
    Ok(costs)
}

#[expect(clippy::cast_precision_loss, reason = "no bench has 2^52 requests")]
fn cost(measured: &Measured, used: Duration, time: Duration) -> Cost {
    let requests = measured.requests as f64;
    let at = |permille: usize| measured.latencies[(measured.latencies.len() - 1) * permille / 1_000];
    Cost {
        microseconds: used.as_secs_f64() * 1e6 / requests,
        rate: requests / time.as_secs_f64(),
        p50: at(500),
        p99: at(990),
        p999: at(999),
    }
}

/// Of the rounds the one whose cost is in the middle.
fn median(costs: &[Cost]) -> Cost {
    let mut sorted = costs.to_vec();
    sorted.sort_by(|a, b| a.microseconds.total_cmp(&b.microseconds));
    sorted[sorted.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn compare(scenarios: &[Scenario], costs: &Costs, contenders: &[(Contender, Contender)]) {
    let of = |scenario: usize, kind| costs.get(&(scenario, kind)).map(|costs| median(costs).microseconds);
    println!("\nprocessor time per request in µs, and what ours costs of it");
    let kinds: Vec<_> = contenders.iter().map(|(it, _)| it.kind).collect();
    let heads: String =
        kinds.iter().map(|kind| format!("{:>16}", kind.to_string())).collect::<Vec<_>>().concat();
    println!("{:<32}{heads}", "");
    for (place, scenario) in scenarios.iter().enumerate() {
        let cell = |kind: &Kind| match (of(place, *kind), of(place, Kind::Sluice)) {
            (Some(theirs), Some(ours)) => format!("{theirs:>9.2} ({:.2})", ours / theirs),
            _ => format!("{:>16}", "-"),
        };
        println!("{:<32}{}", scenario.name(), kinds.iter().map(cell).collect::<Vec<_>>().concat());
    }
    println!("\nlatency at a fixed rate in µs, from when a request was due: p50, p99, p99.9");
    for (place, scenario) in scenarios.iter().enumerate() {
        if !matches!(scenario, Scenario::Paced { .. }) {
            continue;
        }
        let cell = |kind: &Kind| {
            let Some(costs) = costs.get(&(place, *kind)) else { return format!("{:>20}", "-") };
            let Cost { p50, p99, p999, .. } = median(costs);
            let text = format!("{} {} {}", p50.as_micros(), p99.as_micros(), p999.as_micros());
            format!("{text:>20}")
        };
        println!("{:<32}{}", scenario.name(), kinds.iter().map(cell).collect::<Vec<_>>().concat());
    }
    println!();
    for (scenario, kind, target) in TARGETS {
        let Some(place) = scenarios.iter().position(|it| *it == scenario) else { continue };
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
