//! `spec.strategy.blueGreen`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AntiAffinity, PodMetadata, RolloutAnalysis};
use crate::go_json;

/// Runs the new version in full beside the old one, then switches the active Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenStrategy {
    /// Service of the version that users reach. Required; without one it is empty, and the
    /// Rollout is invalid.
    #[serde(default)]
    pub active_service: String,
    /// Service of the version that waits for promotion.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub preview_service: Option<String>,
    /// Pods of the new version before promotion; absent = `spec.replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_replica_count: Option<i32>,
    /// `false` = wait for the user before the switch; absent = true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_promotion_enabled: Option<bool>,
    /// Seconds after which a waiting version is promoted by itself; 0 = not.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_zero")]
    pub auto_promotion_seconds: i32,
    /// Pods that may be missing during a restart, as a number or percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Seconds the old version keeps running after the switch; absent = 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Old ReplicaSets that may wait for their scale-down at the same time; absent = any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_revision_limit: Option<i32>,
    /// Seconds the preview keeps running after an abort; absent = 30, 0 = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay_seconds: Option<i32>,
    /// Analysis before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis: Option<RolloutAnalysis>,
    /// Analysis after the switch; a failure switches back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis: Option<RolloutAnalysis>,
    /// Keeps the two versions on different nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,
    /// Metadata that pods carry while they are the preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_metadata: Option<PodMetadata>,
    /// Metadata that pods carry while they are active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_metadata: Option<PodMetadata>,
}
