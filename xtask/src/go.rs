//! Programs that are built from Go modules of this tree.
//!
//! They take long to build and change rarely, so they are kept outside the clone under a hash of all that goes into
//! them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    command::{command, find, run},
    settings::{Settings, workspace},
    terminal::Stage,
};

/// What, besides the sources, decides the outcome. Static, and free of symbols that only a debugger reads.
const ENVIRONMENT: [(&str, &str); 2] = [("CGO_ENABLED", "0"), ("GOFLAGS", "-mod=readonly")];

/// A Go module of this tree and what is built from it.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Its folder, from the root of the workspace.
    pub(crate) folder: &'static str,
    pub(crate) programs: &'static [Program],
    /// For the linker.
    pub(crate) linker_flags: String,
    /// What it is and how long it takes, for whoever waits.
    pub(crate) note: &'static str,
}

/// One program of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The package that it is built from.
    pub(crate) package: &'static str,
    /// It is the package's tests.
    pub(crate) tests: bool,
}

/// The built programs of a module.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
    /// Identifies the sources that they were built from.
    pub(crate) hash: String,
}

impl Programs {
    /// A built program.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Where they are kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Module {
    /// Where the programs of the present sources are, or will be once [`ensure`](Self::ensure) has run.
    pub(crate) fn cached(&self, settings: &Settings) -> anyhow::Result<Programs> {
        let hash = self.hash().with_context(|| format!("failed to read {}", self.folder))?;
        Ok(Programs { directory: settings.cache().join(&hash), hash })
    }

    /// Finds the programs in the cache, or builds them.
    pub(crate) fn ensure(&self, settings: &Settings, stage: &mut Stage) -> anyhow::Result<Programs> {
        let programs = self.cached(settings)?;
        let cache = settings.cache();
        if programs.directory.is_dir() {
            return Ok(programs);
        }
        fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
        let guard =
            File::create(cache.join("build.lock")).context("failed to create the lock of the cache")?;
        guard.lock().context("failed to lock the cache")?;
        if programs.directory.is_dir() {
            return Ok(programs);
        }
        self.build(&programs.directory, stage)?;
        stage.outcome(format!("built, kept in {}", programs.directory.display()));
        Ok(programs)
    }

    /// Where the sources of a module lie that this one requires; they are fetched if they are not there.
    pub(crate) fn requirement(&self, module: &str) -> anyhow::Result<PathBuf> {
        needs_go()?;
        let mut go = command("go", ["mod", "download", "-json", module]);
        let answer = run(go.envs(ENVIRONMENT).current_dir(self.sources()))?;
        let answer: Value =
            serde_json::from_str(&answer).context("failed to read what go says of a module")?;
        let directory = answer["Dir"].as_str().map(PathBuf::from);
        directory.with_context(|| format!("go does not say where {module} lies"))
    }

    fn sources(&self) -> PathBuf {
        workspace().join(self.folder)
    }

    fn build(&self, destination: &Path, stage: &Stage) -> anyhow::Result<()> {
        needs_go()?;
        let unfinished = destination.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("failed to remove {}", unfinished.display()))?;
        }
        for Program { name, package, tests } in self.programs {
            stage.at(format!("building {name} ({})", self.note));
            let verb: &[&str] = if *tests { &["test", "-c"] } else { &["build"] };
            let mut go = command("go", verb);
            go.args(["-ldflags", &self.linker_flags, "-o"]).arg(unfinished.join(name)).arg(package);
            run(go.envs(ENVIRONMENT).current_dir(self.sources()))?;
        }
        fs::rename(&unfinished, destination)
            .with_context(|| format!("failed to move the programs to {}", destination.display()))
    }

    /// Hash of everything that goes into the programs: module files, sources, flags, architecture.
    fn hash(&self) -> anyhow::Result<String> {
        let sources = self.sources();
        let mut files = Vec::new();
        collect(&sources, &mut files)?;
        files.sort();
        let mut hash = Sha256::new();
        for file in files {
            let content = fs::read(&file)?;
            let name = file.strip_prefix(&sources).unwrap_or(&file).to_string_lossy().into_owned();
            hash.update(format!("{name} {}\n", content.len()));
            hash.update(content);
        }
        hash.update(format!("{} {ENVIRONMENT:?} {}", self.linker_flags, std::env::consts::ARCH));
        Ok(crate::images::hex(&hash.finalize())[..16].to_owned())
    }
}

fn needs_go() -> anyhow::Result<()> {
    if find("go").is_none() {
        bail!("Go 1.26 or newer is needed: install it from https://go.dev/dl/");
    }
    Ok(())
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

    fn module(linker_flags: &str) -> Module {
        let folder = "integration-tests/cluster";
        Module { folder, programs: &[], linker_flags: linker_flags.to_owned(), note: "a moment" }
    }

    #[test]
    fn the_hash_covers_sources_and_flags_and_is_the_same_twice() {
        let mut files = Vec::new();
        collect(&module("").sources(), &mut files).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert!(names.contains(&"go.sum"), "{names:?}");
        assert!(names.contains(&"main.go"), "{names:?}");
        assert_eq!(module("").hash().unwrap(), module("").hash().unwrap());
        assert_ne!(module("").hash().unwrap(), module("-s").hash().unwrap());
    }
}
