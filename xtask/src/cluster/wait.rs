//! Waiting for something to come true.

use std::{thread, time::Duration};

use anyhow::bail;

const INTERVAL: Duration = Duration::from_millis(100);

/// Asks until the answer is yes, for about `seconds`; fails with the words of `late` after that.
pub(crate) fn until(
    seconds: u32,
    late: impl FnOnce() -> String,
    mut question: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for _ in 0..seconds * 10 {
        if question()? {
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
    bail!("{}", late())
}
