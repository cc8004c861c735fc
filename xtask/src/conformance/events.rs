//! What `go tool test2json` says, line by line, and what became of each test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::Deserialize;

/// How many of the last lines explain a failure.
const LAST: usize = 60;

/// One line of `test2json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    test: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    elapsed: f64,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Passed,
    Failed,
    Skipped,
}

/// What became of the tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Names of the tests of the suite that passed.
    pub(crate) passed: BTreeSet<String>,
    /// Of those that failed, and what they said.
    pub(crate) failed: BTreeMap<String, String>,
    /// Of those that test what is not claimed.
    pub(crate) skipped: BTreeSet<String>,
    /// What tests under way have said, subtests apart.
    said: BTreeMap<String, Vec<String>>,
    /// What the program said beside any test of the suite: why it could not even begin.
    aside: Vec<String>,
    /// Whether the program ended well; of it the exit code alone is to be trusted.
    pub(super) ended_well: bool,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Tally {
    /// Takes one line; gives one for the user when a test of the suite has ended.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        // What is not of `test2json` is of the program, such as a panic of another thread.
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            self.aside.push(line.to_owned());
            return None;
        };
        let Event { action, test, output, elapsed } = event;
        let ending = match action.as_str() {
            "pass" => Ending::Passed,
            "fail" => Ending::Failed,
            "skip" => Ending::Skipped,
            "output" => {
                let output = output.trim_end().to_owned();
                match name(&test) {
                    Some(_) => self.said.entry(test).or_default().push(output),
                    None => self.aside.push(output),
                }
                return None;
            }
            _ => return None,
        };
        // Only tests of the suite are told. Of their subtests those explain a failure that have failed.
        let name = name(&test)?.to_owned();
        if name.contains('/') {
            if ending != Ending::Failed {
                self.said.remove(&test);
            }
            return None;
        }
        let said = self.collect(&test);
        let word = match ending {
            Ending::Passed => {
                self.passed.insert(name.clone());
                "pass"
            }
            Ending::Skipped => {
                self.skipped.insert(name.clone());
                "skip"
            }
            Ending::Failed => {
                self.failed.insert(name.clone(), said);
                "FAIL"
            }
        };
        Some(format!("{word}  {elapsed:>6.1} s  {name}"))
    }

    /// Whether everything that was tested passed.
    pub(crate) fn is_good(&self) -> bool {
        self.ended_well && self.failed.is_empty() && !self.passed.is_empty()
    }

    /// What explains that it is not good.
    pub(crate) fn explanation(&self) -> String {
        let tests = self.failed.iter().map(|(name, said)| format!("--- {name} ---\n{said}"));
        let mut parts: Vec<String> = tests.collect();
        if parts.is_empty() {
            parts.push(last(&self.aside));
        }
        parts.join("\n")
    }

    /// What a test and its subtests said, in order of their names.
    fn collect(&mut self, test: &str) -> String {
        let below = format!("{test}/");
        let of_it = |name: &String| name == test || name.starts_with(&below);
        let names: Vec<String> = self.said.keys().filter(|name| of_it(name)).cloned().collect();
        let lines: Vec<String> = names.iter().filter_map(|name| self.said.remove(name)).flatten().collect();
        last(&lines)
    }
}

/// The name of a test of the suite, which all are subtests of one.
fn name(test: &str) -> Option<&str> {
    test.split_once('/').map(|(_, name)| name)
}

fn last(lines: &[String]) -> String {
    lines[lines.len().saturating_sub(LAST)..].join("\n")
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_good() {
            writeln!(f, "{}\n", self.explanation())?;
        }
        for name in self.failed.keys() {
            writeln!(f, "FAIL  {name}")?;
        }
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed.len(),
            self.failed.len(),
            self.skipped.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Tally, Vec<String>) {
        let mut tally = Tally::default();
        let told = lines.iter().filter_map(|line| tally.take(line)).collect();
        (tally, told)
    }

    #[test]
    fn tests_of_the_suite_are_told_as_they_end() {
        let (mut tally, told) = taken(&[
            r#"{"Action":"run","Test":"TestConformance"}"#,
            r#"{"Action":"run","Test":"TestConformance/Weight"}"#,
            r#"{"Action":"pass","Test":"TestConformance/Weight/even","Elapsed":0.1}"#,
            r#"{"Action":"pass","Test":"TestConformance/Weight","Elapsed":1.25}"#,
            r#"{"Action":"skip","Test":"TestConformance/Mesh","Elapsed":0}"#,
            r#"{"Action":"pass","Test":"TestConformance","Elapsed":2}"#,
        ]);
        assert_eq!(told, ["pass     1.2 s  Weight", "skip     0.0 s  Mesh"]);
        assert!(!tally.is_good(), "not before the program has ended well");
        tally.ended_well = true;
        assert!(tally.is_good());
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_failure_is_explained_by_what_it_and_its_failed_subtests_said() {
        let (tally, told) = taken(&[
            r#"{"Action":"output","Test":"TestConformance/A","Output":"a begins\n"}"#,
            r#"{"Action":"output","Test":"TestConformance/AB","Output":"another\n"}"#,
            r#"{"Action":"output","Test":"TestConformance/A/one","Output":"not so\n"}"#,
            r#"{"Action":"output","Test":"TestConformance/A/two","Output":"all is well\n"}"#,
            r#"{"Action":"fail","Test":"TestConformance/A/one","Elapsed":30}"#,
            r#"{"Action":"pass","Test":"TestConformance/A/two","Elapsed":1}"#,
            r#"{"Action":"fail","Test":"TestConformance/A","Elapsed":30}"#,
        ]);
        assert_eq!(told, ["FAIL    30.0 s  A"]);
        assert_eq!(tally.explanation(), "--- A ---\na begins\nnot so");
    }

    #[test]
    fn a_run_that_does_not_begin_is_explained_by_its_last_words() {
        let (tally, told) = taken(&[
            r#"{"Action":"output","Test":"TestConformance","Output":"no class\n"}"#,
            "panic: out of luck",
            r#"{"Action":"fail","Test":"TestConformance","Elapsed":3}"#,
        ]);
        assert!(told.is_empty());
        assert!(!tally.is_good());
        assert_eq!(tally.explanation(), "no class\npanic: out of luck");
    }
}
