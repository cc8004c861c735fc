//! `Experiment`: ReplicaSets that run beside each other for a while, and the analyses that judge them.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{AnalysisPhase, Argument, DryRun, MeasurementRetention};
use crate::go_json;
use crate::rollout::{AnalysisRunMetadata, PodTemplate, RolloutCondition};

/// What to run and how to judge it.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "Experiment",
    plural = "experiments",
    shortname = "exp",
    namespaced,
    status = "ExperimentStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "ReplicaSets that run beside each other for a while, and the analyses that judge them.",
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase","description":"Verdict so far"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentSpec {
    /// The ReplicaSets to run.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub templates: Vec<ExperimentTemplate>,
    /// How long to run once all pods are available, as a Go duration; absent = until the analyses end.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Seconds without progress before it fails; absent = 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// End it.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub terminate: bool,
    /// The analyses that judge it.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<ExperimentAnalysis>,
    /// Seconds the ReplicaSets keep running afterwards; absent = 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Metrics that are measured but do not count.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Metadata of the `AnalysisRuns`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub analysis_run_metadata: AnalysisRunMetadata,
}

/// One ReplicaSet of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentTemplate {
    /// Name within the Experiment.
    pub name: String,
    /// Number of pods; absent = 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds a pod must be ready before it counts as available.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub min_ready_seconds: i32,
    /// Pods that belong to it; must match the template's labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The pod template, kept as it was written.
    #[serde(default)]
    pub template: PodTemplate,
    /// Makes a Service for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// The Service of an Experiment's ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateService {
    /// Its name; absent = that of the ReplicaSet.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One analysis of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysis {
    /// Name within the Experiment.
    pub name: String,
    /// Name of the template.
    pub template_name: String,
    /// `true` = a `ClusterAnalysisTemplate`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub cluster_scope: bool,
    /// Values for the template's arguments.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// The Experiment does not end before this analysis.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub required_for_completion: bool,
}

/// State of an Experiment. Written to the object itself: the kind has no status subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// Verdict so far; absent = not started.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When all ReplicaSets were available; the duration counts from here.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub available_at: Option<DateTime<Utc>>,
    /// Conditions, one a type.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RolloutCondition>,
    /// State of each ReplicaSet.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub template_statuses: Vec<TemplateStatus>,
    /// State of each analysis.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<ExperimentAnalysisRunStatus>,
}

/// State of one ReplicaSet of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateStatus {
    /// Name of the template.
    pub name: String,
    /// Pods.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub replicas: i32,
    /// Pods of the template's newest form.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub available_replicas: i32,
    /// How often the hash collided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// How it stands; absent = not started.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub status: Option<TemplatePhase>,
    /// Why.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the status last changed.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<DateTime<Utc>>,
    /// Name of its Service.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Hash of its pod template.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub pod_template_hash: Option<String>,
}

/// How one ReplicaSet of an Experiment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TemplatePhase {
    /// Its pods are not all available yet.
    Progressing,
    /// All its pods are available.
    Running,
    /// It ran for as long as it was to.
    Successful,
    /// Its pods did not become available in time.
    Failed,
    /// It, or its Service, could not be made.
    Error,
}

impl TemplatePhase {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progressing => "Progressing",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        match self {
            Self::Successful | Self::Failed | Self::Error => true,
            Self::Progressing | Self::Running => false,
        }
    }
}

/// State of one analysis of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysisRunStatus {
    /// Name within the Experiment.
    pub name: String,
    /// Name of the `AnalysisRun`.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub analysis_run: String,
    /// Its phase.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Its message.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
