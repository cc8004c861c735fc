//! Every task of the project: `cargo xtask --help` lists them.

mod cluster;
mod codegen;
mod command;
mod images;
mod settings;
mod terminal;

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
        Task::Cluster(task) => cluster::run(&settings, task),
        Task::Codegen { check } => codegen::run(check),
        Task::Images(arguments) => images::run(&settings, &arguments),
    };
    terminal::exit(outcome)
}
