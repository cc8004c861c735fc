//! Regular expressions, compiled the same way by the side that sends them and the side that matches.

use regex::{Regex, RegexBuilder};

/// How large one compiled expression may become, in bytes: enough for any path that people write, and far
/// below what thousands of routes could use to exhaust a proxy.
pub const SIZE_LIMIT: usize = 256 * 1024;

/// Why a text is no pattern, in the words of the regex engine, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to compile regex `{pattern}`: {reason}")]
pub struct PatternError {
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The expression that matches exactly the texts that `pattern` matches whole.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let refuse = |reason: String| PatternError { pattern: pattern.to_owned(), reason };
    // On its own first, or a pattern such as `a)(b` would become valid inside the parentheses added below.
    let whole = |text: &str| RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
    whole(pattern).map_err(|error| refuse(one_line(&error)))?;
    whole(&format!("^(?:{pattern})$")).map_err(|error| refuse(one_line(&error)))
}

/// The engine draws the pattern and an arrow below it; only its last line says what is wrong.
fn one_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_texts_only() {
        let pattern = compile("/a|/b+").unwrap();
        assert!(pattern.is_match("/a") && pattern.is_match("/bb"));
        assert!(!pattern.is_match("/ab") && !pattern.is_match("x/a") && !pattern.is_match("/a\n"));
    }

    #[test]
    fn a_bad_pattern_is_refused_with_one_line() {
        let error = compile("/a(").unwrap_err().to_string();
        assert_eq!(error, "failed to compile regex `/a(`: unclosed group");
        assert!(compile("a)(b").is_err());
    }

    #[test]
    fn a_pattern_that_grows_too_large_is_refused() {
        assert!(compile(r"(\w{1000}){1000}").unwrap_err().reason.contains("size limit"));
    }
}
