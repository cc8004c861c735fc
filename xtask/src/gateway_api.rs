//! The kinds of Gateway API, as they are published: not Sluice's own, so neither the chart nor the plain manifest has
//! them.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use crate::{
    cluster::Cluster,
    go::{Module, Program},
    terminal::stage,
};

/// The Go module that has the CRDs.
const CRDS: &str = "sigs.k8s.io/gateway-api";
/// Refuses experimental kinds where standard ones are, and older ones where newer ones are.
const GUARD: &str = "safe-upgrades.gateway.networking.k8s.io";
const PROGRAMS: [Program; 3] = [
    Program { name: "conformance", package: ".", tests: true },
    Program { name: "echo-basic", package: "sigs.k8s.io/gateway-api/conformance/echo-basic", tests: false },
    Program { name: "coredns", package: "./coredns", tests: false },
];

/// Which fields and kinds there are: those that stay, or also those that are tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Channel {
    /// What is stable.
    Standard,
    /// All of it.
    Experimental,
}

impl Channel {
    /// As it is called in folders and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Experimental => "experimental",
        }
    }
}

/// The Go module that requires Gateway API: its CRDs, its conformance suite and the suite's backends.
pub(crate) fn module() -> Module {
    Module {
        folder: "integration-tests/conformance",
        programs: &PROGRAMS,
        linker_flags: "-s -w".to_owned(),
        note: "all take about 2 minutes, once",
    }
}

/// Installs the kinds, or moves those that are there to another channel.
pub(crate) fn install(cluster: &Cluster, channel: Channel) -> anyhow::Result<()> {
    stage("Gateway API", |stage| {
        stage.at("installing its kinds");
        // The guard comes with the standard kinds and would keep the experimental ones out.
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            cluster.kubectl(&["delete", kind, GUARD, "--ignore-not-found"])?;
        }
        let mut arguments =
            vec!["apply".to_owned(), "--server-side".to_owned(), "--force-conflicts".to_owned()];
        for file in files(channel)? {
            arguments.push(format!("--filename={}", file.display()));
        }
        cluster.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        cluster.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=30s"])?;
        stage.outcome(format!("{} channel", channel.name()));
        Ok(())
    })
}

/// The manifests of the kinds. A kustomization lies beside some of them, and kinds of another group, which no Gateway
/// needs.
fn files(channel: Channel) -> anyhow::Result<Vec<PathBuf>> {
    let folder = module().requirement(CRDS)?.join("config/crd").join(channel.name());
    let entries = fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let is_kind = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("gateway.networking.k8s.io_") && !name.contains("_vap_")
    };
    let mut files: Vec<_> = paths.into_iter().filter(is_kind).collect();
    files.sort();
    ensure!(!files.is_empty(), "{} has no kinds of Gateway API", folder.display());
    Ok(files)
}
