//! The order in which the Mappings of a host are asked.

use operator_routes::Compat;
use proxy_config::model::{Route, SplitId};

use crate::row::Row;

/// Compares the order of a row.
pub(crate) fn check(row: &Row, compat: Compat) -> Result<(), String> {
    let compiler = row.compile(compat);
    let result = compiler.compiled();
    let mut routes: Vec<&Route> = result.config.routes.values().map(|route| &**route).collect();
    routes.sort_by(|a, b| a.rank.cmp(&b.rank));
    for host in row.column("order").as_array().expect("order is a list") {
        let expected = host["mappings"].as_array().expect("mappings is a list");
        let expected: Vec<&str> = expected.iter().filter_map(|name| name.as_str()).collect();
        let members = |route: &Route| {
            let report = result.splits.get(&SplitId::new(route.id.as_str()));
            let arms = report.into_iter().flat_map(|report| &report.served.arms);
            arms.map(|arm| arm.mapping.name.clone()).collect::<Vec<_>>()
        };
        // The members of one group are asked at once, in any order.
        let ours: Vec<&str> = (routes.iter())
            .map(|route| members(route))
            .flat_map(|names| {
                expected.iter().copied().filter(move |name| names.iter().any(|it| **it == **name))
            })
            .collect();
        if ours != expected {
            return Err(format!("{}: ours {ours:?}, theirs {expected:?}", host["domains"]));
        }
    }
    Ok(())
}
