//! `cargo xtask bench`: what we claim about speed, measured.

mod peers;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use crate::{
    cluster,
    command,
    demo::{cargo, story},
    images::{self, Image, Profile},
    install,
    settings::{Settings, programs},
    terminal::stage,
};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// From a written Mapping to the proxies, the error of the split, and memory.
    Rollouts(Options),
    /// An operator with 1 000 and 10 000 Rollouts: memory, processor time, API calls, passes.
    Scale(Options),
    /// Our proxy beside Envoy, `HAProxy` and nginx: processor time per request, memory, latency. Needs two cores, no
    /// cluster; takes six minutes.
    Proxy(Options),
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
        Task::Scale(options) => {
            let cluster = cluster::ensure(settings)?;
            install::crds(&cluster)?;
            let operator = images::program(Image::Operator, Profile::Release)?;
            let mut bench = story(&cluster, "bench-scale")?;
            bench.arg("--operator").arg(operator);
            measure(bench, options)
        }
        Task::Proxy(options) => {
            let peers = stage("other proxies", |stage| peers::ensure(settings, stage))?;
            let sluice = images::program(Image::Proxy, Profile::Release)?;
            stage("bench", |stage| {
                stage.at("building it");
                // Optimised as well, or clients and servers would be what is measured.
                command::run(&mut cargo(["build", "--quiet", "--release", "--package", "proxy-bench"]))
            })?;
            let bench = programs().with_file_name("release").join("proxy-bench");
            let mut pinned = Command::new("taskset");
            pinned.args(["--cpu-list", "1"]).arg(bench).arg("--sluice").arg(sluice);
            for (name, program) in peers.programs {
                pinned.arg(format!("--{name}")).arg(program);
            }
            pinned.arg("--libraries").arg(peers.libraries);
            pinned.arg("--directory").arg(settings.cache().join("bench/run"));
            measure(pinned, options)
        }
    }
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
