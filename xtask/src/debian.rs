//! Programs of Debian's packages without their installation: nothing of them is started or configured.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use crate::{
    command::{command, run},
    terminal::Stage,
};

/// Fetches packages, unpacks them beside each other in `root`, and returns where `program` is, a path within it. Does
/// nothing if it is there.
pub(crate) fn unpacked(
    program: &str,
    packages: &[&str],
    root: &Path,
    stage: &Stage,
) -> anyhow::Result<PathBuf> {
    let there = root.join(program);
    if there.is_file() {
        return Ok(there);
    }
    stage.at(format_args!("fetching {}", packages.join(" ")));
    let name = there.file_name().unwrap_or_default().to_string_lossy();
    let files = root.join(format!("{name}-packages"));
    fs::create_dir_all(&files).with_context(|| format!("failed to create {}", files.display()))?;
    let download = || run(command("apt-get", ["download", "-qq"]).args(packages).current_dir(&files));
    if download().is_err() {
        // What this machine knows of them may be old, or nothing.
        run(&mut command("apt-get", ["update", "-qq"]))?;
        download()?;
    }
    for file in fs::read_dir(&files).with_context(|| format!("failed to list {}", files.display()))? {
        let file = file.with_context(|| format!("failed to list {}", files.display()))?.path();
        run(command("dpkg-deb", ["--extract"]).arg(file).arg(root))?;
    }
    ensure!(there.is_file(), "{program} is not in {}", packages.join(" "));
    Ok(there)
}
