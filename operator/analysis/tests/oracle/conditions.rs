//! `conditions_eval`: what a measured value means.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use operator_analysis::{condition::judge, expression::Value as Measured};
use serde_json::{Value, json};

use crate::Verdict;

pub(crate) fn conditions_eval(row: &Value) -> Verdict {
    let condition = |column: &str| row[column].as_str().filter(|it| !it.is_empty());
    let now: DateTime<Utc> = "2030-03-04T05:06:07Z".parse().expect("a time");
    let verdict = judge(&measured(row), condition("success_condition"), condition("failure_condition"), now);
    Verdict::equal(&json!([row["phase"], row["error"]]), &json!([verdict.phase.as_str(), verdict.error]))
}

fn measured(row: &Value) -> Measured {
    let result = &row["result"];
    match row["result_type"].as_str() {
        Some("json") => Measured::of_json(result),
        Some("float64" | "float64_pointer") => Measured::Float(number(result)),
        Some("float64_slice") => {
            let items = result.as_array().expect("a list");
            Measured::Floats(Arc::new(items.iter().map(number).collect()))
        }
        Some("float64_pointer_nil" | "float64_slice_nil") => Measured::Nil,
        other => unreachable!("an unknown type of result: {other:?}"),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().expect("a number in words"),
        value => value.as_f64().expect("a number"),
    }
}
