//! `cargo xtask bench`: what we claim about speed, measured.

mod envoy_gateway;
mod peers;
mod propagation;
mod ratios;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use crate::{
    cluster,
    demo::story,
    images::{self, Image, Profile},
    install,
    settings::Settings,
    terminal::stage,
};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// From a written Mapping to the proxies, the error of the split, and memory.
    Rollouts(Options),
    /// An operator with 1 000 and 10 000 Rollouts: memory, processor time, API calls, passes.
    Scale(Options),
    /// From a written HTTPRoute to the proxies of its Gateway, what is lost while a route changes, and what 5 000 routes
    /// cost; beside Envoy Gateway with `--beside envoy-gateway`.
    Propagation(propagation::Arguments),
    /// The route compiler with 10 000 Mappings, on one core and without a cluster.
    Routes(Options),
    /// What one changed route costs a proxy with 10 000, from its message to the next snapshot. Without a cluster.
    Changes(Options),
    /// How fast the judge finds a bad canary, how often it condemns a good one, and what a second of it costs.
    Judge(Options),
    /// Our proxy beside Envoy, `HAProxy` and nginx: processor time per request, memory, latency. Needs two cores, no
    /// cluster; takes ten minutes.
    Proxy(Beside),
}

/// Options of the bench of the proxy.
#[derive(Debug, Args)]
pub(crate) struct Beside {
    #[command(flatten)]
    options: Options,
    /// Only loads whose names have this in them, and no memory.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Another build of our proxy, which the same loads meet: what a change is worth is seen within one run only.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

/// Options of every bench.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A short run, for a look.
    #[arg(long)]
    quick: bool,
    /// Write every figure into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Three proxies: the figures are about all of them, not about the first.
const PROXIES: u32 = 3;

/// Runs a bench.
pub(crate) fn run(settings: &Settings, task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Rollouts(options) => {
            let cluster = install::install(settings, Profile::Release, PROXIES)?;
            measure(story(&cluster, "bench-rollouts")?, options)
        }
        Task::Propagation(arguments) => propagation::run(settings, arguments),
        Task::Scale(options) => {
            let cluster = cluster::ensure(settings)?;
            install::crds(&cluster)?;
            let operator = images::program(Image::Operator, Profile::Release)?;
            let mut bench = story(&cluster, "bench-scale")?;
            bench.arg("--operator").arg(operator);
            measure(bench, options)
        }
        Task::Routes(options) => measure(of_crate("operator-routes", "routes"), options),
        Task::Changes(options) => measure(of_crate("proxy-core", "changes"), options),
        Task::Judge(options) => measure(of_crate("operator-judge", "judge"), options),
        Task::Proxy(Beside { options, only, before }) => {
            let peers = stage("other proxies", |stage| peers::ensure(settings, stage))?;
            // Both optimised, or clients and servers would be what is measured.
            let (sluice, bench) = images::program_with(Image::Proxy, "proxy-bench", Profile::Release)?;
            let mut pinned = Command::new("taskset");
            pinned.args(["--cpu-list", "1"]).arg(bench).arg("--sluice").arg(sluice);
            for (name, program) in peers.programs {
                pinned.arg(format!("--{name}")).arg(program);
            }
            pinned.arg("--libraries").arg(peers.libraries);
            pinned.arg("--directory").arg(settings.cache().join("bench/run"));
            if let Some(text) = only {
                pinned.arg("--only").arg(text);
            }
            if let Some(program) = before {
                pinned.arg("--before").arg(program);
            }
            measure(pinned, options)
        }
    }
}

/// A bench that needs no cluster.
fn of_crate(package: &str, name: &str) -> Command {
    let mut bench = Command::new(env!("CARGO"));
    bench.args(["bench", "--quiet", "--package", package, "--bench", name, "--"]);
    bench
}

fn measure(mut bench: Command, options: &Options) -> anyhow::Result<()> {
    if options.quick {
        bench.arg("--quick");
    }
    if let Some(file) = &options.json {
        bench.arg("--json").arg(file);
    }
    let status = bench.status().context("failed to start the bench")?;
    ensure!(status.success(), "the bench did not end well");
    Ok(())
}
