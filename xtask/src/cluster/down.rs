//! Removing the cluster, and everything that it put on the machine.

use std::fs;

use anyhow::{Context as _, bail};

use super::{cgroups, limits, lock::Lock, network, node::Node, place::Place};
use crate::{
    command::{command, run as run_command},
    terminal::{self, stage},
};

/// Runs `cargo xtask cluster down`.
pub(crate) fn run(place: &Place) -> anyhow::Result<()> {
    let lock = Lock::take(place)?;
    match Node::find(place)? {
        Some(node) => stage("node", |_| node.kill())?,
        None if !place.root.exists() => {
            terminal::note("there is no cluster on this machine");
            return lock.remove();
        }
        None => (),
    }
    stage("traces", |_| clear(place))?;
    lock.remove()
}

/// Removes what a node that has ended leaves: its interface, its cgroups, its directory.
pub(crate) fn clear(place: &Place) -> anyhow::Result<()> {
    if !place.rootless {
        network::remove_link()?;
        cgroups::remove()?;
        limits::restore(place)?;
    }
    refuse_mounts(place)?;
    remove_directory(place).with_context(|| format!("failed to remove {}", place.root.display()))
}

/// The node's mounts are gone with the node. What is mounted there all the same is somebody else's, and
/// removing files through it would remove theirs.
fn refuse_mounts(place: &Place) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
    let root = place.root.to_string_lossy();
    let below = |point: &&str| *point == root || point.starts_with(&format!("{root}/"));
    let found: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(below).collect();
    if !found.is_empty() {
        bail!("something is mounted in the cluster's directory, unmount it first: {}", found.join(", "));
    }
    Ok(())
}

fn remove_directory(place: &Place) -> anyhow::Result<()> {
    if place.rootless {
        // Overlay file systems leave directories that only root may enter, which the user is in a namespace.
        let remove = ["--user", "--map-root-user", "rm", "-rf"];
        return run_command(command("unshare", remove).arg(&place.root)).map(drop);
    }
    match fs::remove_dir_all(&place.root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => Ok(outcome?),
    }
}
