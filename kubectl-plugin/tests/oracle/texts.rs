//! Rows whose output is text for people.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Pod;
use kubectl_sluice::view::rollout::render;
use kubectl_sluice::view::text::Paint;
use kubectl_sluice::view::{Family, pod_status};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::table::same;

pub(crate) fn get_rollout(row: &Value) -> Result<(), String> {
    let family = Family {
        rollout: read(&row["rollout"]),
        replica_sets: read_list(&row["replica_sets"]),
        pods: read_list(&row["pods"]),
        analysis_runs: read_list(&row["analysis_runs"]),
        experiments: read_list(&row["experiments"]),
    };
    let now: DateTime<Utc> = read(&row["now"]);
    same("text", &read::<String>(&row["text"]), &render(&family, now, Paint::Plain))
}

pub(crate) fn pod_status(row: &Value) -> Result<(), String> {
    let ours = pod_status::of(&read::<Pod>(&row["pod"]));
    same("status", &read::<String>(&row["status"]), &ours.status.word)?;
    same("icon", &read::<String>(&row["icon"]), &ours.status.icon.sign().to_owned())?;
    same("ready", &read::<String>(&row["ready"]), &ours.ready)?;
    same("restarts", &read::<i32>(&row["restarts"]), &ours.restarts)
}

fn read_list<T: DeserializeOwned>(values: &Value) -> Vec<T> {
    values.as_array().into_iter().flatten().map(read).collect()
}

/// Go writes `null` for an absent time, as the API server never does.
fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}
