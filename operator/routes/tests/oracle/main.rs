//! Rows of the Emissary oracle: inputs with what Emissary made of them.
//!
//! The rows lie in `tests/oracle/emissary`, or in `emissary/` under `SLUICE_ORACLE_DIR` if that is set. Each row is
//! compiled twice: to the letter (`--ambassador-compat=strict`), where it must come out as in Emissary, and by default,
//! where what changes is counted. What differs on purpose is recognised in `differences.rs`, with the reason.

#![expect(clippy::print_stdout, clippy::panic, reason = "a test prints its count and fails by panicking")]

mod differences;
mod hostglob;
mod order;
mod probes;
mod row;
mod services;
mod table;

use operator_routes::Compat;

/// Tables whose rows say what becomes of requests.
const PROBED: [&str; 10] = [
    "annotation",
    "conformance",
    "fuzz",
    "grouping",
    "hosts",
    "ingress",
    "poison",
    "precedence_order",
    "shared_cluster",
    "weights",
];

#[test]
fn requests_go_where_they_go_in_emissary() {
    none(PROBED.into_iter().flat_map(|name| table::run(name, Compat::Strict, probes::check)));
}

#[test]
fn requests_go_where_they_are_meant_to_by_default() {
    none(PROBED.into_iter().flat_map(|name| table::run(name, Compat::Ideal, probes::check)));
}

#[test]
fn routes_are_asked_in_the_order_of_emissary() {
    let both = [Compat::Strict, Compat::Ideal];
    none(both.into_iter().flat_map(|compat| table::run("precedence_order", compat, order::check)));
}

#[test]
fn services_are_read_as_in_emissary() {
    let both = [Compat::Strict, Compat::Ideal];
    none(both.into_iter().flat_map(|compat| table::run("service_parse", compat, services::check)));
}

#[test]
fn hosts_and_mappings_fit_as_in_emissary() {
    none(table::run("hostglob", Compat::Strict, hostglob::check));
}

#[track_caller]
fn none(failed: impl IntoIterator<Item = String>) {
    let failed: Vec<String> = failed.into_iter().collect();
    assert!(failed.is_empty(), "{} rows differ without a reason:\n{}", failed.len(), failed.join("\n"));
}
