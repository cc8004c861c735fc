//! A sign of life on the terminal while something takes longer than two seconds.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::ProgressBar;

/// What most commands wait for.
pub const API: &str = "waiting for the Kubernetes API";
/// How long nothing is said.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for `work`; from the third second on a spinner on standard error says what for. Only on a terminal.
pub async fn on<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let _turning = Spinner::start(what);
    work.await
}

/// A turning sign with a message, until it is dropped. Absent where standard error is no terminal.
#[derive(Debug)]
pub struct Spinner(Option<ProgressBar>);

impl Spinner {
    /// Starts to turn.
    #[must_use]
    pub fn start(what: &str) -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        Self(spinner)
    }

    /// Writes something else without mixing it with the spinner.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(spinner) => spinner.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(spinner) = &self.0 {
            spinner.finish_and_clear();
        }
    }
}
