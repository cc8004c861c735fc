//! Figures of two that were measured in the same way, beside each other.

use serde_json::{Map, Value, json};

/// Names of figures that cost something end with one of these, their unit.
const UNITS: [&str; 4] = ["_ms", "_s", "_mib", "_cores"];

/// What ours costs of what theirs does, for every figure with a unit that both have.
pub(super) fn ratios(ours: &Value, theirs: &Value) -> Map<String, Value> {
    let ratio = |(name, ours): (&String, &Value)| {
        let (ours, theirs) = (ours.as_f64()?, theirs[name].as_f64()?);
        let costs = UNITS.iter().any(|unit| name.ends_with(unit)) && theirs > 0.0;
        costs.then(|| (name.clone(), json!((ours / theirs * 1_000.0).round() / 1_000.0)))
    };
    ours.as_object().into_iter().flatten().filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_figures_with_a_unit_that_both_have_are_compared() {
        let ours = json!({"a_ms": 1.0, "b_mib": 2, "routes": 5, "c_s": 1, "d_ms": 3, "answers": {"200": 1}});
        let theirs = json!({"a_ms": 3.0, "b_mib": 8, "routes": 5, "d_ms": 0, "answers": {"200": 2}});
        let expected = json!({"a_ms": 0.333, "b_mib": 0.25});
        assert_eq!(Value::Object(ratios(&ours, &theirs)), expected);
    }
}
