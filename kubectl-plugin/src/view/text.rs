//! Text with colours, measured without them.

/// Terminal colours, those of Argo's plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own.
    Default,
    /// Bad.
    Red,
    /// Good, stable.
    Green,
    /// Waiting, unknown, canary.
    Yellow,
    /// Under way, preview.
    Blue,
}

/// Whether colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequences at all.
    Plain,
    /// ANSI escape sequences.
    Ansi,
}

/// A piece of a line: text of one or several colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<(String, Colour)>);

impl Text {
    /// Text in the terminal's own colour.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::coloured(text, Colour::Default)
    }

    /// Text in one colour.
    #[must_use]
    pub fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self(vec![(text.into(), colour)])
    }

    /// This text, then another.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }

    /// All parts with a separator between them.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Self>, separator: &str) -> Self {
        let mut joined = Self::default();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                joined = joined.then(Self::plain(separator));
            }
            joined = joined.then(part);
        }
        joined
    }

    /// Columns on the terminal: one a character. Icons count as one, as in Argo's plugin.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.chars().count()).sum()
    }

    /// The text with or without escape sequences.
    #[must_use]
    pub fn paint(&self, paint: Paint) -> String {
        self.0.iter().map(|(text, colour)| painted(text, *colour, paint)).collect()
    }
}

fn painted(text: &str, colour: Colour, paint: Paint) -> String {
    let code = match (paint, colour) {
        (Paint::Plain, _) | (Paint::Ansi, Colour::Default) => return text.to_owned(),
        (Paint::Ansi, Colour::Red) => 31,
        (Paint::Ansi, Colour::Green) => 32,
        (Paint::Ansi, Colour::Yellow) => 33,
        (Paint::Ansi, Colour::Blue) => 94,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_count_as_width() {
        let text = Text::coloured("✔", Colour::Green).then(Text::plain(" Healthy"));
        assert_eq!(text.width(), 9);
        assert_eq!(text.paint(Paint::Ansi), "\x1b[32m✔\x1b[0m Healthy");
        assert_eq!(text.paint(Paint::Plain), "✔ Healthy");
    }
}
