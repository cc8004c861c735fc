//! `cargo xtask bench`: what we claim about speed, measured.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Subcommand;

use crate::{demo::story, images::Profile, install, settings::Settings};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// From a written Mapping to the proxies, the error of the split, and memory.
    Rollouts {
        /// A short run, for a look.
        #[arg(long)]
        quick: bool,
        /// Write every figure into this file.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// Three proxies: the figures are about all of them, not about the first.
const PROXIES: u32 = 3;

/// Runs a bench.
pub(crate) fn run(settings: &Settings, task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Rollouts { quick, json } => {
            let cluster = install::install(settings, Profile::Release, PROXIES)?;
            let mut bench = story(&cluster, "bench-rollouts")?;
            if *quick {
                bench.arg("--quick");
            }
            if let Some(file) = json {
                bench.arg("--json").arg(file);
            }
            let status = bench.status().context("failed to start the bench")?;
            ensure!(status.success(), "the bench did not end well");
            Ok(())
        }
    }
}
