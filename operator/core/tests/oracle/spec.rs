//! `validation`, `durations`, `step_string`: what users write.

use crds::rollout::{CanaryStep, Rollout};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use operator_core::spec::validate::validate;
use operator_core::spec::{Spec, unsupported};
use operator_core::{duration, step_text::step_text};
use serde_json::{Value, json};

use crate::Verdict;

/// The message of the condition `InvalidSpec`.
pub(crate) fn validation(row: &Value) -> Verdict {
    let rollout: Rollout = match serde_json::from_value(object(&row["rollout"])) {
        Ok(rollout) => rollout,
        Err(error) => return Verdict::Failed(format!("the row is no Rollout: {error}")),
    };
    let message = row["condition_message"].as_str().unwrap_or_default();
    let refuses_a_route = message.contains("Route requires TrafficRouting");
    if refuses_a_route
        && !row["rollout"]["spec"]["strategy"]["canary"]["trafficRouting"]["ambassador"].is_null()
    {
        return Verdict::Skipped("header and mirror routes of Mappings are served here");
    }
    // A spec with a field that is not acted on is refused in words of ours, after Argo's own.
    let refused = match unsupported::check(&rollout) {
        Ok(()) => Spec::parse(&rollout).err(),
        Err(_) => validate(&rollout).err(),
    };
    let wanted = row["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    let wanted = if wanted { row["condition_message"].clone() } else { Value::Null };
    Verdict::equal(&wanted, &json!(refused.map(|invalid| invalid.message("shop"))))
}

/// Pauses and Go durations.
pub(crate) fn durations(row: &Value) -> Verdict {
    match row["kind"].as_str() {
        Some("pause") if row["value"].is_null() => {
            Verdict::Skipped("an absent duration is a pause without end")
        }
        Some("pause") => match serde_json::from_value::<IntOrString>(row["value"].clone()) {
            Ok(written) => {
                let seconds = match duration::pause(&written) {
                    Ok(time) => time.num_seconds(),
                    Err(seconds) => seconds.into(),
                };
                Verdict::equal(&row["seconds"], &json!(seconds))
            }
            Err(error) => Verdict::Failed(error.to_string()),
        },
        Some("duration_string") => match duration::parse(row["value"].as_str().unwrap_or_default()) {
            Ok(time) => {
                // Compared in nanoseconds: the table's seconds are floating-point numbers.
                #[expect(clippy::cast_possible_truncation, reason = "the range of a Go duration fits")]
                let wanted = row["seconds"].as_f64().map(|seconds| (seconds * 1e6).round() as i64);
                Verdict::equal(&json!(wanted), &json!(time.num_microseconds()))
            }
            Err(error) => Verdict::equal(&row["error"], &json!(error.to_string())),
        },
        _ => Verdict::Skipped("JSON that the API server refuses"),
    }
}

/// Texts of steps.
pub(crate) fn step_string(row: &Value) -> Verdict {
    match serde_json::from_value::<CanaryStep>(row["step"].clone()) {
        Ok(step) => Verdict::equal(&row["text"], &json!(step_text(&step))),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// The rows leave out what our types require of every Kubernetes object.
fn object(row: &Value) -> Value {
    let mut object = row.clone();
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!("Rollout");
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    object
}
