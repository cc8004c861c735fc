//! Pairs of globs, and whether Emissary lets them belong together.

use operator_routes::{Compat, hostname::compatible};

use crate::row::Row;

/// Compares one pair.
pub(crate) fn check(row: &Row, _: Compat) -> Result<(), String> {
    let glob = |name: &str| row.column(name).as_str().unwrap_or_default().to_owned();
    let (a, b) = (glob("a"), glob("b"));
    let ours = compatible(&a, &b);
    match row.column("compatible").as_bool() {
        Some(theirs) if theirs == ours => Ok(()),
        theirs => Err(format!("`{a}` and `{b}`: ours {ours}, theirs {theirs:?}")),
    }
}
