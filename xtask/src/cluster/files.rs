//! Writing configuration and credentials.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::Context as _;

/// Writes a file that only its owner can read, unless it has that content: programs that run watch theirs,
/// and kube-proxy ends when its own is written.
pub(crate) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    replace(path, content).with_context(|| format!("failed to write {}", path.display()))
}

/// Writes beside the file and moves it into place, so that a reader sees the old content or the new one.
fn replace(path: &Path, content: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let unfinished = path.with_extension("unfinished");
    let mut file =
        fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(content.as_bytes())?;
    Ok(fs::rename(unfinished, path)?)
}

/// Like [`write`], for a script.
pub(crate) fn write_script(path: &Path, content: &str) -> anyhow::Result<()> {
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", path.display()))
}
