//! The cgroup that all pods are under.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{place::NAME, wait};

/// Makes the cgroup in every hierarchy: the kubelet wants its root to exist.
pub(crate) fn create() -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let path = own(&hierarchy);
        fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        // Only the unified hierarchy has this file; what a parent does not enable its children do not have.
        for parent in [&hierarchy, &path] {
            let control = parent.join("cgroup.subtree_control");
            let available = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
            for controller in available.split_whitespace() {
                // One that cannot be enabled here is one that pods do without.
                let _ = fs::write(&control, format!("+{controller}"));
            }
        }
    }
    Ok(())
}

/// Removes the cgroup, when the last process under it has ended.
pub(crate) fn remove() -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let path = own(&hierarchy);
        let late = || format!("the cgroup {} does not become empty", path.display());
        wait::until(10, late, || Ok(remove_tree(&path).is_ok()))?;
    }
    Ok(())
}

fn own(hierarchy: &Path) -> PathBuf {
    hierarchy.join(format!("{NAME}-cluster"))
}

/// Mount points of all cgroup hierarchies.
fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
    Ok(mount_points(&mounts))
}

fn mount_points(mounts: &str) -> Vec<PathBuf> {
    let lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines
        .filter(|fields| fields.get(2).is_some_and(|kind| ["cgroup", "cgroup2"].contains(kind)))
        .filter_map(|fields| fields.get(1).map(PathBuf::from))
        .collect()
}

/// A cgroup is removed by removing its directories from the leaves up; its files cannot be removed.
fn remove_tree(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mount_points(mounts),
            [Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup/unified")]
        );
    }
}
