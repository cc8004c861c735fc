//! Objects as Argo Rollouts leaves them when its controller ends: labels, annotations, owners, selectors and status
//! as its versions 1.6 to 1.10 write them, pods running.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use crds::{
    contract::{
        DESIRED_REPLICAS_ANNOTATION, INSTANCE_ID_LABEL, MANAGED_BY_ANNOTATION, POD_TEMPLATE_HASH_LABEL,
        REVISION_ANNOTATION, SCALE_DOWN_DEADLINE_ANNOTATION,
    },
    rollout::CanaryStep,
};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use operator_core::hash;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind};

/// The Rollout, its containers and its base Mapping are called this.
pub const NAME: &str = "shop";
/// The Mapping that Argo makes beside it, which nobody owns.
pub const CANARY_MAPPING: &str = "shop-canary";
/// The field manager of Argo's controller.
const MANAGER: &str = "rollouts-controller";
/// How long pods that are on their way out still have when everything is laid out.
pub const DELAY: TimeDelta = TimeDelta::seconds(75);

const REPLICAS: i64 = 3;
const LIMIT: Duration = Duration::from_secs(90);

/// What Argo was doing when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// At weight 30, in a pause without a duration.
    Paused,
    /// Aborted; the canary's pod waits for the end of `abortScaleDownDelaySeconds`.
    Aborted,
    /// The second version is stable; the pods of the first wait for the end of `scaleDownDelaySeconds`.
    Promoted,
    /// Nothing: the first version, without traffic routing.
    AtRest,
}

/// Which function has named the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes {
    /// Argo Rollouts 1.9 and 1.10.
    Current,
    /// Argo Rollouts up to 1.8.
    Before1_9,
    /// None that anybody knows.
    Foreign,
}

/// Names of the versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Hash of v1.
    pub first: String,
    /// Hash of v2, where there is one.
    pub second: String,
    /// When pods that are on their way out may go.
    pub deadline: DateTime<Utc>,
}

impl State {
    fn routed(self) -> bool {
        match self {
            Self::Paused | Self::Aborted | Self::Promoted => true,
            Self::AtRest => false,
        }
    }

    /// How many pods each version has.
    fn replicas(self) -> [i64; 2] {
        match self {
            // ceil(3 * 30 %)
            Self::Paused | Self::Aborted => [REPLICAS, 1],
            Self::Promoted => [REPLICAS, REPLICAS],
            Self::AtRest => [REPLICAS, 0],
        }
    }

    /// `status.phase`
    #[must_use]
    pub fn phase(self) -> &'static str {
        match self {
            Self::Paused => "Paused",
            Self::Aborted => "Degraded",
            Self::Promoted | Self::AtRest => "Healthy",
        }
    }
}

