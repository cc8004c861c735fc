//! The commands: each fetches what it needs, lets a pure function decide, applies the decision and answers with one
//! line. Only the watching ones print by themselves.

pub mod apply;
pub mod change;
pub mod create;
pub mod explain;
pub mod get;
pub mod lint;
pub mod list;
pub mod list_experiments;
mod measure;
pub mod plan;
pub mod promote;
pub mod restart;
pub mod routes;
pub mod set_image;
pub mod status;
pub mod undo;
pub mod version;

use crds::Rollout;
use kube::api::DynamicObject;
use kube::runtime::watcher;

use crate::cluster::Cluster;
use crate::failure::Failure;

/// Fetches a Rollout and reads it.
async fn rollout(cluster: &Cluster, name: &str) -> Result<Rollout, Failure> {
    let object = cluster.rollouts().get(name).await.map_err(|error| Failure::on("rollouts", error))?;
    read(object)
}

/// Reads an object as a Rollout.
fn read(object: DynamicObject) -> Result<Rollout, Failure> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let unreadable = |source| Failure::Unreadable { kind: "rollout", name: name.clone(), source };
    serde_json::to_value(object).and_then(serde_json::from_value).map_err(unreadable)
}

/// What to say about a watch that failed and is being tried again; nothing if it had only grown too old.
fn watch_problem(error: &watcher::Error) -> Option<String> {
    if matches!(error, watcher::Error::WatchError(status) if status.code == 410) {
        return None;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(format!("Warning: failed to watch, trying again: {cause}"))
}
