//! `Rollout.status`.

pub mod canary;
pub mod duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::canary::{
    AnalysisRunStatusRef, BlueGreenStatus, CanaryStatus, GuardCount, GuardStatus, GuardVerdict, PingPongRole,
    StepPluginStatus, TrafficWeights, WeightDestination,
};
pub use self::duration::{CompletionStatus, RolloutDuration};
use crate::go_json;

/// What the operator knows of a Rollout. Also read by kubectl plugins, Argo CD and HPA.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The update was aborted. Also written by users (through the kubectl plugin).
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub abort: bool,
    /// When it was aborted.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<DateTime<Utc>>,
    /// Why the Rollout waits. Users clear it to resume.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub pause_conditions: Vec<PauseCondition>,
    /// The operator added the pause. True without pause conditions means that the user resumed.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub controller_pause: bool,
    /// Hash of the spec's pod template.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub current_pod_hash: Option<String>,
    /// Hash of the steps; another value starts them anew.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub current_step_hash: Option<String>,
    /// The step in force; the number of steps = all done; absent without steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Pod template hash of the version that was last promoted; absent = none yet.
    #[serde(
        rename = "stableRS",
        default,
        deserialize_with = "go_json::non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub stable_rs: Option<String>,
    /// Pods of all ReplicaSets that have not ended.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub replicas: i32,
    /// Pods of the newest template.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub ready_replicas: i32,
    /// Available pods; with blue-green, of the active ReplicaSet.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub available_replicas: i32,
    /// Pods that HPA counts.
    #[serde(
        rename = "HPAReplicas",
        default,
        deserialize_with = "go_json::null_is_zero",
        skip_serializing_if = "go_json::is_zero"
    )]
    pub hpa_replicas: i32,
    /// Selector of the pods that HPA counts, as text.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// How often the hash collided; part of the next hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Generation that this status is about, as decimal text (tools rely on that).
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<String>,
    /// Generation of the workload that `workloadRef` names, as decimal text.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub workload_observed_generation: Option<String>,
    /// Conditions, one a type.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RolloutCondition>,
    /// Summary in one word.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// Summary in one line.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The user wants the rest of the steps skipped. Written by the kubectl plugin.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub promote_full: bool,
    /// The `spec.restartAt` that was carried out.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<DateTime<Utc>>,
    /// State of a canary.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub canary: CanaryStatus,
    /// State of a blue-green Rollout.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub blue_green: BlueGreenStatus,
    /// The AWS load balancer in use; kept as another controller wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub alb: Option<Value>,
    /// The AWS load balancers in use; kept as another controller wrote them.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::any_objects")]
    pub albs: Vec<Value>,
    /// How long the update takes or took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<RolloutDuration>,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum RolloutPhase {
    /// All pods are of the wanted version and available.
    Healthy,
    /// Something is wrong and needs the user.
    Degraded,
    /// On the way.
    Progressing,
    /// Waits, for a time or for the user.
    Paused,
}

impl RolloutPhase {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
        }
    }
}

/// Why a Rollout waits, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    /// Why.
    pub reason: PauseReason,
    /// Since when.
    #[serde(serialize_with = "go_json::seconds")]
    pub start_time: DateTime<Utc>,
}

/// Why a Rollout waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PauseReason {
    /// A pause step.
    CanaryPauseStep,
    /// Blue-green before promotion.
    BlueGreenPause,
    /// An analysis ended without a verdict.
    InconclusiveAnalysisRun,
    /// An experiment ended without a verdict.
    InconclusiveExperiment,
}

impl PauseReason {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CanaryPauseStep => "CanaryPauseStep",
            Self::BlueGreenPause => "BlueGreenPause",
            Self::InconclusiveAnalysisRun => "InconclusiveAnalysisRun",
            Self::InconclusiveExperiment => "InconclusiveExperiment",
        }
    }
}

/// A condition of a Rollout. Types and reasons are open sets, because other controllers' words may be in a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCondition {
    /// `Progressing`, `Available`, `Completed`, `Healthy`, `Paused`, `ReplicaFailure` or `InvalidSpec`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When anything in the condition last changed.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<DateTime<Utc>>,
    /// When the status last changed.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<DateTime<Utc>>,
    /// Why, in one word.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub message: String,
}
