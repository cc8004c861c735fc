//! What a bench has measured, and how it shows that it is at work.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Figures by name.
#[derive(Clone, Debug, Default)]
pub struct Figures(BTreeMap<String, Value>);

impl Figures {
    /// Takes a figure.
    pub fn add(&mut self, name: impl Into<String>, figure: impl Into<Value>) {
        self.0.insert(name.into(), figure.into());
    }

    /// Prints every figure, and writes them into a file if there is one.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
    pub fn report(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let width = self.0.keys().map(String::len).max().unwrap_or_default();
        for (name, figure) in &self.0 {
            println!("{name:<width$} {figure}");
        }
        let Some(file) = file else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self.0).context("failed to write figures as JSON")?;
        fs::write(file, text + "\n").with_context(|| format!("failed to write {}", file.display()))
    }
}

/// A bar for `length` things to do.
#[must_use]
pub fn progress(length: u64, what: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(what.into());
    match ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A figure with as many digits as mean something.
#[must_use]
pub fn rounded(value: f64, digits: u32) -> Value {
    let factor = 10_f64.powi(i32::try_from(digits).unwrap_or(i32::MAX));
    json!((value * factor).round() / factor)
}

/// The duration below which `percent` of all are, in milliseconds. `sorted` is ascending and has at least one.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Value {
    let index = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len()) - 1;
    rounded(sorted[index].as_secs_f64() * 1_000.0, 1)
}
