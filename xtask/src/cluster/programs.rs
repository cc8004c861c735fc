//! The programs that are built from Go modules: the control plane and node in one, CoreDNS, helm, and pause.
//!
//! They take minutes to build and change rarely, so they are kept outside the clone under a hash of all that
//! goes into them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::{
    command::{command, find, run},
    settings::{Settings, workspace},
    terminal::Stage,
};

/// The release that the sources of the module set belong to. A binary built from a module does not know its
/// own version, and clients that parse the server's version fail on what it says instead.
const KUBERNETES_VERSION: &str = "v1.34.4";
/// The programs and the packages they are built from.
const PROGRAMS: [(&str, &str); 4] = [
    ("pause", "./pause"),
    ("cluster", "./cluster"),
    ("coredns", "./coredns"),
    ("helm", "helm.sh/helm/v3/cmd/helm"),
];
/// What, besides the sources, decides the outcome. Static, and free of symbols that only a debugger reads.
const ENVIRONMENT: [(&str, &str); 2] = [("CGO_ENABLED", "0"), ("GOFLAGS", "-mod=readonly")];

/// The built programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
    /// Identifies the sources that they were built from.
    pub(crate) hash: String,
}

impl Programs {
    /// A built program: `cluster`, `coredns`, `helm` or `pause`.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Where they are kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The combined program under the name that makes it kubectl.
    pub(crate) fn kubectl(&self) -> anyhow::Result<PathBuf> {
        let path = self.path("kubectl");
        if !path.exists() {
            std::os::unix::fs::symlink("cluster", &path)
                .with_context(|| format!("failed to create {}", path.display()))?;
        }
        Ok(path)
    }
}

/// Where the programs of the present sources are, or will be once [`ensure`] has run.
pub(crate) fn cached(settings: &Settings) -> anyhow::Result<Programs> {
    let sources = sources();
    let hash = hash(&sources).with_context(|| format!("failed to read {}", sources.display()))?;
    Ok(Programs { directory: settings.cache().join(&hash), hash })
}

/// Finds the programs in the cache, or builds them.
pub(crate) fn ensure(settings: &Settings, stage: &mut Stage) -> anyhow::Result<Programs> {
    let programs = cached(settings)?;
    let cache = settings.cache();
    if programs.directory.is_dir() {
        return Ok(programs);
    }
    fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
    let guard = File::create(cache.join("build.lock")).context("failed to create the lock of the cache")?;
    guard.lock().context("failed to lock the cache")?;
    if programs.directory.is_dir() {
        return Ok(programs);
    }
    build(&sources(), &programs.directory, stage)?;
    stage.outcome(format!("built, kept in {}", programs.directory.display()));
    Ok(programs)
}

fn sources() -> PathBuf {
    workspace().join("integration-tests/cluster")
}

fn build(sources: &Path, destination: &Path, stage: &Stage) -> anyhow::Result<()> {
    if find("go").is_none() {
        bail!("Go 1.26 or newer is needed to build Kubernetes once: install it from https://go.dev/dl/");
    }
    let unfinished = destination.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("failed to remove {}", unfinished.display()))?;
    }
    let flags = linker_flags();
    for (name, package) in PROGRAMS {
        stage.at(format!("building {name} (all take about 4 minutes, once)"));
        let output = unfinished.join(name);
        let mut go = command("go", ["build", "-ldflags", &flags, "-o"]);
        go.arg(&output).arg(package).envs(ENVIRONMENT).current_dir(sources);
        run(&mut go)?;
    }
    fs::rename(&unfinished, destination)
        .with_context(|| format!("failed to move the programs to {}", destination.display()))
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

/// Hash of everything that goes into the programs: module files, sources, flags, architecture.
fn hash(sources: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(sources, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(sources).unwrap_or(&file).to_string_lossy().into_owned();
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
    }
    hash.update(format!("{} {ENVIRONMENT:?} {}", linker_flags(), std::env::consts::ARCH));
    Ok(crate::images::hex(&hash.finalize())[..16].to_owned())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["go", "mod", "sum"].iter().any(|one| extension == *one))
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_every_program_and_is_the_same_twice() {
        let sources = sources();
        let mut files = Vec::new();
        collect(&sources, &mut files).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert!(names.contains(&"go.sum"), "{names:?}");
        assert!(names.contains(&"main.go"), "{names:?}");
        assert_eq!(hash(&sources).unwrap(), hash(&sources).unwrap());
    }

    #[test]
    fn the_server_reports_a_version_that_clients_can_parse() {
        assert!(linker_flags().contains("-X k8s.io/component-base/version.gitVersion=v1.34.4 "));
        assert!(linker_flags().contains("-X k8s.io/client-go/pkg/version.gitMinor=34 "));
    }
}
