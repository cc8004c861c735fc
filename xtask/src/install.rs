//! `cargo xtask install`: this tree's Sluice in the cluster, as a user installs it: CRDs, then the chart by helm.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::{
    cluster::{self, Cluster},
    gateway_api::{self, Channel},
    images::{self, Image, Profile},
    settings::{Settings, workspace},
    terminal::stage,
};

/// Where Sluice is installed.
pub(crate) const NAMESPACE: &str = "sluice-system";

/// How long pods may take to become ready.
const PATIENCE: &str = "180s";

/// Options of `cargo xtask install`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Build without optimisation: quicker to build, slower to run.
    #[arg(long)]
    dev: bool,
    /// How many proxies.
    #[arg(long, default_value_t = 2)]
    proxies: u32,
    /// Install the kinds of Gateway API as well, of this channel.
    #[arg(long, value_name = "CHANNEL", num_args = 0..=1, default_missing_value = "standard")]
    gateway_api: Option<Channel>,
}

/// Runs `cargo xtask install`.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let profile = if arguments.dev { Profile::Dev } else { Profile::Release };
    if let Some(channel) = arguments.gateway_api {
        gateway_api::install(&cluster::ensure(settings)?, channel)?;
    }
    install(settings, profile, arguments.proxies).map(drop)
}

/// Brings the cluster up, builds and loads the images, and installs or upgrades Sluice.
pub(crate) fn install(settings: &Settings, profile: Profile, proxies: u32) -> anyhow::Result<Cluster> {
    let cluster = cluster::ensure(settings)?;
    let images = images::build(&Image::ALL, profile)?;
    images::load(&cluster, &images)?;
    crds(&cluster)?;
    let name = |image: Image| {
        let built = images.iter().find(|(built, _)| *built == image);
        built.map(|(_, built)| built.reference.name()).context("failed to find an image")
    };
    let (operator, proxy) = (name(Image::Operator)?, name(Image::Proxy)?);
    stage("chart", |stage| {
        stage.at("waiting for operator and proxies");
        cluster.helm(&[
            "upgrade",
            "--install",
            "sluice",
            &chart().to_string_lossy(),
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--set",
            &format!("operator.image={operator},proxy.image={proxy},proxy.replicas={proxies}"),
        ])?;
        for deployment in ["deployment/sluice-operator", "deployment/sluice-proxy"] {
            cluster.kubectl(&["rollout", "status", deployment, "-n", NAMESPACE, "--timeout", PATIENCE])?;
        }
        stage.outcome(format!("sluice in {NAMESPACE}"));
        Ok(())
    })?;
    Ok(cluster)
}

/// Installs or upgrades the kinds that Sluice reads: helm installs CRDs once and never upgrades them.
pub(crate) fn crds(cluster: &Cluster) -> anyhow::Result<()> {
    stage("CRDs", |_| {
        let crds = chart().join("crds");
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds.to_string_lossy()])?;
        cluster.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=30s"]).map(drop)
    })
}

fn chart() -> PathBuf {
    workspace().join("charts/sluice")
}
