//! Figures of the judge, on one core and without a cluster: `cargo xtask bench judge` runs this.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock and its command line")]

#[path = "../tests/traffic/traffic.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod traffic;

use std::collections::BTreeMap;
use std::time::Instant;

use operator_judge::Judge;
use operator_judge::evidence::Prior;
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::settings::{Errors, Settings};
use serde_json::{Value, json};
use traffic::{Random, Traffic, of_errors, of_latency};

/// What is wrong with the canary, and the seconds in which half of the runs should find it at a level of 0.05.
const TABLE: [(&str, Traffic, u32); 5] = [
    ("30 % errors", Traffic::errors(100.0, 0.05, 0.001, 0.3), 3),
    ("5 % errors", Traffic::errors(100.0, 0.05, 0.001, 0.05), 12),
    ("1 % errors", Traffic::errors(100.0, 0.05, 0.001, 0.01), 75),
    ("latency x 1.5", Traffic::latency(100.0, 0.05, 1.0, 1.5), 10),
    ("latency x 1.2", Traffic::latency(100.0, 0.05, 1.0, 1.2), 60),
];

/// A tick may cost this many microseconds.
const TICK: f64 = 20.0;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let quick = arguments.iter().any(|it| it == "--quick");
    let file = arguments.iter().position(|it| it == "--json").and_then(|at| arguments.get(at + 1));
    let mut figures = BTreeMap::new();

    let runs = if quick { 100 } else { 1_000 };
    for (what, traffic, target) in TABLE {
        for level in [Level::ONE_IN_TWENTY, Level::ONE_IN_A_THOUSAND] {
            let judge = match traffic.latency {
                Some(_) => of_latency(0, level),
                None => of_errors(traffic.bad.0, Margin::NONE, level),
            };
            let found = (0..runs).map(|seed| traffic.condemned(judge.clone(), 7_200, &mut Random::new(seed)));
            let mut found: Vec<u32> = found.map(|it| it.unwrap_or(u32::MAX)).collect();
            found.sort_unstable();
            let name = format!("{what}, 100 requests/s, 5 %, alpha {}: found after", level.get());
            let target =
                if level == Level::ONE_IN_TWENTY { format!(" (target {target})") } else { String::new() };
            figures.insert(format!("{name} s, median{target}"), json!(found[found.len() / 2]));
            figures.insert(format!("{name} s, 90 %"), json!(found[found.len() * 9 / 10]));
        }
    }
    let share = condemned_though_good(if quick { 500 } else { 10_000 });
    figures.insert("good canaries condemned in 10 minutes at alpha 0.05, share".to_owned(), rounded(share));
    let (take, verdict) = costs(if quick { 2_000 } else { 50_000 });
    figures.insert(format!("a second of errors and 7 edges, us (target {TICK})"), rounded(take));
    figures.insert("a verdict read, us".to_owned(), rounded(verdict));
    figures.insert("a judge written down, bytes".to_owned(), json!(written()));

    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, figure) in &figures {
        println!("{name:<width$} {figure}");
    }
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n";
        std::fs::write(file, text).expect("the file of the figures can be written");
    }
}

/// The share of rollouts in which a canary is condemned that is just the stable version.
fn condemned_though_good(runs: u32) -> f64 {
    let traffic = Traffic::errors(100.0, 0.05, 0.01, 0.01);
    let judge = of_errors(0.01, Margin::NONE, Level::ONE_IN_TWENTY);
    let wrong = (0..runs)
        .filter(|seed| traffic.condemned(judge.clone(), 600, &mut Random::new(u64::from(*seed))).is_some());
    f64::from(u32::try_from(wrong.count()).unwrap_or(u32::MAX)) / f64::from(runs)
}

/// Microseconds that a second takes to be taken in, and a verdict to be read.
fn costs(ticks: u32) -> (f64, f64) {
    let mut judge = of_everything();
    let traffic = Traffic { bad: (0.01, 0.01), ..Traffic::latency(100.0, 0.05, 0.0, 1.0) };
    let (mut carried, mut random) = (0.0, Random::new(1));
    let ticks: Vec<_> = (0..ticks).map(|it| traffic.tick(it.into(), &mut carried, &mut random)).collect();
    let each = |started: Instant| {
        started.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(ticks.len()).unwrap_or(u32::MAX))
    };
    let started = Instant::now();
    for tick in &ticks {
        judge.take(tick);
    }
    let take = each(started);
    let started = Instant::now();
    for tick in &ticks {
        let verdict = std::hint::black_box(judge.verdict(tick.second));
        drop(verdict);
    }
    (take, each(started))
}

/// The size of a judge who has seen an hour.
fn written() -> usize {
    let mut judge = of_everything();
    let traffic = Traffic { bad: (0.01, 0.01), ..Traffic::latency(100.0, 0.05, 0.0, 1.0) };
    let (mut carried, mut random) = (0.0, Random::new(1));
    for second in 0..3_600 {
        judge.take(&traffic.tick(second, &mut carried, &mut random));
    }
    serde_json::to_string(&judge.save()).map_or(0, |text| text.len())
}

fn of_everything() -> Judge {
    let prior = Prior::new(0.01, 2_000);
    let errors = Some(Errors { margin: Margin::NONE, prior, part: 1.0 });
    Judge::new(Settings { errors, ..of_latency(0, Level::ONE_IN_TWENTY).settings().clone() })
}

fn rounded(figure: f64) -> Value {
    json!((figure * 1e4).round() / 1e4)
}
