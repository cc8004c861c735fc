//! Where Sluice differs from Emissary on purpose, recognised by the input.

use serde_json::Value;

/// For the table `precedence_order`.
pub(crate) fn of_order(yaml: &str, _weights: &[&Value]) -> Option<&'static str> {
    if mixes_prefix_kinds(yaml) {
        return Some(
            "Mappings that read one prefix differently are never members of one group; Emissary lets some pass",
        );
    }
    let upper = |line: &str| line.starts_with("    ") && line.trim_start().starts_with("X-");
    yaml.lines().any(upper).then_some(
        "header names are compared without regard to case; Emissary uses their text, upper case last, to break ties",
    )
}

/// For the table `weights`.
pub(crate) fn of_shares(_yaml: &str, weights: &[&Value]) -> Option<&'static str> {
    let numbers: Vec<f64> = weights.iter().filter_map(|weight| weight.as_f64()).collect();
    if numbers.iter().any(|weight| *weight > 100.0) {
        return Some("a weight above 100 counts as 100; Emissary gives its Mapping nothing");
    }
    if numbers.iter().any(|weight| weight.fract() != 0.0) {
        return Some("a fraction of a percent counts as written; Emissary refuses the Mapping");
    }
    if numbers.len() == weights.len() && numbers.iter().sum::<f64>() < 100.0 {
        return Some("weights that leave a remainder to nobody are scaled up; Emissary answers it with 404");
    }
    None
}

/// Whether two Mappings have one prefix and differ in `prefix_exact` or `prefix_regex`.
fn mixes_prefix_kinds(yaml: &str) -> bool {
    let line = |document: &str, start: &str| {
        document.lines().find(|line| line.trim_start().starts_with(start)).map(str::to_owned)
    };
    let kind = |document: &str| (line(document, "prefix_exact:"), line(document, "prefix_regex:"));
    let documents: Vec<&str> = yaml.split("\n---\n").collect();
    documents
        .iter()
        .any(|a| documents.iter().any(|b| line(a, "prefix:") == line(b, "prefix:") && kind(a) != kind(b)))
}
