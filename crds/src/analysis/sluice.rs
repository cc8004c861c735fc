//! `provider.sluice`: what Sluice's proxies have counted of a version's requests. Sluice's own; Argo has nothing like it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::go_json;

/// A question to the proxies: exactly one of `errorRate`, `latency` and `requestRate`, of the first tries of requests to
/// one version that ended within the window.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SluiceMetric {
    /// The share of bad tries, 0 to 1: 5xx, connect failures, resets, timeouts, and requests that found no pod. NaN
    /// without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRateMetric>,

    /// A quantile of the time up to the response head, in seconds. NaN without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyMetric>,

    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<RequestRateMetric>,

    /// The version: `canary`, the new one, or `stable`; absent = canary. In an Experiment: the name of a template; absent =
    /// the only one, or the one called canary.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,

    /// The version by its pod-template hash, instead of `of`: for pods of an Experiment.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub pod_template_hash: Option<String>,

    /// The Rollout whose version it is, in the namespace of the run; absent = the one that the run belongs to.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,

    /// How far back it looks, a Go duration from 10s to 10m; absent = 60s.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// The share of bad tries; there is nothing to say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ErrorRateMetric {}

/// Requests a second; there is nothing to say of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RequestRateMetric {}

/// Which quantile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct LatencyMetric {
    /// Above 0 and below 1; 0.99 is the time that 99 of 100 requests do not exceed.
    pub quantile: f64,
}
