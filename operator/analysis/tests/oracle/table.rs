//! Reads a table, checks every row, and says how many passed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How many failures are shown in full.
const SHOWN: usize = 12;

/// What became of a row.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Ours is the same.
    Passed,
    /// Ours differs, as the text says.
    Failed(String),
}

impl Verdict {
    /// Passed if both are equal.
    pub(crate) fn equal(wanted: &Value, got: &Value) -> Self {
        if wanted == got {
            Self::Passed
        } else {
            Self::Failed(format!("\n  wanted {wanted}\n     got {got}"))
        }
    }
}

/// Checks every row of `argo/<table>.jsonl`.
///
/// Fails if a row differs that is not listed as different on purpose, or if a listed one does not differ.
pub(crate) fn check(table: &str, row: fn(&Value) -> Verdict) {
    let on_purpose = different_on_purpose();
    let (mut passed, mut different, mut failures) = (0, 0, Vec::new());
    for value in rows(table) {
        let id = value["id"].as_str().expect("every row has an id");
        let verdict = catch_unwind(|| row(&value)).unwrap_or_else(|_| Verdict::Failed("panicked".to_owned()));
        match (verdict, on_purpose.get(id)) {
            (Verdict::Passed, None) => passed += 1,
            (Verdict::Failed(_), Some(_)) => different += 1,
            (Verdict::Failed(difference), None) => failures.push(format!("{id}: {difference}")),
            (Verdict::Passed, Some(_)) => {
                failures.push(format!("{id} is listed as different on purpose, but does not differ"));
            }
        }
    }
    let failed = failures.len();
    report(&format!("oracle {table}: {passed} passed, {failed} failed, {different} different on purpose"));
    assert!(passed > 0 || failed > 0, "{table}.jsonl has no row that was compared");
    failures.truncate(SHOWN);
    assert!(failed == 0, "{failed} rows of {table} failed, the first of them:\n{}", failures.join("\n"));
}

/// Writes past the test harness, which shows what a test prints only if it fails.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn rows(table: &str) -> Vec<Value> {
    let path = folder().join("argo").join(format!("{table}.jsonl"));
    assert!(path.is_file(), "{} is missing", path.display());
    let text = std::fs::read_to_string(&path).expect("a table is readable text");
    let rows = text.lines().filter(|line| !line.trim().is_empty());
    rows.map(|line| serde_json::from_str(line).expect("every line of a table is JSON")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test target has no command line of its own")]
fn folder() -> PathBuf {
    match std::env::var("SLUICE_ORACLE_DIR") {
        Ok(folder) => PathBuf::from(folder),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle"),
    }
}

/// Reasons by row id. A line is `id: reason`; lines that begin with `#` are comments.
fn different_on_purpose() -> BTreeMap<String, String> {
    let lines = include_str!("different_on_purpose.txt").lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (id, reason) = line.split_once(": ").expect("a line is `id: reason`");
            (id.to_owned(), reason.to_owned())
        })
        .collect()
}
