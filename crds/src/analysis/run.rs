//! `AnalysisRun`: one run of metrics, with its measurements and verdict.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Argument, DryRun, MeasurementRetention, Metric};
use crate::go_json;

/// What to measure. Immutable in practice, except `terminate`.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisRun",
    plural = "analysisruns",
    shortname = "ar",
    namespaced,
    status = "AnalysisRunStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "One run of metrics, with its verdict.",
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase","description":"Verdict so far"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunSpec {
    /// What to measure and when it is good.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub metrics: Vec<Metric>,
    /// Values that metrics refer to as `{{args.name}}`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// End the run; what was measured so far decides.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub terminate: bool,
    /// Metrics that are measured but do not count.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// When a finished run is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<TtlStrategy>,
}

/// When a finished run is deleted; absent fields = never for that reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtlStrategy {
    /// Seconds after any end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_completion: Option<i32>,
    /// Seconds after a failure; wins over `secondsAfterCompletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_failure: Option<i32>,
    /// Seconds after a success; wins over `secondsAfterCompletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_success: Option<i32>,
}

/// State of a metric, a run or an Experiment. Absent in a status = not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum AnalysisPhase {
    /// Seen, not started.
    Pending,
    /// On the way.
    Running,
    /// Good.
    Successful,
    /// Bad.
    Failed,
    /// Could not be measured.
    Error,
    /// Neither good nor bad.
    Inconclusive,
}

impl AnalysisPhase {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
        }
    }

    /// How bad it is among the verdicts of a whole: the worst is the one that counts.
    #[must_use]
    pub const fn badness(self) -> u8 {
        match self {
            Self::Successful => 0,
            Self::Running => 1,
            Self::Pending => 2,
            Self::Inconclusive => 3,
            Self::Error => 4,
            Self::Failed => 5,
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        match self {
            Self::Successful | Self::Failed | Self::Error | Self::Inconclusive => true,
            Self::Pending | Self::Running => false,
        }
    }
}

/// State of a run. Written to the object itself: the kind has no status subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatus {
    /// Verdict so far; absent = not started.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// State of each metric.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub metric_results: Vec<MetricResult>,
    /// When it began.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Metrics that count, by state.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub run_summary: RunSummary,
    /// Metrics that do not count, by state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
}

/// Number of metrics by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// All.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub count: i32,
    /// Good.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub successful: i32,
    /// Bad.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub failed: i32,
    /// Neither.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub inconclusive: i32,
    /// Could not be measured.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub error: i32,
}

/// State of one metric. The counts are of all measurements, also those no longer kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    /// Name of the metric.
    pub name: String,
    /// Verdict so far.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// The latest measurements, oldest first.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Why the metric is in its phase.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Measurements without an error.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub count: i32,
    /// Good ones.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub successful: i32,
    /// Bad ones.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub failed: i32,
    /// Inconclusive ones.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub inconclusive: i32,
    /// Errors.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub error: i32,
    /// Errors since the last measurement without one.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub consecutive_error: i32,
    /// Good ones since the last that was not.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub consecutive_success: i32,
    /// The metric does not count.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub dry_run: bool,
    /// What the provider says of the metric, such as the resolved query.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// Verdict.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// What was measured, as text.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What the provider says of the measurement, such as the name of a Job.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When to look again at a measurement that is still running.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<DateTime<Utc>>,
}
