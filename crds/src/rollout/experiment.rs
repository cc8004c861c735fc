//! `steps[].experiment`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnalysisRunArgument, AnalysisRunMetadata, PodMetadata};
use crate::analysis::DryRun;
use crate::experiment::TemplateService;
use crate::go_json;

/// Runs ReplicaSets beside canary and stable for a while and judges them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStep {
    /// The ReplicaSets to run.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub templates: Vec<ExperimentStepTemplate>,
    /// How long to run, as a Go duration; absent = until the analyses end.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The analyses that judge it.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<ExperimentAnalysisTemplateRef>,
    /// Metrics that are measured but do not count.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// Metadata of the `AnalysisRuns`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub analysis_run_metadata: AnalysisRunMetadata,
    /// Seconds the ReplicaSets keep running afterwards; absent = 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
}

/// One ReplicaSet of an [`ExperimentStep`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStepTemplate {
    /// Name within the Experiment.
    pub name: String,
    /// Whose pod template to use.
    pub spec_ref: SpecRef,
    /// Number of pods; absent = 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Metadata that the pods get in addition.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub metadata: PodMetadata,
    /// Selector instead of the Rollout's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Percent of traffic for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Makes a Service for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// Whose pod template an Experiment uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpecRef {
    /// That of the stable ReplicaSet.
    Stable,
    /// That of the Rollout's spec.
    Canary,
}

/// One analysis of an [`ExperimentStep`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysisTemplateRef {
    /// Name within the Experiment.
    pub name: String,
    /// Name of the template.
    pub template_name: String,
    /// `true` = a `ClusterAnalysisTemplate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scope: Option<bool>,
    /// Values for the template's arguments.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<AnalysisRunArgument>,
    /// The Experiment does not end before this analysis.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub required_for_completion: bool,
}
