//! What a step of the tests came to, read from what it printed.

use std::fmt;

/// The sums of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// What to show of a step that failed.
    pub(crate) failure: Option<String>,
    /// Why it was not run.
    pub(crate) skipped_because: Option<String>,
}

impl Outcome {
    /// The sums of every test program whose closing line is in `text`. A step without one counts no tests.
    pub(crate) fn of(text: &str) -> Self {
        let mut outcome = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            outcome.passed += count(line, " passed");
            outcome.failed += count(line, " failed");
        }
        outcome
    }

    /// A step that did not even run.
    pub(crate) fn failed(why: String) -> Self {
        Self { failure: Some(why), ..Self::default() }
    }
}

/// What explains a failure: the failed tests of each test program, or the last lines where no test failed.
pub(crate) fn essence(text: &str) -> String {
    const LAST: usize = 60;
    let mut lines = Vec::new();
    let mut failing = false;
    for line in text.lines() {
        failing |= line == "failures:";
        if failing || line.starts_with("error") {
            lines.push(line);
        }
        failing &= !line.starts_with("test result: ");
    }
    if !lines.contains(&"failures:") {
        let all: Vec<_> = text.lines().collect();
        lines = all[all.len().saturating_sub(LAST)..].to_vec();
    }
    lines.join("\n")
}

/// The number before `word`.
fn count(line: &str, word: &str) -> usize {
    let number = line.split(word).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failure, &self.skipped_because) {
            (_, Some(why)) => write!(f, "skipped: {why}"),
            (Some(_), None) if self.failed > 0 => {
                write!(f, "FAILED: {} of {}", self.failed, self.passed + self.failed)
            }
            (Some(_), None) => f.write_str("FAILED"),
            (None, None) if self.passed > 0 => write!(f, "ok, {} tests", self.passed),
            (None, None) => f.write_str("ok"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_all_test_programs_are_added_up() {
        let text = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            noise: 7 passed\n\
            test result: FAILED. 11 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";

        assert_eq!(Outcome::of(text), Outcome { passed: 13, failed: 3, ..Outcome::default() });
    }

    #[test]
    fn a_failure_is_explained_by_its_tests_alone() {
        let text = "test a ... ok\n\nfailures:\n\n---- b ----\nassertion failed\n\nfailures:\n    b\n\n\
            test result: FAILED. 1 passed; 1 failed\n\n     Running c\ntest c ... ok\nerror: 1 target failed:\n";

        let essence = essence(text);

        assert!(essence.contains("---- b ----\nassertion failed"), "{essence}");
        assert!(essence.ends_with("error: 1 target failed:"), "{essence}");
        assert!(!essence.contains("... ok"), "{essence}");
    }

    #[test]
    fn a_failure_without_tests_is_explained_by_its_last_lines() {
        let text = (1..=100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");

        assert_eq!(essence(&text).lines().next(), Some("line 41"));
    }

    #[test]
    fn a_step_without_tests_counts_none() {
        assert_eq!(Outcome::of("Finished `dev` profile"), Outcome::default());
    }
}
