//! `strategy.canary.guard`: the canary is compared with the stable version on the proxies' own counters, and aborted at
//! once when it is worse. Sluice's own; Argo has nothing like it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is watched, and how much worse is allowed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Bad requests: 5xx, connect failures, resets and timeouts of first tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRateGuard>,

    /// The chance, over the whole update, that a canary within its margin is aborted; absent = 0.001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,

    /// Slow requests: how long first tries take up to the response head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyGuard>,

    /// Pods of the canary that are available before it is judged for the first time, at least 1; absent = 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_pods: Option<i32>,

    /// What the last step waits for; absent = onNoRegression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<GuardPromotion>,

    /// What becomes of the last step where no requests of both versions could be compared; absent = hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_no_data: Option<GuardNoData>,
}

/// What a promotion waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GuardPromotion {
    /// Nothing, as long as the canary is not found to be worse.
    #[default]
    OnNoRegression,
    /// Evidence that the canary is no worse than allowed: the verdict PASS.
    OnEvidence,
}

/// What becomes of a promotion without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GuardNoData {
    /// It waits for requests.
    #[default]
    Hold,
    /// The update is aborted.
    Abort,
    /// It goes on, as without a guard.
    Proceed,
}

/// How much slower requests of the canary may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyGuard {
    /// So many times as slow as the stable version's, 1 to 1000, rounded up to a power of 2^(1/4); absent = 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
}

/// How much more often requests of the canary may be bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRateGuard {
    /// So many times the stable version's rate, 1 to 1000; absent = 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,

    /// And this much more, a share from 0 to less than 1; absent = 0.001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}
