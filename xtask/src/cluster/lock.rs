//! One task at a time changes the cluster of this machine.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::place::Place;
use crate::terminal;

/// Held while a task changes the cluster; the kernel releases it also when the task dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock. Waits, and says so, while another task holds it.
    pub(crate) fn take(place: &Place) -> anyhow::Result<Self> {
        let path = &place.lock;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
        }
        loop {
            let file = wait_for(path).with_context(|| format!("failed to lock {}", path.display()))?;
            // The last holder may have removed the file that we waited for: then the lock is one on nothing.
            let ours = file.metadata().map(|file| file.ino()).ok();
            let named = fs::metadata(path).map(|named| named.ino()).ok();
            if ours.is_some() && ours == named {
                return Ok(Self { _file: file, path: path.clone() });
            }
        }
    }

    /// Releases the lock and removes its file, when there is no cluster left to guard.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("failed to remove {}", self.path.display()))
    }
}

fn wait_for(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            terminal::note(
                "another `cargo xtask` is changing the cluster of this machine: waiting for it to end",
            );
            file.lock()?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(anyhow!(error)),
    }
}
