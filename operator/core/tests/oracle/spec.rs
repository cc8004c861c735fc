//! `validation`, `durations`, `step_string`: what users write.

use crds::rollout::{CanaryStep, Rollout};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use operator_core::spec::{Spec, unsupported};
use operator_core::{duration, step_text::step_text};
use serde_json::{Value, json};

use crate::Verdict;

/// The message of the condition `InvalidSpec`.
pub(crate) fn validation(row: &Value) -> Verdict {
    let message = row["condition_message"].as_str().unwrap_or_default();
    if message.contains("invalid: spec.template.")
        && !message.contains("`selector` does not match template `labels`")
    {
        return Verdict::Skipped(
            "errors inside the pod template are the API server's, when the ReplicaSet is created",
        );
    }
    let blue_green = &row["rollout"]["spec"]["strategy"]["blueGreen"];
    if blue_green.is_object() && blue_green["activeService"].is_null() {
        return Verdict::Skipped("the API server refuses it: a required field is missing");
    }
    let rollout: Rollout = match serde_json::from_value(object(&row["rollout"])) {
        Ok(rollout) => rollout,
        Err(error) => return Verdict::Failed(format!("the row is no Rollout: {error}")),
    };
    let wanted = row["errors"].as_array().filter(|errors| !errors.is_empty()).map(|_| message.to_owned());
    let got = Spec::parse(&rollout).err().map(|invalid| invalid.message("shop"));
    match wanted == got {
        true => Verdict::Passed,
        false if unsupported::check(&rollout).is_err() => {
            Verdict::Skipped("it uses a field of a later issue")
        }
        false => Verdict::Failed(format!("wanted {wanted:?}, got {got:?}")),
    }
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
