//! Loads a table and compares every row.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Runs `row` on every row of the table; it answers what differs. Fails if a row differs that is not listed, or if a
/// listed one does not differ.
pub(crate) fn check(table: &str, row: impl Fn(&Value) -> Result<(), String>) {
    let on_purpose = on_purpose(table);
    let path = folder().join(format!("{table}.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut passed, mut different, mut failed) = (0, 0, Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Value = serde_json::from_str(line).unwrap();
        let id = fields["id"].as_str().unwrap();
        let panics = fields["error"].as_str().is_some_and(|error| error.starts_with("panic:"));
        let listed = on_purpose.contains(id) || (panics && on_purpose.contains("*"));
        match (row(&fields), listed) {
            (Ok(()), false) => passed += 1,
            (Err(_), true) => different += 1,
            (Ok(()), true) => failed.push(format!("{id}: listed as different, but is the same")),
            (Err(difference), false) => failed.push(format!("{id}: {difference}")),
        }
    }
    println!("{table}: {passed} passed, {different} different on purpose, {} failed", failed.len());
    assert!(passed > 0, "{} has no rows", path.display());
    assert!(failed.is_empty(), "{table}: {} rows failed\n{}", failed.len(), failed.join("\n"));
}

/// An error text for two values that should be equal.
pub(crate) fn same<T: PartialEq + std::fmt::Display>(what: &str, argos: &T, ours: &T) -> Result<(), String> {
    if argos == ours { Ok(()) } else { Err(format!("{what}\n  Argo's: {argos}\n  ours:   {ours}")) }
}

fn folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its caller where other rows are")]
    let elsewhere = std::env::var("SLUICE_ORACLE_DIR");
    elsewhere.map_or_else(|_| here(), PathBuf::from).join("argo")
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

fn on_purpose(table: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(here().join("different_on_purpose.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.filter_map(|line| line.strip_prefix(table)?.split_whitespace().next());
    rows.map(str::to_owned).collect()
}
