//! Oracle tables: rows of input and output made by running Argo Rollouts on invented inputs.
//!
//! `argo/` beside this file has two thirds of the rows; with `SLUICE_ORACLE_DIR` the tables are read from `argo/`
//! there instead. Rows where Sluice differs on purpose are in `different_on_purpose.txt`, with the reason.
//!
//! A new table is a file in `argo/`, a function from a row to a [`Verdict`] in a module here, and a line below.

mod arithmetic;
mod hash;
mod mapping;
mod measures;
mod spec;
mod status;
mod table;
mod trace;

pub(crate) use table::Verdict;

/// One test a table: its name is that of the file.
macro_rules! tables {
    ($($table:ident: $check:path,)*) => {$(
        #[test]
        fn $table() {
            table::check(stringify!($table), $check);
        }
    )*};
}

tables! {
    controller_trace: trace::controller_trace,
    durations: spec::durations,
    mapping: mapping::mapping,
    metrics_text: measures::metrics_text,
    phase: status::phase,
    pod_template_hash: hash::pod_template_hash,
    progress_timeout: status::progress_timeout,
    replicas_basic: arithmetic::replicas_basic,
    replicas_routed: arithmetic::replicas_routed,
    step_hash: hash::step_hash,
    step_string: spec::step_string,
    validation: spec::validation,
    validation_references: mapping::validation_references,
    weight_in_force: arithmetic::weight_in_force,
}