/// Lays everything out and waits until the pods are available. With an `instance` the Rollout belongs to it, and an
/// operator without one leaves it alone. The Mapping's path is `/` and the name of the namespace.
pub async fn leave(
    cluster: &Cluster,
    state: State,
    hashes: Hashes,
    instance: Option<&str>,
) -> anyhow::Result<Left> {
    let (manifests, version, revision) = match state {
        State::Paused | State::Aborted | State::Promoted => (include_str!("argo/routed.yaml"), "v2", "2"),
        State::AtRest => (include_str!("argo/basic.yaml"), "v1", "1"),
    };
    let manifests = manifests.replace("PATH", cluster.name()).replace("VERSION", version);
    let label = instance.map(|id| format!("{INSTANCE_ID_LABEL}: {id}")).unwrap_or_default();
    cluster.apply(&manifests.replace("LABEL", &label).replace("REVISION", revision)).await?;
    let rollout = cluster.get(Kind::Rollout, NAME).await?.context("the Rollout is gone")?;
    let template = |version: &str| {
        let mut template = rollout.data["spec"]["template"].clone();
        template["spec"]["containers"][0]["image"] = json!(format!("localhost/sluice-demo:{version}"));
        template
    };
    let (first, second) = (hashed(&template("v1"), hashes)?, hashed(&template("v2"), hashes)?);
    let [of_first, of_second] = state.replicas();
    replica_set(cluster, &rollout, template("v1"), &first, "1", of_first).await?;
    if of_second > 0 {
        replica_set(cluster, &rollout, template("v2"), &second, "2", of_second).await?;
    }
    let deadline = now() + DELAY;
    let leaving = match state {
        State::Paused | State::AtRest => None,
        State::Aborted => Some(&second),
        State::Promoted => Some(&first),
    };
    if let Some(hash) = leaving {
        let annotations = json!({SCALE_DOWN_DEADLINE_ANNOTATION: text(deadline)});
        let patch = json!({"metadata": {"annotations": annotations}});
        cluster.merge(Kind::ReplicaSet, &format!("{NAME}-{hash}"), &patch).await?;
    }
    if state.routed() {
        let (stable, canary) = match state {
            State::Paused => (&first, &second),
            State::Aborted | State::AtRest => (&first, &first),
            State::Promoted => (&second, &second),
        };
        point(cluster, "shop-stable", stable).await?;
        point(cluster, "shop-canary", canary).await?;
    }
    if state == State::Paused {
        canary_mapping(cluster).await?;
    }
    let left = Left { first, second, deadline };
    let status = json!({"status": status(state, hashes, &rollout, &left)?});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let rollouts = cluster.dynamic(Kind::Rollout);
    rollouts
        .patch_status(NAME, &parameters, &Patch::Merge(status))
        .await
        .context("failed to write the status")?;
    Ok(left)
}

fn hashed(template: &Value, hashes: Hashes) -> anyhow::Result<String> {
    Ok(match hashes {
        Hashes::Current => hash::pod_template_hash(template, None)?.to_string(),
        Hashes::Before1_9 => hash::legacy_pod_template_hash(template, None)?.to_string(),
        // Of the same letters, and of one more than any function here gives.
        Hashes::Foreign => format!("z{}", hash::pod_template_hash(template, None)?),
    })
}

async fn replica_set(
    cluster: &Cluster,
    rollout: &DynamicObject,
    mut template: Value,
    hash: &str,
    revision: &str,
    replicas: i64,
) -> anyhow::Result<()> {
    template["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL] = json!(hash);
    let name = format!("{NAME}-{hash}");
    let labels = json!({"app": NAME, POD_TEMPLATE_HASH_LABEL: hash});
    let object = serde_json::from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                DESIRED_REPLICAS_ANNOTATION: REPLICAS.to_string(),
                REVISION_ANNOTATION: revision,
            },
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "name": NAME,
                "uid": rollout.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }))?;
    let made = cluster.dynamic(Kind::ReplicaSet).create(&PostParams::default(), &object).await;
    made.with_context(|| format!("failed to make {name}"))?;
    let available = || async {
        let set = cluster.get(Kind::ReplicaSet, &name).await?.with_context(|| format!("{name} is gone"))?;
        Ok((set.data["status"]["availableReplicas"] == replicas).then_some(()))
    };
    cluster.until(&format!("{replicas} pods of {name} are available"), LIMIT, available).await
}

/// A Service as Argo points it at a version.
async fn point(cluster: &Cluster, service: &str, hash: &str) -> anyhow::Result<()> {
    let patch = json!({
        "metadata": {"annotations": {MANAGED_BY_ANNOTATION: NAME}},
        "spec": {"selector": {POD_TEMPLATE_HASH_LABEL: hash}},
    });
    cluster.merge(Kind::Service, service, &patch).await
}

/// A copy of the spec and nothing of the metadata, as Argo makes it.
async fn canary_mapping(cluster: &Cluster) -> anyhow::Result<()> {
    let base = cluster.get(Kind::Mapping, NAME).await?.context("the Mapping is gone")?;
    let mut spec = base.data["spec"].clone();
    spec["service"] = json!("shop-canary:80");
    spec["weight"] = json!(30);
    let object = serde_json::from_value(json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": {"name": CANARY_MAPPING},
        "spec": spec,
    }))?;
    let made = cluster.dynamic(Kind::Mapping).create(&PostParams::default(), &object).await;
    made.map(drop).context("failed to make the canary Mapping")
}

