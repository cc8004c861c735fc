//! Rows of the Emissary oracle: inputs with what Emissary made of them.
//!
//! The rows lie in `tests/oracle/emissary`, or in `emissary/` under `SLUICE_ORACLE_DIR` if that is set. What differs
//! on purpose is recognised in `oracle/differences.rs`, with the reason.

#![expect(clippy::print_stdout, clippy::panic, reason = "a test prints its count and fails by panicking")]

#[path = "oracle/differences.rs"]
mod differences;

use std::{collections::BTreeMap, path::PathBuf};

use operator_routes::{
    Compiler, ObjectChange, ObjectName, Settings, compiled::Compiled, object::MappingObject,
};
use proxy_config::model::{Route, SplitId};
use serde_json::Value;

/// One row with the columns that this test reads.
struct Row(Value);

#[test]
fn groups_are_asked_in_the_order_of_emissary() {
    run("precedence_order", differences::of_order, |row, compiled| {
        let mut routes: Vec<&Route> = compiled.config.routes.values().map(|route| &**route).collect();
        routes.sort_by(|a, b| a.rank.cmp(&b.rank));
        for host in row.0["order"].as_array().expect("order is a list") {
            let expected: Vec<&str> = host["mappings"]
                .as_array()
                .expect("mappings is a list")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            // The members of one group are asked at once, in any order.
            let ours: Vec<&str> = (routes.iter())
                .map(|route| members(compiled, route))
                .flat_map(|names| {
                    expected.iter().copied().filter(move |name| names.iter().any(|it| **it == **name))
                })
                .collect();
            if ours != expected {
                return Err(format!("{}: ours {ours:?}, theirs {expected:?}", host["domains"]));
            }
        }
        Ok(())
    });
}

#[test]
fn requests_are_shared_as_in_emissary() {
    run("weights", differences::of_shares, |row, compiled| {
        let first = compiled.config.routes.values().min_by(|a, b| a.rank.cmp(&b.rank));
        let mut ours = BTreeMap::<String, f64>::new();
        if let Some(report) = first.and_then(|route| compiled.splits.get(&SplitId::new(route.id.as_str()))) {
            for arm in &report.served.arms {
                let service = arm.service.as_ref().map_or("", |service| &service.name);
                let name = service.trim_start_matches("svc-").to_owned();
                *ours.entry(name).or_default() += f64::from(arm.share.parts()) / 100.0;
            }
        }
        // Emissary rounds the share of each weightless Mapping to a whole percent; the last one gets the difference.
        let weightless = row.weights().iter().filter(|weight| weight.is_null()).count();
        let tolerance =
            if weightless > 1 { f64::from(u32::try_from(weightless).unwrap_or(0)) } else { 0.005 };
        for (name, share) in row.0["shares"].as_object().expect("shares is an object") {
            let (share, own) =
                (share.as_f64().expect("a share is a number"), ours.get(name).copied().unwrap_or(0.0));
            if (share - own).abs() > tolerance {
                return Err(format!("{name}: ours {own} %, theirs {share} %"));
            }
        }
        Ok(())
    });
}

impl Row {
    fn id(&self) -> &str {
        self.0["id"].as_str().expect("a row has an id")
    }

    fn yaml(&self) -> &str {
        self.0["yaml"].as_str().expect("a row has its input")
    }

    /// The weights as written; only the table `weights` has them.
    fn weights(&self) -> Vec<&Value> {
        let mappings = self.0["mappings"].as_array().into_iter().flatten();
        mappings.filter_map(|mapping| mapping.get(2)).collect()
    }
}

fn run(
    table: &str,
    differs: fn(&str, &[&Value]) -> Option<&'static str>,
    check: fn(&Row, &Compiled) -> Result<(), String>,
) {
    let (mut passed, mut on_purpose, mut skipped, mut failed) = (0, 0, 0, Vec::new());
    for row in rows(table) {
        // Annotations are not read yet.
        if row.yaml().contains("getambassador.io/config") {
            skipped += 1;
            continue;
        }
        let result = check(&row, compile(&row).compiled());
        match (result, differs(row.yaml(), &row.weights())) {
            (Ok(()), _) => passed += 1,
            (Err(_), Some(_)) => on_purpose += 1,
            (Err(difference), None) => failed.push(format!("{}: {difference}", row.id())),
        }
    }
    println!(
        "{table}: {passed} passed, {on_purpose} differ on purpose, {skipped} skipped, {} failed",
        failed.len()
    );
    assert!(passed > 0, "no row of {table} was read");
    assert!(failed.is_empty(), "{table}:\n{}", failed.join("\n"));
}

fn rows(table: &str) -> Vec<Row> {
    let folder = oracle_folder().join("emissary").join(format!("{table}.jsonl"));
    let text =
        std::fs::read_to_string(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    text.lines().map(|line| Row(serde_json::from_str(line).expect("a row is JSON"))).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the folder of other rows comes from the environment by contract"
)]
fn oracle_folder() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    std::env::var("SLUICE_ORACLE_DIR").map_or(own, PathBuf::from)
}

fn compile(row: &Row) -> Compiler {
    let mut compiler = Compiler::new(Settings { ambassador_id: "default".to_owned(), listener_port: 8080 });
    let documents: Vec<Value> = serde_saphyr::from_multiple(row.yaml()).expect("the input is YAML");
    for document in documents.into_iter().filter(|document| document["kind"] == "Mapping") {
        let metadata = &document["metadata"];
        let name = ObjectName::new(
            metadata["namespace"].as_str().unwrap_or("default"),
            metadata["name"].as_str().expect("a Mapping has a name"),
        );
        let mapping = MappingObject {
            resource_version: "1".into(),
            owned_by_rollout: false,
            spec: document["spec"].clone(),
        };
        compiler.apply(ObjectChange::Mapping(name, Some(mapping)));
    }
    compiler.compile();
    compiler
}

/// The names of the Mappings of a route.
fn members<'a>(compiled: &'a Compiled, route: &Route) -> Vec<&'a str> {
    let report = &compiled.splits[&SplitId::new(route.id.as_str())];
    report.served.arms.iter().map(|arm| &*arm.mapping.name).collect()
}
