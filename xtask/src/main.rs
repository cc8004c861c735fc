//! Every task of the project: `cargo xtask --help` lists them.

mod cluster;
mod command;
mod images;
mod settings;
mod terminal;

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

    /// Build the images of Sluice and load them into the cluster.
    Images(images::Arguments),
}

fn main() -> anyhow::Result<()> {
    let Arguments { settings, task } = Arguments::parse();
    match task {
        Task::Cluster(task) => cluster::run(&settings, task),
        Task::Images(arguments) => images::run(&settings, &arguments),
    }
}
