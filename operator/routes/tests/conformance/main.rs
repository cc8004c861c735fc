//! Emissary's behaviour case by case: what an installation moves to Sluice for, and what of it is left out.
//!
//! The cases lie in `cases/*.yaml`, a list of rows each. A row is compiled, its requests are answered twice, by
//! [`operator_routes::explain`] and by the matching of the proxies (`proxy-core`), and both must say what the row says. Cases
//! that need a socket, a clock or a cluster name the tests that hold them.
//!
//! | file | what its numbers count |
//! |---|---|
//! | `cases/*.yaml` | the cases of Emissary's own tests and documentation, one row each |
//! | `odd_inputs.yaml` | inputs with which Emissary does something odd |
//! | `complaints.yaml` | what its users have complained about most |

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod ask;
mod held;
mod row;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use self::row::Row;

/// How many cases there are of each list.
const CASES: u32 = 174;
const ODD_INPUTS: u32 = 26;
const COMPLAINTS: u32 = 30;

#[test]
fn requests_are_answered_as_the_cases_say() {
    let files = fs::read_dir(folder().join("cases")).expect("there are cases");
    let files = files.map(|file| file.expect("a file").path());
    all_hold(files.flat_map(|file| read(&file)), CASES);
}

#[test]
fn odd_inputs_come_out_as_their_rows_say() {
    all_hold(read(&folder().join("odd_inputs.yaml")), ODD_INPUTS);
}

#[test]
fn complaints_are_answered() {
    all_hold(read(&folder().join("complaints.yaml")), COMPLAINTS);
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn read(file: &Path) -> Vec<Row> {
    let text = fs::read_to_string(file).expect("a file of rows");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every number up to `count` has its row, and every row holds.
#[track_caller]
fn all_hold(rows: impl IntoIterator<Item = Row>, count: u32) {
    let mut by_number: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_number.entry(row.case).or_default().push(row);
    }
    let numbers: Vec<u32> = by_number.keys().copied().collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "each case has a row");
    let failed: Vec<String> = by_number.values().flatten().flat_map(Row::failures).collect();
    assert!(failed.is_empty(), "{} failures:\n{}", failed.len(), failed.join("\n"));
}
