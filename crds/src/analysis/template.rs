//! The two kinds of templates, and what they share with `AnalysisRuns`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;
use crate::go_json;
use crate::rollout::AnalysisTemplateRef;

/// Metrics and the arguments they need.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    plural = "analysistemplates",
    shortname = "at",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "Metrics that decide whether a version is good.",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisTemplateSpec {
    /// What to measure and when it is good.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Arguments that metrics refer to as `{{args.name}}`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Metrics that are measured but do not count.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Templates whose metrics and arguments are added to these.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<AnalysisTemplateRef>,
}

/// An [`AnalysisTemplateSpec`] for all namespaces; the JSON is the same.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "ClusterAnalysisTemplate",
    plural = "clusteranalysistemplates",
    shortname = "cat",
    derive = "Default",
    derive = "PartialEq",
    doc = "Metrics that decide whether a version is good, for all namespaces.",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
pub struct ClusterAnalysisTemplateSpec {
    /// What the template says.
    #[serde(flatten)]
    pub template: AnalysisTemplateSpec,
}

/// An argument of a template or run: a name, and a value unless the Rollout gives one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Name of the argument.
    pub name: String,
    /// Its value; in a template the default. Absent without `valueFrom` = must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where the value of an [`Argument`] comes from: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret in the run's namespace, read at each measurement and never stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A field of the Rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key within it.
    pub key: String,
}

/// A field of the Rollout, as `metadata.labels['app']` or `spec.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Path of the field.
    pub field_path: String,
}

/// Metrics that are measured but do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// An expression for the whole name of the metric; `.*` = all.
    pub metric_name: String,
}

/// How many measurements of a metric are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementRetention {
    /// An expression for the whole name of the metric; `.*` = all.
    pub metric_name: String,
    /// Measurements to keep; 10 where nothing is said.
    pub limit: i32,
}
