//! Oracle tables: rows of input and output made by running Argo Rollouts on invented inputs.
//!
//! `argo/` beside this file has two thirds of the rows; with `SLUICE_ORACLE_DIR` the tables are read from `argo/`
//! there instead. Rows where Sluice differs on purpose are in `different_on_purpose.txt`, with the reason.
//!
//! A new table is a file in `argo/`, a function from a row to a [`Verdict`] in a module here, and a line below.

mod conditions;
mod metrics;
mod runs;
mod table;

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
    analysis_assess: metrics::analysis_assess,
    analysis_run: runs::analysis_run,
    conditions_eval: conditions::conditions_eval,
    metric_validation: metrics::metric_validation,
}