fn status(state: State, hashes: Hashes, rollout: &DynamicObject, left: &Left) -> anyhow::Result<Value> {
    let Left { first, second, .. } = left;
    let then = text(now() - TimeDelta::seconds(40));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": then, "lastUpdateTime": then,
        })
    };
    let canary = &rollout.data["spec"]["strategy"]["canary"];
    let steps: Vec<CanaryStep> = serde_json::from_value(canary["steps"].clone())?;
    let step_hash = hash::step_hash(&steps)?.to_string();
    ensure!(rollout.metadata.generation == Some(1), "the Rollout was changed: {rollout:#?}");
    let weights = |weight: i64, canary: &str, stable: &str| {
        json!({
            "canary": {"weight": weight, "serviceName": "shop-canary", "podTemplateHash": canary},
            "stable": {"weight": 100 - weight, "serviceName": "shop-stable", "podTemplateHash": stable},
        })
    };
    let [of_first, of_second] = state.replicas();
    let all = of_first + of_second;
    let mut status = json!({
        "HPAReplicas": all,
        "availableReplicas": all,
        "readyReplicas": all,
        "replicas": all,
        "updatedReplicas": if state == State::AtRest { of_first } else { of_second },
        "currentPodHash": if state == State::AtRest { first } else { second },
        "currentStepHash": if hashes == Hashes::Foreign { format!("z{step_hash}") } else { step_hash },
        "currentStepIndex": steps.len(),
        "observedGeneration": "1",
        "phase": state.phase(),
        "selector": "app=shop",
        "stableRS": first,
        "canary": {},
        "blueGreen": {},
    });
    let available = condition("Available", "True", "AvailableReason", "Rollout has minimum availability");
    let completed = |truth: &str| condition("Completed", truth, "RolloutCompleted", "RolloutCompleted");
    let unhealthy = condition("Healthy", "False", "RolloutHealthy", "Rollout is not healthy");
    let current = status["currentPodHash"].as_str().unwrap_or_default().to_owned();
    match state {
        State::Paused => {
            status["currentStepIndex"] = json!(1);
            status["controllerPause"] = json!(true);
            status["pauseConditions"] = json!([{"reason": "CanaryPauseStep", "startTime": then}]);
            status["message"] = json!("CanaryPauseStep");
            status["canary"]["weights"] = weights(30, second, first);
            status["conditions"] = json!([
                available,
                unhealthy,
                completed("False"),
                condition("Progressing", "Unknown", "RolloutPaused", "Rollout is paused"),
                condition("Paused", "True", "RolloutPaused", "Rollout is paused"),
            ]);
        }
        State::Aborted => {
            let aborted = "Rollout aborted update to revision 2";
            status["abort"] = json!(true);
            status["abortedAt"] = json!(then);
            status["currentStepIndex"] = json!(0);
            status["message"] = json!(format!("RolloutAborted: {aborted}"));
            status["canary"]["weights"] = weights(0, second, first);
            status["conditions"] = json!([
                available,
                unhealthy,
                completed("False"),
                // Argo leaves it behind.
                condition("Paused", "True", "RolloutPaused", "Rollout is paused"),
                condition("Progressing", "False", "RolloutAborted", aborted),
            ]);
        }
        State::Promoted | State::AtRest => {
            status["stableRS"] = json!(current);
            if state == State::Promoted {
                status["canary"]["weights"] = weights(0, second, second);
            }
            let done = format!("ReplicaSet \"{NAME}-{current}\" has successfully progressed.");
            status["conditions"] = json!([
                completed("True"),
                condition("Paused", "False", "RolloutPaused", "Rollout is paused"),
                condition("Healthy", "True", "RolloutHealthy", "Rollout is healthy"),
                condition("Progressing", "True", "NewReplicaSetAvailable", &done),
                available,
            ]);
        }
    }
    Ok(status)
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time, as the cluster on this machine has it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the tests are a shell: deadlines are the cluster's time")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
