//! `spec.strategy.canary`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AntiAffinity, BackgroundAnalysis, CanaryStep, Guard, PodMetadata, TrafficRouting};
use crate::go_json;

/// Gives the new version a growing share: of pods alone (basic canary), or of traffic.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStrategy {
    /// Service whose selector is switched to the canary's pods.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub canary_service: Option<String>,

    /// Service whose selector is switched to the stable pods.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub stable_service: Option<String>,

    /// What happens, in order. Empty = a rolling update, or with traffic routing a direct shift.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CanaryStep>,

    /// Who splits the traffic. Absent = the share of pods is the share of traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_routing: Option<TrafficRouting>,

    /// Pods that may be missing, as a number or percentage rounded down; absent = 25%. Basic canary and restarts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,

    /// Pods that may be there in addition, as a number or percentage rounded up; absent = 25%. Basic canary only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,

    /// Analysis that runs beside the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<BackgroundAnalysis>,

    /// Keeps canary and stable pods on different nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,

    /// Metadata that pods carry while they are the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_metadata: Option<PodMetadata>,

    /// Metadata that pods carry while they are stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_metadata: Option<PodMetadata>,

    /// Seconds the old version keeps running after promotion; absent = 30. Only with traffic routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,

    /// Old ReplicaSets that may wait for their scale-down at the same time; absent = any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_revision_limit: Option<i32>,

    /// Seconds the canary keeps running after an abort; absent = 30, 0 = for ever. Only with traffic routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay_seconds: Option<i32>,

    /// The stable ReplicaSet shrinks while the canary's weight grows. Only with traffic routing.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "go_json::is_false")]
    pub dynamic_stable_scale: bool,

    /// Two Services that swap roles instead of switching their selectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_pong: Option<PingPong>,

    /// Least size of a ReplicaSet that has weight, at most `spec.replicas`. Only with traffic routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pods_per_replica_set: Option<i32>,

    /// Share of the wanted pods that must be available for a step to be complete; absent = all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_progress_threshold: Option<ReplicaProgressThreshold>,

    /// Compares the canary with the stable version on the proxies' own counters, and aborts it at once when it is worse.
    /// Sluice's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// Two Services that take turns at being stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PingPong {
    /// The Service that is stable first.
    #[serde(default)]
    pub ping_service: String,
    /// The other one.
    #[serde(default)]
    pub pong_service: String,
}

/// When a step counts as complete although pods are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaProgressThreshold {
    /// Unit of `value`.
    #[serde(rename = "type")]
    pub kind: ThresholdKind,
    /// Percent (1 to 100) or number of pods.
    pub value: i32,
}

/// Unit of a [`ReplicaProgressThreshold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ThresholdKind {
    /// Percent of the wanted pods.
    Percent,
    /// Number of pods.
    Pods,
}
