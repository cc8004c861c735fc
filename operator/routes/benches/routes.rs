//! Figures of the route compiler on one core: `cargo xtask bench routes` runs this.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock and its command line")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use operator_routes::{
    Compiler, ObjectChange, ObjectName, Settings,
    dialect::{DocumentKind, documents::DocumentName},
    object::EmissaryObject,
};
use serde_json::{Value, json};

fn object(kind: DocumentKind, name: &str, spec: Value) -> ObjectChange {
    let name = DocumentName { kind, name: ObjectName::new("bench", name) };
    ObjectChange::Emissary(name, Some(EmissaryObject::new("1", spec)))
}

/// A Mapping as people write it; every tenth has a canary beside it.
fn mapping(number: usize, timeout_ms: usize) -> ObjectChange {
    let (route, canary) = (number / 10 * 10 + number % 10 % 9, number % 10 == 9);
    let mut spec = json!({
        "hostname": "*", "prefix": format!("/team-{}/service-{route}/", route % 97),
        "service": format!("198.18.{}.{}:8080", number / 250 % 250, number % 250), "timeout_ms": timeout_ms,
        "add_response_headers": {"x-served-by": "bench"}, "retry_policy": {"retry_on": "5xx", "num_retries": 2},
    });
    if canary {
        spec["weight"] = json!(10);
    }
    object(DocumentKind::Mapping, &format!("mapping-{number}"), spec)
}

fn host(number: usize, action: &str) -> ObjectChange {
    let policy = json!({"insecure": {"action": action}});
    let spec = json!({"hostname": format!("host-{number}.example.org"), "requestPolicy": policy});
    object(DocumentKind::Host, &format!("host-{number}"), spec)
}

/// Takes all changes and compiles them; returns how long that took.
fn compile(compiler: &mut Compiler, changes: Vec<ObjectChange>) -> Duration {
    let started = Instant::now();
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    started.elapsed()
}

/// The median of how long each of some single changes takes.
fn median(compiler: &mut Compiler, times: usize, change: impl Fn(usize) -> ObjectChange) -> Duration {
    let mut all: Vec<Duration> = (0..times).map(|it| compile(compiler, vec![change(it)])).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let quick = arguments.iter().any(|it| it == "--quick");
    let file = arguments.iter().position(|it| it == "--json").and_then(|at| arguments.get(at + 1));
    let (mappings, times) = if quick { (1_000, 20) } else { (10_000, 200) };
    let mut figures = BTreeMap::new();

    let mut compiler = Compiler::new(Settings::default());
    let cold = compile(&mut compiler, (0..mappings).map(|it| mapping(it, 3_000)).collect());
    figures.insert(format!("compile {mappings} Mappings from nothing, ms"), milliseconds(cold));
    let change = median(&mut compiler, times, |it| mapping(it * 31 % mappings, 4_000 + it));
    figures.insert(format!("change one of {mappings} Mappings, median, ms"), milliseconds(change));

    let (wildcards, hosts) = (1_000, 300);
    let mut compiler = Compiler::new(Settings::default());
    let objects = (0..wildcards).map(|it| mapping(it, 3_000)).chain((0..hosts).map(|it| host(it, "Route")));
    let cold = compile(&mut compiler, objects.collect());
    let name = format!("{wildcards} Mappings for every host, {hosts} Hosts");
    figures.insert(format!("{name}: compile from nothing, ms"), milliseconds(cold));
    let config = &compiler.compiled().config;
    figures.insert(format!("{name}: routes"), json!(config.routes.len()));
    let change =
        median(&mut compiler, times, |it| host(it % hosts, if it % 2 == 0 { "Redirect" } else { "Route" }));
    figures.insert(format!("{name}: change one Host, median, ms"), milliseconds(change));

    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, figure) in &figures {
        println!("{name:<width$} {figure}");
    }
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n";
        std::fs::write(file, text).expect("the file of the figures can be written");
    }
}
