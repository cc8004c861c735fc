//! `analysis_assess`, `metric_validation`: the verdict on a metric, and what it may ask for.

use crds::analysis::{AnalysisPhase, Measurement, Metric, MetricResult};
use operator_analysis::{assess, validate};
use serde_json::{Value, json};

use crate::Verdict;

pub(crate) fn analysis_assess(row: &Value) -> Verdict {
    let metric: Metric = read(&row["metric"]);
    let number =
        |column: &str| i32::try_from(row[column].as_i64().expect("a number")).expect("a small number");
    let phases: Vec<AnalysisPhase> = read(&row["measurements"]);
    let measurements =
        phases.into_iter().map(|it| Measurement { phase: Some(it), ..Measurement::default() }).collect();
    let result = MetricResult {
        name: metric.name.clone(),
        phase: serde_json::from_value(row["previous_phase"].clone()).ok(),
        measurements,
        count: number("count"),
        successful: number("successful"),
        failed: number("failed"),
        inconclusive: number("inconclusive"),
        error: number("error"),
        consecutive_error: number("consecutive_error"),
        consecutive_success: number("consecutive_success"),
        ..MetricResult::default()
    };
    let terminating = row["terminating"].as_bool().expect("a flag");
    let phase = assess::phase(&metric, &result, terminating);
    let (limit, why) = match assess::exceeded(&metric, &result) {
        Some((phase, why)) => (phase.as_str(), why),
        None => ("", String::new()),
    };
    Verdict::equal(
        &json!([row["effective_count"], row["phase"], row["limit_phase"], row["limit_message"]]),
        &json!([assess::effective_count(&metric), phase.as_str(), limit, why]),
    )
}

pub(crate) fn metric_validation(row: &Value) -> Verdict {
    let metrics: Vec<Metric> = read(&row["metrics"]);
    Verdict::equal(&row["error"], &json!(validate::metrics(&metrics).err()))
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("a row of the table can be read")
}
