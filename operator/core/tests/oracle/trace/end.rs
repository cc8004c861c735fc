//! The status at the end of a story.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// What is compared of a status: of times, the number of the act in which they lie. `acts` tells when each act began.
pub(crate) fn of(status: &Value, acts: &[DateTime<Utc>]) -> Value {
    let act = |time: &Value| {
        let time = serde_json::from_value::<DateTime<Utc>>(time.clone()).ok();
        time.map(|time| acts.iter().filter(|began| **began <= time).count())
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let conditions: BTreeMap<String, Value> = list(&status["conditions"])
        .iter()
        .map(|it| {
            let kind = it["type"].as_str().unwrap_or_default().to_owned();
            (kind, json!([it["status"], it["reason"], it["message"]]))
        })
        .collect();
    let mut weights = status["canary"]["weights"].clone();
    if let Some(weights) = weights.as_object_mut() {
        weights.remove("verified");
    }
    let reasons: Vec<Value> =
        list(&status["pauseConditions"]).iter().map(|it| it["reason"].clone()).collect();
    json!({
        "phase": status["phase"],
        "message": status["message"],
        "conditions": conditions,
        "stableRS": status["stableRS"],
        "currentPodHash": status["currentPodHash"],
        "currentStepHash": status["currentStepHash"],
        "currentStepIndex": status["currentStepIndex"],
        "abort": status["abort"],
        "controllerPause": status["controllerPause"],
        "pauseConditions": reasons,
        "stepAnalysis": run(&status["canary"]["currentStepAnalysisRunStatus"]),
        "backgroundAnalysis": run(&status["canary"]["currentBackgroundAnalysisRunStatus"]),
        "weights": weights,
        "completionStatus": status["duration"]["completionStatus"],
        "duration": fields(&status["duration"]),
        "rolloutStartedAt": act(&status["duration"]["rolloutStartedAt"]),
        "finishedAt": act(&status["duration"]["finishedAt"]),
        "aborted": status["abortedAt"].is_string(),
        "observedGeneration": status["observedGeneration"],
        "replicas": status["replicas"],
        "updatedReplicas": status["updatedReplicas"],
        "readyReplicas": status["readyReplicas"],
        "availableReplicas": status["availableReplicas"],
        "HPAReplicas": status["HPAReplicas"],
        "selector": status["selector"],
    })
}

/// What a status says of an AnalysisRun. For one that has not begun Argo writes an empty word.
fn run(noted: &Value) -> Value {
    let status = noted["status"].as_str().filter(|word| !word.is_empty());
    json!([noted["name"], status, noted["message"]])
}

/// The names of the fields of an object.
fn fields(object: &Value) -> Vec<&String> {
    object.as_object().into_iter().flat_map(|fields| fields.keys()).collect()
}
