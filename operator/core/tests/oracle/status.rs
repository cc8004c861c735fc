//! `phase`, `progress_timeout`: what a status says of a Rollout.

use chrono::{DateTime, Utc};
use crds::rollout::{Rollout, RolloutStatus};
use operator_core::{phase, progress};
use serde_json::{Value, json};

use crate::Verdict;

/// Phase and message, and two conditions.
pub(crate) fn phase(row: &Value) -> Verdict {
    let mut rollout = rollout(&row["rollout"]);
    if row["template_resolved_from_ref"] == json!(true) {
        rollout.spec.workload_ref = Some(crds::rollout::WorkloadRef::default());
    }
    let status = rollout.status.clone().unwrap_or_default();
    let (calculated, calculated_message) = phase::calculate(&rollout.spec, &status);
    let (shown, shown_message) = phase::of(&rollout);
    let promoted = status.stable_rs == status.current_pod_hash;
    Verdict::equal(
        &json!([
            row["calc_phase"],
            row["calc_message"],
            row["phase"],
            row["message"],
            row["fully_promoted"],
            row["unpausing"],
            row["healthy_condition"],
            row["completed_condition"],
        ]),
        &json!([
            calculated.as_str(),
            calculated_message,
            shown.as_str(),
            shown_message,
            promoted,
            phase::is_unpausing(&status),
            progress::is_healthy(&rollout, &status),
            progress::is_completed(&status),
        ]),
    )
}

/// Progress and its deadline.
pub(crate) fn progress_timeout(row: &Value) -> Verdict {
    let rollout = rollout(&row["rollout"]);
    let before = rollout.status.clone().unwrap_or_default();
    let after: RolloutStatus = serde_json::from_value(row["new_status"].clone()).expect("a status");
    let now: DateTime<Utc> = serde_json::from_value(row["now"].clone()).expect("a time");
    Verdict::equal(
        &json!([row["progressing"], row["healthy"], row["completed"], row["timed_out"]]),
        &json!([
            progress::has_progressed(&rollout, &before, &after),
            progress::is_healthy(&rollout, &after),
            progress::is_completed(&after),
            progress::has_timed_out(&rollout, &after, now),
        ]),
    )
}

/// The rows leave out what our types require of every Kubernetes object.
fn rollout(row: &Value) -> Rollout {
    let mut object = row.clone();
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!("Rollout");
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    serde_json::from_value(object).expect("a Rollout")
}
