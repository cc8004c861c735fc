//! `cargo xtask demo`: from a bare machine to a canary that one can watch.

use std::{path::Path, process::Command};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    cluster::Cluster,
    command,
    images::Profile,
    install,
    settings::{self, Settings, workspace},
    terminal::{self, stage},
};

/// Options of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Roll out a version that fails a third of its requests, and abort when that shows.
    #[arg(long)]
    bad: bool,
    /// Let a guard judge the new version: it aborts a bad one.
    #[arg(long)]
    guard: bool,
    /// Seconds for each pause of the Rollout, which has 60.
    #[arg(long, default_value_t = 10)]
    pause: u64,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How many proxies.
    #[arg(long, default_value_t = 2)]
    proxies: u32,
}

/// Runs `cargo xtask demo`. The story itself is `integration-tests/src/bin/quickstart.rs`.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = install::install(settings, Profile::Release, arguments.proxies)?;
    let mut story = story(&cluster, "quickstart")?;
    terminal::note("");
    story.args(["--pause", &arguments.pause.to_string(), "--rate", &arguments.rate.to_string()]);
    if arguments.bad {
        story.arg("--bad");
    }
    if arguments.guard {
        story.arg("--guard");
    }
    let status = story.status().context("failed to start the story")?;
    if !status.success() {
        bail!("the story did not end well");
    }
    Ok(())
}

/// A program of `integration-tests`, built now, that reaches the cluster.
pub(crate) fn story(cluster: &Cluster, name: &str) -> anyhow::Result<Command> {
    stage("story", |stage| {
        stage.at("building it and the plugin");
        command::run(&mut cargo(["build", "--quiet", "--package", "integration-tests", "--bin", name]))?;
        // For `kubectl sluice`, which the story ends with.
        command::run(&mut cargo(["build", "--quiet", "--package", "kubectl-sluice"]))
    })?;
    Ok(cluster.reaching(&settings::programs().join(name)))
}

/// The cargo of this workspace.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO")));
    command.args(arguments).current_dir(workspace());
    command
}
