//! `cargo xtask manifest`: the plain manifest for `kubectl apply -f`, rendered from the chart by the real helm.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::{
    cluster::{self, Cluster},
    install::NAMESPACE,
    settings::{Settings, workspace},
    terminal,
};

/// Where it lies in the tree.
const FILE: &str = "install/sluice.yaml";

/// Runs `cargo xtask manifest`: writes the file.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let rendered = render(&cluster::running(settings)?)?;
    let path = workspace().join(FILE);
    fs::create_dir_all(workspace().join("install")).context("failed to create install/")?;
    fs::write(&path, rendered).with_context(|| format!("failed to write {FILE}"))?;
    terminal::result(FILE);
    Ok(())
}

/// Fails if the committed file is not what the chart renders to.
pub(crate) fn check(cluster: &Cluster) -> anyhow::Result<()> {
    let committed =
        fs::read_to_string(workspace().join(FILE)).with_context(|| format!("failed to read {FILE}"))?;
    ensure!(committed == render(cluster)?, "{FILE} is stale: run `cargo xtask manifest`");
    Ok(())
}

fn render(cluster: &Cluster) -> anyhow::Result<String> {
    let chart = workspace().join("charts/sluice");
    let chart = chart.to_string_lossy();
    // Without a cluster helm takes an old Kubernetes for granted.
    let flags = ["--namespace", NAMESPACE, "--include-crds", "--kube-version", "1.34.0"];
    let rendered = cluster.helm(&[&["template", "sluice", &chart], &flags[..]].concat())?;
    Ok(format!(
        "# Sluice for `kubectl apply -f`. Rendered from charts/sluice by `cargo xtask manifest`.\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n{rendered}\n"
    ))
}
