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

/// The expression that finds `pattern` anywhere in a text, for [`Substitution`].
pub fn compile_search(pattern: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| PatternError { pattern: pattern.to_owned(), reason: one_line(&error) })
}

/// What takes the place of a match: `\0` is the match, `\1` to `\9` its groups, `\\` a backslash (RE2's rewrite).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

/// Why a text is no substitution for a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionError {
    /// Only digits and a backslash may follow a backslash.
    #[error("substitution `{0}` has a backslash before something else than a digit or a backslash")]
    Backslash(String),
    /// The pattern has fewer groups.
    #[error("substitution `{text}` names group {group}, of which the pattern has {groups}")]
    Group {
        /// The substitution.
        text: String,
        /// The group that it names.
        group: usize,
        /// How many the pattern has.
        groups: usize,
    },
}

impl Substitution {
    /// Reads a substitution for the matches of `pattern`.
    pub fn parse(text: &str, pattern: &Regex) -> Result<Self, SubstitutionError> {
        let groups = pattern.captures_len() - 1;
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                plain.push(character);
                continue;
            }
            match characters.next() {
                Some('\\') => plain.push('\\'),
                Some(digit @ '0'..='9') => {
                    let group = digit as usize - '0' as usize;
                    if group > groups {
                        return Err(SubstitutionError::Group { text: text.to_owned(), group, groups });
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Group(group));
                }
                Some(_) | None => return Err(SubstitutionError::Backslash(text.to_owned())),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// `text` with every match of `pattern` replaced; `None` if there is none.
    #[must_use]
    pub fn replace_all(&self, pattern: &Regex, text: &str) -> Option<String> {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = 0;
        for captures in pattern.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            replaced.push_str(&text[rest..whole.start()]);
            for piece in &self.0 {
                match piece {
                    Piece::Text(text) => replaced.push_str(text),
                    // A group that took no part in the match is empty.
                    Piece::Group(group) => {
                        replaced.push_str(captures.get(*group).map_or("", |it| it.as_str()));
                    }
                }
            }
            rest = whole.end();
        }
        if rest == 0 && replaced.is_empty() && !pattern.is_match(text) {
            return None;
        }
        replaced.push_str(&text[rest..]);
        Some(replaced)
    }
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

    #[test]
    fn substitutions_replace_every_match() {
        let table = [
            ("/a/", "/b/", "/a/x/a/", Some("/b/x/b/")),
            ("^/v([0-9]+)/(.*)$", r"/\2?v=\1", "/v12/x", Some("/x?v=12")),
            ("^/(a)?(b)", r"[\1\2]", "/b/c", Some("[b]/c")),
            ("x", r"\\\0", "/x", Some(r"/\x")),
            ("x", "y", "/a", None),
            ("^", "/p", "/a", Some("/p/a")),
        ];
        for (pattern, substitution, path, expected) in table {
            let pattern = compile_search(pattern).unwrap();
            let substitution = Substitution::parse(substitution, &pattern).unwrap();
            assert_eq!(substitution.replace_all(&pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_bad_substitution_is_refused() {
        let pattern = compile_search("(a)").unwrap();
        let refused = |text| Substitution::parse(text, &pattern).unwrap_err().to_string();
        assert_eq!(refused(r"\2"), r"substitution `\2` names group 2, of which the pattern has 1");
        assert!(refused(r"\x").contains("backslash") && refused(r"a\").contains("backslash"));
    }
}
