//! Tables: where they lie, and the count of what came of their rows.

use std::{collections::BTreeMap, path::PathBuf};

use operator_routes::Compat;

use crate::{differences, row::Row};

/// Checks every row of a table. Returns those that differ without a reason.
pub(crate) fn run(name: &str, compat: Compat, check: fn(&Row, Compat) -> Result<(), String>) -> Vec<String> {
    let (mut passed, mut failed) = (0, Vec::new());
    let mut on_purpose: BTreeMap<&'static str, usize> = BTreeMap::new();
    for row in rows(name) {
        match (check(&row, compat), differences::reason(&row, compat)) {
            (Ok(()), _) => passed += 1,
            (Err(_), Some(reason)) => *on_purpose.entry(reason).or_default() += 1,
            (Err(difference), None) => failed.push(format!("{} {}: {difference}", row.id(), row.about())),
        }
    }
    let different: usize = on_purpose.values().sum();
    println!("{name} {compat:?}: {passed} passed, {different} differ on purpose, {} failed", failed.len());
    for (reason, count) in &on_purpose {
        println!("    {count} × {reason}");
    }
    assert!(passed > 0, "no row of {name} passed");
    failed
}

fn rows(name: &str) -> Vec<Row> {
    let file = folder().join("emissary").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| Row::new(serde_json::from_str(line).expect("a row is JSON"))).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the folder of other rows comes from the environment by contract"
)]
fn folder() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    std::env::var("SLUICE_ORACLE_DIR").map_or(own, PathBuf::from)
}
