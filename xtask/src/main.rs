//! Every task of the project: `cargo xtask --help` lists them.

mod bench;
mod cluster;
mod codegen;
mod command;
mod conformance;
mod debian;
mod demo;
mod gateway_api;
mod go;
mod images;
mod install;
mod manifest;
mod settings;
mod terminal;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::Settings;

/// The tasks of the Sluice workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(flatten)]
    settings: Settings,

    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Watch a canary: cluster, images, installation, load, a new version, and where every request went.
    Demo(demo::Arguments),

    /// Everything that a change has to pass.
    Test(test::Arguments),

    /// Figures, as ratios and quantiles of one run.
    #[command(subcommand)]
    Bench(bench::Task),

    /// Run the official conformance suite of Gateway API.
    Conformance(conformance::Arguments),

    /// Install this tree's Sluice in the cluster.
    Install(install::Arguments),

    /// Render the plain manifest from the chart.
    Manifest,

    /// The local cluster: a one-node Kubernetes made from source, without Docker.
    #[command(subcommand)]
    Cluster(cluster::Task),

    /// Write the files that are generated from code, such as the CRDs of the chart.
    Codegen {
        /// Write nothing; fail if a file is not as it would be written.
        #[arg(long)]
        check: bool,
    },

    /// Build the images of Sluice and load them into the cluster.
    Images(images::Arguments),
}

fn main() -> ExitCode {
    let Arguments { settings, task } = Arguments::parse();
    let outcome = match task {
        Task::Demo(arguments) => demo::run(&settings, &arguments),
        Task::Test(arguments) => test::run(&settings, &arguments),
        Task::Bench(task) => bench::run(&settings, &task),
        Task::Conformance(arguments) => conformance::run(&settings, &arguments),
        Task::Install(arguments) => install::run(&settings, &arguments),
        Task::Manifest => manifest::run(&settings),
        Task::Cluster(task) => cluster::run(&settings, task),
        Task::Codegen { check } => codegen::run(check),
        Task::Images(arguments) => images::run(&settings, &arguments),
    };
    terminal::exit(outcome)
}
