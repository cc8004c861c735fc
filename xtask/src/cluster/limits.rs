//! The one setting of the machine that the cluster changes, and puts back.
//!
//! Every container, and the programs that watch them, take inotify instances out of a small allowance that the
//! kernel counts per user, not per namespace; Debian's 128 ends after a few dozen pods.

use std::fs;

use anyhow::Context as _;

use super::place::Place;

const SETTING: &str = "/proc/sys/fs/inotify/max_user_instances";
const NEEDED: u32 = 4096;

/// Raises the allowance and remembers what it was. Without root it stays as it is.
pub(crate) fn raise(place: &Place) -> anyhow::Result<()> {
    let now = read()?;
    if place.rootless || now >= NEEDED {
        return Ok(());
    }
    fs::write(place.path("inotify-before"), now.to_string())
        .context("failed to remember the inotify limit")?;
    fs::write(SETTING, NEEDED.to_string()).with_context(|| format!("failed to write {SETTING}"))
}

/// Puts back what [`raise`] changed, unless somebody has changed it since.
pub(crate) fn restore(place: &Place) -> anyhow::Result<()> {
    let Ok(before) = fs::read_to_string(place.path("inotify-before")) else { return Ok(()) };
    if read()? != NEEDED {
        return Ok(());
    }
    fs::write(SETTING, before.trim()).with_context(|| format!("failed to write {SETTING}"))
}

fn read() -> anyhow::Result<u32> {
    let text = fs::read_to_string(SETTING).with_context(|| format!("failed to read {SETTING}"))?;
    text.trim().parse().with_context(|| format!("failed to understand {SETTING}"))
}
