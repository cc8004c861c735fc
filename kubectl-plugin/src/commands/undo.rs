//! `undo`.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::commands::apply;
use crate::commands::set_image::workload;
use crate::failure::Failure;
use crate::patch::undo::{Past, choose};

/// Restores the pod template of an earlier revision; 0 = the one before the newest.
pub async fn run(cluster: &Cluster, name: &str, revision: i64) -> Result<String, Failure> {
    let rollouts = cluster.rollouts();
    let rollout = rollouts.get(name).await.map_err(|error| Failure::on("rollouts", error))?;
    let chosen = choose(history(cluster, &rollout).await?, revision, name)?;
    let target = match workload(&rollout.data) {
        Some((kind, name)) => Target::of_workload(cluster, &kind, name).await?,
        None => Target { api: rollouts, name: name.to_owned(), path: IN_SPEC, object: rollout },
    };
    if chosen.is(target.template()) {
        return Ok(format!("skipped rollback (current template already matches revision {revision})"));
    }
    let patch = Patch::Json::<()>(chosen.restore(target.path));
    let answer = target.api.patch(&target.name, &apply::parameters(), &patch).await;
    answer.map_err(|error| Failure::Restore(revision, Box::new(error.into())))?;
    Ok(format!("rollout '{name}' undo\n"))
}

const IN_SPEC: &[&str] = &["spec", "template"];

/// The object that holds the pod template.
struct Target {
    api: Api<DynamicObject>,
    name: String,
    path: &'static [&'static str],
    object: DynamicObject,
}

impl Target {
    async fn of_workload(cluster: &Cluster, kind: &ApiResource, name: String) -> Result<Self, Failure> {
        let api = cluster.of_kind(kind);
        let object = api.get(&name).await?;
        let path: &[&str] = if kind.kind == "PodTemplate" { &["template"] } else { IN_SPEC };
        Ok(Self { api, name, path, object })
    }

    fn template(&self) -> &Value {
        let found = self.path.iter().try_fold(&self.object.data, |value, key| value.get(key));
        found.unwrap_or(&Value::Null)
    }
}

/// The templates of the ReplicaSets that the Rollout controls.
async fn history(cluster: &Cluster, rollout: &DynamicObject) -> Result<Vec<Past>, Failure> {
    let kind = ApiResource::erase::<k8s_openapi::api::apps::v1::ReplicaSet>(&());
    let with_hash = ListParams::default().labels(crds::contract::POD_TEMPLATE_HASH_LABEL);
    let replica_sets = cluster.of_kind(&kind).list(&with_hash).await?;
    let controlled = replica_sets.items.into_iter().filter(|it| is_controlled(it, rollout));
    Ok(controlled.filter_map(|it| Past::of(&serde_json::to_value(it).unwrap_or_default())).collect())
}

fn is_controlled(replica_set: &DynamicObject, rollout: &DynamicObject) -> bool {
    let Some(uid) = &rollout.metadata.uid else { return false };
    let mut owners = replica_set.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == *uid)
}
