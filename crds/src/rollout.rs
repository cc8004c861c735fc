//! `Rollout`: a Deployment with a strategy. Field meanings: Argo Rollouts, API `argoproj.io/v1alpha1`.

pub mod analysis;
pub mod blue_green;
pub mod canary;
pub mod experiment;
pub mod guard;
pub mod metadata;
pub mod own_field;
pub mod status;
pub mod step;
pub mod template;
pub mod traffic_routing;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::analysis::{
    AnalysisRunArgument, AnalysisRunMetadata, AnalysisTemplateRef, ArgumentValueFrom, BackgroundAnalysis,
    RolloutAnalysis,
};
pub use self::blue_green::BlueGreenStrategy;
pub use self::canary::{CanaryStrategy, PingPong, ReplicaProgressThreshold, ThresholdKind};
pub use self::experiment::{ExperimentAnalysisTemplateRef, ExperimentStep, ExperimentStepTemplate, SpecRef};
pub use self::guard::{ErrorRateGuard, Guard, GuardNoData, GuardPromotion, LatencyGuard};
pub use self::metadata::{AntiAffinity, PodMetadata};
pub use self::own_field::OwnField;
pub use self::status::{
    AnalysisRunStatusRef, BlueGreenStatus, CanaryStatus, PauseCondition, PauseReason, RolloutCondition,
    RolloutPhase, RolloutStatus, TrafficWeights, WeightDestination,
};
pub use self::step::{CanaryStep, Pause, PluginStep, SetCanaryScale, SetHeaderRoute, SetMirrorRoute};
pub use self::template::PodTemplate;
pub use self::traffic_routing::{
    AmbassadorTrafficRouting, Confirm, GatewayApiTrafficRouting, GatewayRoute, NginxTrafficRouting,
    TrafficRouting,
};

use crate::go_json;

/// What the user wants of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "Rollout",
    plural = "rollouts",
    shortname = "ro",
    namespaced,
    status = "RolloutStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A workload whose new versions are released in steps.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.HPAReplicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name":"Desired","type":"integer","jsonPath":".spec.replicas","description":"Number of desired pods"}"#,
    printcolumn = r#"{"name":"Current","type":"integer","jsonPath":".status.replicas","description":"Pods that exist"}"#,
    printcolumn = r#"{"name":"Up-to-date","type":"integer","jsonPath":".status.updatedReplicas","description":"Pods of the newest template"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.readyReplicas","description":"Ready pods"}"#,
    printcolumn = r#"{"name":"Available","type":"integer","jsonPath":".status.availableReplicas","description":"Pods that have been ready for minReadySeconds"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Number of desired pods; absent = 1. Written by HPA through the scale subresource, never by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// Pods that belong to this Rollout. Required unless `workloadRef` is set; must match the template's labels; immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,

    /// The pod template, kept as it was written. Required unless `workloadRef` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,

    /// A workload whose pod template is used instead of `template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,

    /// Seconds a pod must be ready before it counts as available. 0 or more.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    #[schemars(range(min = 0))]
    pub min_ready_seconds: i32,

    /// Going back to a recent revision skips the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<RollbackWindow>,

    /// How a new version replaces the old one.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub strategy: RolloutStrategy,

    /// Old ReplicaSets (with 0 pods) to keep; absent = 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision_history_limit: Option<i32>,

    /// The user's pause: neither ReplicaSets nor steps move.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub paused: bool,

    /// Seconds without progress before the Rollout is Degraded; absent = 600. Must be more than `minReadySeconds`;
    /// 2147483647 = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub progress_deadline_seconds: Option<i32>,

    /// Abort when the progress deadline passes, instead of only becoming Degraded.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub progress_deadline_abort: bool,

    /// Pods created before this time are restarted in place.
    #[serde(serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none", default)]
    pub restart_at: Option<DateTime<Utc>>,

    /// How many finished `AnalysisRuns` and Experiments are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRetention>,
}

/// `spec.strategy`: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStrategy {
    /// Run both versions in full, then switch the active Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStrategy>,

    /// Give the new version a growing share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStrategy>,
}

/// `spec.workloadRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// API version of the workload, such as `apps/v1`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `Deployment`, `ReplicaSet` or `PodTemplate`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the workload, in the Rollout's namespace.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `never` (absent means the same), `onsuccess` or `progressively`: what happens to the workload's own pods.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<String>,
}

/// `spec.rollbackWindow`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackWindow {
    /// Going back at most this many revisions skips all steps.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub revisions: i32,
}

/// `spec.analysis`: retention of finished `AnalysisRuns` and Experiments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRetention {
    /// Successful ones to keep; absent = 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successful_run_history_limit: Option<i32>,
    /// Failed, errored and inconclusive ones to keep; absent = 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsuccessful_run_history_limit: Option<i32>,
}
