//! `cargo xtask bench propagation`: Gateways of ours, and those of a peer under the same load.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Options, envoy_gateway, envoy_gateway::EnvoyGateway, measure, ratios::ratios};
use crate::{
    cluster::{self, Cluster},
    demo::story,
    gateway_api::{self, Channel},
    images::Profile,
    install,
    settings::{Settings, workspace},
    terminal::{self, note, stage},
};

/// Options of the bench of Gateways.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Measure this one as well, after ours and without our operator.
    #[arg(long, value_enum, value_name = "PEER")]
    beside: Option<Peer>,
    /// Another number of routes that come one by one.
    #[arg(long, value_name = "ROUTES")]
    probed: Option<usize>,
    /// Another number of routes with backends of their own.
    #[arg(long, value_name = "ROUTES")]
    fleet: Option<usize>,
    /// Another number of routes that come one by one while the others change.
    #[arg(long, value_name = "ROUTES")]
    churned: Option<usize>,
    /// Use the Sluice that runs.
    #[arg(long)]
    no_install: bool,
}

/// Who serves Gateways as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Built from its Go module, which takes about 8 minutes, once.
    EnvoyGateway,
}

/// The operator, of which none runs while a peer is measured: it would read the same routes.
const OPERATOR: &str = "deployment/sluice-operator";
/// How long it may take to go and to come.
const PATIENCE: &str = "--timeout=180s";

/// Runs the bench.
pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    gateway_api::install(&cluster::ensure(settings)?, Channel::Experimental)?;
    let cluster = if arguments.no_install {
        cluster::running(settings)?
    } else {
        install::install(settings, Profile::Release, 1)?
    };
    match arguments.beside {
        None => measure(bench(&cluster, arguments)?, &arguments.options),
        Some(Peer::EnvoyGateway) => beside_envoy_gateway(settings, &cluster, arguments),
    }
}

fn beside_envoy_gateway(settings: &Settings, cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let peer = EnvoyGateway::prepare(settings, cluster)?;
    note("Sluice");
    let ours = measured(bench(cluster, arguments)?, &arguments.options, "sluice")?;
    note("Envoy Gateway");
    let theirs = without_operator(cluster, || {
        let measured = peer.install(cluster).and_then(|()| {
            let mut bench = bench(cluster, arguments)?;
            bench.args(["--implementation", "envoy-gateway", "--system", envoy_gateway::NAMESPACE]);
            measured(bench, &arguments.options, "envoy-gateway")
        });
        let removed = peer.remove(cluster);
        let measured = measured?;
        removed.map(|()| measured)
    })?;
    report(&ours, &theirs, arguments.options.json.as_deref())
}

fn bench(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<Command> {
    let mut bench = story(cluster, "bench-propagation")?;
    let sizes =
        [("--probed", arguments.probed), ("--fleet", arguments.fleet), ("--churned", arguments.churned)];
    for (name, routes) in sizes {
        if let Some(routes) = routes {
            bench.args([name, &routes.to_string()]);
        }
    }
    Ok(bench)
}

/// Runs the bench for one of both and reads what it has measured.
fn measured(bench: Command, options: &Options, name: &str) -> anyhow::Result<Value> {
    let file: PathBuf = workspace().join(format!("target/bench-propagation-{name}.json"));
    measure(bench, &Options { quick: options.quick, json: Some(file.clone()) })?;
    let text = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("failed to read {}", file.display()))
}

/// Does something while the operator does not run.
fn without_operator<T>(cluster: &Cluster, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let replicas = in_system(cluster, &["get", OPERATOR, "--output=jsonpath={.spec.replicas}"])?;
    ensure!(replicas != "0", "the operator was stopped: `cargo xtask install` starts it");
    let stopped = stage("operator", |_| {
        in_system(cluster, &["scale", OPERATOR, "--replicas=0"])?;
        in_system(
            cluster,
            &["wait", "pods", "--selector=app.kubernetes.io/component=operator", "--for=delete", PATIENCE],
        )
    });
    let done = stopped.and_then(|_| work());
    let started = stage("operator", |_| {
        in_system(cluster, &["scale", OPERATOR, &format!("--replicas={replicas}")])?;
        in_system(cluster, &["rollout", "status", OPERATOR, PATIENCE])
    });
    let done = done?;
    started.map(|_| done)
}

fn in_system(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
    cluster.kubectl(&[arguments, &["--namespace", install::NAMESPACE]].concat())
}

/// Prints what ours costs of what the peer does, and writes everything into the file.
fn report(ours: &Value, theirs: &Value, file: Option<&Path>) -> anyhow::Result<()> {
    let ratios = ratios(ours, theirs);
    terminal::result("\nSluice's share of what Envoy Gateway costs");
    for (name, ratio) in &ratios {
        terminal::result(format_args!("{name:<36} {ratio}"));
    }
    let Some(file) = file else { return Ok(()) };
    let figures = json!({"sluice": ours, "envoy_gateway": theirs, "ratios": ratios});
    let text = serde_json::to_string_pretty(&figures).context("failed to write figures as JSON")?;
    fs::write(file, text + "\n").with_context(|| format!("failed to write {}", file.display()))
}
