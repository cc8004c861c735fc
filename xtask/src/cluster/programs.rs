//! The programs of the node: the control plane and node in one, CoreDNS, helm, and pause.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    go::{Module, Program, Programs},
    settings::Settings,
    terminal::Stage,
};

/// The release that the sources of the module set belong to. A binary built from a module does not know its
/// own version, and clients that parse the server's version fail on what it says instead.
const KUBERNETES_VERSION: &str = "v1.34.4";
const PROGRAMS: [Program; 4] = [
    Program { name: "pause", package: "./pause", tests: false },
    Program { name: "cluster", package: "./cluster", tests: false },
    Program { name: "coredns", package: "./coredns", tests: false },
    Program { name: "helm", package: "helm.sh/helm/v3/cmd/helm", tests: false },
];

fn module() -> Module {
    Module {
        folder: "integration-tests/cluster",
        programs: &PROGRAMS,
        linker_flags: linker_flags(),
        note: "all take about 4 minutes, once",
    }
}

/// Where the programs of the present sources are, or will be once [`ensure`] has run.
pub(crate) fn cached(settings: &Settings) -> anyhow::Result<Programs> {
    module().cached(settings)
}

/// Finds the programs in the cache, or builds them.
pub(crate) fn ensure(settings: &Settings, stage: &mut Stage) -> anyhow::Result<Programs> {
    module().ensure(settings, stage)
}

/// The combined program under the name that makes it kubectl.
pub(crate) fn kubectl(programs: &Programs) -> anyhow::Result<PathBuf> {
    let path = programs.path("kubectl");
    if !path.exists() {
        std::os::unix::fs::symlink("cluster", &path)
            .with_context(|| format!("failed to create {}", path.display()))?;
    }
    Ok(path)
}

fn linker_flags() -> String {
    let (major, minor) = ("1", "34");
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (variable, value) in [
            ("gitVersion", KUBERNETES_VERSION),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitCommit", ""),
            ("gitTreeState", "clean"),
            ("buildDate", "1970-01-01T00:00:00Z"),
        ] {
            flags.push_str(" -X ");
            flags.push_str(package);
            flags.push('.');
            flags.push_str(variable);
            flags.push('=');
            flags.push_str(value);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_reports_a_version_that_clients_can_parse() {
        assert!(linker_flags().contains("-X k8s.io/component-base/version.gitVersion=v1.34.4 "));
        assert!(linker_flags().contains("-X k8s.io/client-go/pkg/version.gitMinor=34 "));
    }
}
