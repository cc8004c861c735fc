//! The lines above a tree.

use std::fmt::{Display, Write as _};

/// Lines of a key, padded to 17 columns, and a value.
#[derive(Clone, Debug, Default)]
pub struct Head(String);

impl Head {
    /// Adds a line.
    pub fn line(&mut self, key: &str, value: impl Display) {
        writeln!(self.0, "{key:<17}{value}").unwrap_or_default();
    }

    /// Adds a line without a value.
    pub fn title(&mut self, title: &str) {
        writeln!(self.0, "{title}").unwrap_or_default();
    }

    /// All lines, and an empty one.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }
}
