//! `status.canary` and `status.blueGreen`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::analysis::AnalysisPhase;
use crate::go_json;

/// State of a canary.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The analysis of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// The analysis beside the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// Name of the current step's Experiment.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub current_experiment: Option<String>,
    /// The weights as written; absent without traffic routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
    /// Which of the two ping-pong Services is stable.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<PingPongRole>,
    /// State of step plugins.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub step_plugin_statuses: Vec<StepPluginStatus>,
    /// What the guard knows of the canary. Sluice's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardStatus>,
}

/// What a guard knows, as of some seconds ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// The version that is judged.
    #[serde(default)]
    pub pod_hash: String,
    /// What is known of it.
    #[serde(default)]
    pub verdict: GuardVerdict,
    /// The verdict in words, with the counts it rests on.
    #[serde(default)]
    pub message: String,
    /// When it was last looked at, in seconds since 1970.
    #[serde(default)]
    pub at: i64,
    /// The canary's requests that were compared until then.
    #[serde(default)]
    pub canary: GuardCount,
    /// The same of the stable version.
    #[serde(default)]
    pub stable: GuardCount,
    /// The judge, written down.
    #[serde(default)]
    pub judge: String,
    /// It was said what it can find.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foretold: bool,
    /// Since when it holds the promotion, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<i64>,
}

/// What a guard says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum GuardVerdict {
    /// There is not enough evidence for either.
    #[default]
    Continue,
    /// There is evidence that the canary is no worse than allowed.
    Pass,
    /// The canary is worse.
    Fail,
}

/// Requests of one version, and bad ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct GuardCount {
    /// All.
    #[serde(default)]
    pub requests: u64,
    /// Those whose first try was bad.
    #[serde(default)]
    pub bad: u64,
}

/// State of a blue-green Rollout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenStatus {
    /// Hash that the preview Service selects.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub preview_selector: Option<String>,
    /// Hash that the active Service selects.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub active_selector: Option<String>,
    /// The preview was scaled to its full size after the pause.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub scale_up_preview_check_point: bool,
    /// The analysis before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// The analysis after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<AnalysisRunStatusRef>,
}

/// An `AnalysisRun` and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatusRef {
    /// Name of the `AnalysisRun`.
    pub name: String,
    /// Its phase; absent = not started.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub status: Option<AnalysisPhase>,
    /// Its message.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The weights that were written, and whether they are served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWeights {
    /// The canary's part.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub canary: WeightDestination,
    /// The stable version's part.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub stable: WeightDestination,
    /// Parts of an Experiment.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub additional: Vec<WeightDestination>,
    /// Whether every proxy that can carry the route serves these weights; absent = cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// A part of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightDestination {
    /// Percent (or parts of `maxTrafficWeight`).
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub weight: i32,
    /// Service that gets it.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Pod template hash of the pods that get it.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub pod_template_hash: Option<String>,
}

/// One of the two ping-pong Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PingPongRole {
    /// `pingService`.
    Ping,
    /// `pongService`.
    Pong,
}

/// State of one step plugin, as Argo's controller writes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPluginStatus {
    /// Index of the step.
    pub index: i32,
    /// Name of the plugin.
    pub name: String,
    /// `Run`, `Terminate` or `Abort`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// `Running`, `Successful`, `Failed` or `Error`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why it is in that phase.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When its state last changed.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Time until it is called again, as a Go duration.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// How often it was called.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub executions: i32,
    /// The plugin is switched off.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub disabled: bool,
    /// What the plugin remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub status: Option<Value>,
}
