//! All output of the tasks: results on standard output, progress on standard error.
//!
//! On a terminal a stage that is at work shows a spinner; elsewhere, as in a build log, each stage is one line
//! when it has ended, and a stage that will take long says so when it starts.

use std::{fmt::Display, io::Write as _, process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// Writes one line of a task's result to standard output.
pub(crate) fn result(line: impl Display) {
    // A reader that has seen enough, such as `head`, closes the pipe; that is no failure of the task.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says why a task failed, cause below cause, and turns its outcome into the exit code.
pub(crate) fn exit(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}

/// Writes one line that is no result, such as a hint, to standard error.
pub(crate) fn note(line: impl Display) {
    eprintln!("{line}");
}

/// Runs one named stage of a task and shows how it ended and how long it took.
pub(crate) fn stage<T>(name: &str, work: impl FnOnce(&mut Stage) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut stage = Stage::start(name);
    let outcome = work(&mut stage);
    stage.end(outcome.is_ok());
    outcome
}

/// A stage at work.
#[derive(Debug)]
pub(crate) struct Stage {
    name: String,
    outcome: String,
    bar: ProgressBar,
}

impl Stage {
    fn start(name: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix:<18} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { name: name.to_owned(), outcome: String::new(), bar }
    }

    /// Says what the stage is at; in a build log this is a line of its own, so use it for what takes long.
    pub(crate) fn at(&self, activity: impl Display) {
        if self.bar.is_hidden() {
            eprintln!("    {:<18} {activity} …", self.name);
        } else {
            self.bar.set_message(activity.to_string());
        }
    }

    /// How long it has been at work.
    pub(crate) fn elapsed(&self) -> Duration {
        self.bar.elapsed()
    }

    /// Sets what is said when the stage has ended well.
    pub(crate) fn outcome(&mut self, outcome: impl Display) {
        self.outcome = outcome.to_string();
    }

    fn end(self, well: bool) {
        let seconds = self.bar.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        let (mark, outcome) = if well { ("✓", self.outcome.as_str()) } else { ("✗", "failed") };
        let line = format!("  {mark} {:<18} {seconds:>6.1} s  {outcome}", self.name);
        eprintln!("{}", line.trim_end());
    }
}
