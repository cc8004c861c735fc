//! The only place that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write as _};

use crate::view::text::Paint;

/// Standard output and standard error of the process.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    terminal: bool,
    colours: bool,
}

impl Output {
    /// Of this process. Colours are written only to a terminal.
    #[must_use]
    pub fn of_process(colours: bool) -> Self {
        Self { terminal: io::stdout().is_terminal(), colours }
    }

    /// Whether somebody is watching.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Whether to write colours.
    #[must_use]
    pub const fn paint(self) -> Paint {
        if self.terminal && self.colours { Paint::Ansi } else { Paint::Plain }
    }

    /// Writes to standard output. A reader that has gone away is an error of kind `BrokenPipe`, with which the
    /// process ends successfully: `kubectl sluice list rollouts | head -1` has done what it should.
    pub fn write(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Clears the terminal and writes from its top left corner, in one piece so that it does not flicker.
    pub fn redraw(self, text: &str) -> io::Result<()> {
        self.write(&format!("\x1b[H\x1b[2J{text}"))
    }

    /// Writes lines to standard error.
    pub fn warn_all(self, texts: &[String]) {
        for text in texts {
            self.warn(text);
        }
    }

    /// Writes a line to standard error. Nobody can be told if that fails.
    pub fn warn(self, text: &str) {
        writeln!(io::stderr().lock(), "{}", text.trim_end()).unwrap_or_default();
    }
}
