//! Rows whose output is what a command sends to the API server. The whole command runs, against a server of its own.

use chrono::{DateTime, Utc};
use kubectl_sluice::cluster::Cluster;
use kubectl_sluice::commands::{change, promote, restart, set_image, undo};
use kubectl_sluice::failure::Failure;
use kubectl_sluice::patch::promote::Promotion;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, Write};
use crate::table::same;

pub(crate) fn commands(row: &Value) -> Result<(), String> {
    let server = ApiServer {
        rollout: row["exists"].as_bool().unwrap().then(|| row["rollout"].clone()),
        replica_sets: Vec::new(),
        status_subresource: row["status_subresource"].as_bool().unwrap(),
    };
    let now: DateTime<Utc> = row["now"].as_str().unwrap().parse().unwrap();
    let (result, writes) = run(server, async |cluster: Cluster| match row["command"].as_str().unwrap() {
        "promote" => promote::run(&cluster, "demo", Promotion::Next).await,
        "promote --full" => promote::run(&cluster, "demo", Promotion::Full).await,
        "promote --skip-current-step" => promote::run(&cluster, "demo", Promotion::SkipCurrentStep).await,
        "promote --skip-all-steps" => promote::run(&cluster, "demo", Promotion::SkipAllSteps).await,
        "abort" => change::abort(&cluster, "demo").await,
        "retry" => change::retry_rollout(&cluster, "demo").await,
        "restart" => restart::run(&cluster, "demo", None, now).await,
        other => panic!("no command {other:?}"),
    });
    same_error(row, &result)?;
    same_writes(row, &writes)
}

pub(crate) fn set_image_and_undo(row: &Value) -> Result<(), String> {
    let server = ApiServer {
        rollout: Some(row["rollout"].clone()),
        replica_sets: row["replica_sets"].as_array().unwrap().iter().map(replica_set).collect(),
        status_subresource: true,
    };
    let words: Vec<_> = row["command"].as_str().unwrap().split(' ').collect();
    let (result, writes) = run(server, async |cluster: Cluster| match words[..] {
        ["set", "image", name, image] => set_image::run(&cluster, name, &[image.parse().unwrap()]).await,
        ["undo", name, revision] => {
            let revision = revision.strip_prefix("--to-revision=").unwrap().parse().unwrap();
            undo::run(&cluster, name, revision).await
        }
        _ => panic!("no command {words:?}"),
    });
    same_error(row, &result)?;
    // The rows of `set image` hold no output.
    if let (Some(argos), Ok(ours)) = (row["output"].as_str(), &result) {
        same("output", &argos.to_owned(), ours)?;
    }
    same_writes(row, &writes)
}

type Outcome = Result<String, Failure>;

fn run(server: ApiServer, command: impl AsyncFnOnce(Cluster) -> Outcome) -> (Outcome, Vec<Write>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, writes) = server.start();
        let result = command(Cluster::new(client, "ns".to_owned())).await;
        let writes = writes.lock().unwrap().clone();
        (result, writes)
    })
}

fn same_error(row: &Value, result: &Outcome) -> Result<(), String> {
    let ours = result.as_ref().err().map_or(Value::Null, |failure| Value::from(failure.report()));
    same("error", &row["error"], &ours)
}

fn same_writes(row: &Value, ours: &[Write]) -> Result<(), String> {
    let argos = row["patches"].as_array().unwrap();
    same("number of writes", &argos.len(), &ours.len())?;
    for (argos, ours) in argos.iter().zip(ours) {
        let field = |name: &str| argos[name].as_str().unwrap().to_owned();
        same("subresource", &field("subresource"), &ours.subresource)?;
        same("type", &field("type"), &ours.kind)?;
        match ours.kind.as_str() {
            "application/merge-patch+json" => same("body", &field("body"), &ours.body)?,
            // Whole objects and templates: the order of keys says nothing.
            _ => same("body", &written(&field("body")), &written(&ours.body))?,
        }
    }
    Ok(())
}

/// What the API server takes of a body. It ignores `status` in a PUT of an object with a status subresource; Go
/// programs always write one.
fn written(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap();
    if let Some(object) = body.as_object_mut() {
        object.remove("status");
    }
    body
}

fn replica_set(short: &Value) -> Value {
    let uid = if short["owned"].as_bool().unwrap() { "u-1" } else { "u-other" };
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": short["name"], "namespace": "ns",
            "labels": short["template"]["metadata"]["labels"],
            "annotations": {"rollout.argoproj.io/revision": short["revision"].to_string()},
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "demo", "uid": uid,
                "controller": true,
            }],
        },
        "spec": {"template": short["template"]},
    })
}
