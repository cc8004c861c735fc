//! The Prometheus that tests ask.

use std::{path::PathBuf, process::Command};

use super::with_program;
use crate::{cluster, command::find, debian, settings::Settings, terminal};

/// The program, its package, and where in that it is.
const PROGRAM: &str = "prometheus";
const WITHIN: &str = "usr/bin/prometheus";

/// Whether there is one.
pub(super) enum Prometheus {
    /// Here.
    At(PathBuf),
    /// There is none that pods could ask, and why.
    Missing(&'static str),
}

impl Prometheus {
    /// That of this machine, or of Debian's package, which is not installed for it.
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        if !cluster::reaches_this_machine(settings) {
            return Ok(Self::Missing("the pods of this cluster do not reach a Prometheus on this machine"));
        }
        if let Some(program) = find(PROGRAM) {
            return Ok(Self::At(program));
        }
        if find("apt-get").is_none() {
            return Ok(Self::Missing("Prometheus is not installed: it has to be in the path"));
        }
        let root = settings.cache().join("debian");
        terminal::stage(PROGRAM, |stage| debian::unpacked(WITHIN, &[PROGRAM], &root, stage)).map(Self::At)
    }

    /// The same command, which finds it by its name.
    pub(super) fn beside<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::At(program) => with_program(command, program),
            Self::Missing(_) => command,
        }
    }
}
