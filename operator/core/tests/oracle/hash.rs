//! `pod_template_hash` and `step_hash`.

use crds::rollout::CanaryStep;
use operator_core::hash::{
    HashError, legacy_pod_template_hash, pod_template_hash as hash, pod_template_json,
    step_hash as hash_of_steps, step_json,
};
use serde_json::{Value, json};

use crate::Verdict;

/// The hash of what the API server hands out, of its canonical form, and of what the user wrote.
pub(crate) fn pod_template_hash(row: &Value) -> Verdict {
    let collision_count = row["collision_count"].as_i64().and_then(|count| i32::try_from(count).ok());
    let read = |template: &Value| -> Result<Value, HashError> {
        Ok(json!([
            pod_template_json(template)?,
            hash(template, collision_count)?,
            legacy_pod_template_hash(template, collision_count)?,
        ]))
    };
    let written = yaml(&row["yaml"]);
    for template in [&row["object"], &row["template"], &written] {
        let got = read(template).unwrap_or_else(|error| json!(error.to_string()));
        let verdict = Verdict::equal(&json!([row["template_json"], row["hash"], row["hash_legacy"]]), &got);
        if !matches!(verdict, Verdict::Passed) {
            return verdict;
        }
    }
    Verdict::Passed
}

/// The hash of the steps as they are stored, and as the user wrote them.
pub(crate) fn step_hash(row: &Value) -> Verdict {
    let written = yaml(&row["steps_yaml"]);
    for steps in [&row["steps"], &written["steps"]] {
        let steps: Option<Vec<CanaryStep>> = match serde_json::from_value(steps.clone()) {
            Ok(steps) => steps,
            Err(error) => return Verdict::Failed(format!("the steps cannot be read: {error}")),
        };
        let steps = steps.unwrap_or_default();
        let got = json!([step_json(&steps).ok(), hash_of_steps(&steps).ok()]);
        let verdict = Verdict::equal(&json!([row["steps_json"], row["hash"]]), &got);
        if !matches!(verdict, Verdict::Passed) {
            return verdict;
        }
    }
    Verdict::Passed
}

/// Kubernetes reads YAML 1.1, where `010` is octal.
fn yaml(column: &Value) -> Value {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let text = column.as_str().unwrap_or_default();
    serde_saphyr::from_str_with_options(text, options).expect("the tables hold readable YAML")
}
