//! Logs of the node's programs; those of pods are `kubectl logs`.

use std::{fs, os::unix::process::CommandExt as _};

use anyhow::{Context as _, bail};

use super::place::Place;
use crate::{command::command, terminal::result};

/// Shows the end of one log, or the names of all.
pub(crate) fn show(place: &Place, program: Option<&str>, follow: bool) -> anyhow::Result<()> {
    let names = names(place)?;
    let Some(program) = program else {
        names.iter().for_each(result);
        return Ok(());
    };
    if !names.iter().any(|name| name == program) {
        bail!("there is no log of `{program}`; there are logs of {}", names.join(", "));
    }
    let mut tail = command("tail", ["-n", "100"]);
    if follow {
        tail.arg("-F");
    }
    let error = tail.arg(place.log(program)).exec();
    Err(error).context("failed to start tail")
}

fn names(place: &Place) -> anyhow::Result<Vec<String>> {
    let directory = place.path("log");
    let entries = fs::read_dir(&directory).context("the local cluster is not up and has no logs")?;
    let files = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".log").map(str::to_owned)
    });
    let mut names: Vec<_> = files.collect();
    names.sort();
    Ok(names)
}
