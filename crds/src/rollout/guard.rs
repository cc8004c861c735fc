//! `strategy.canary.guard`: the canary is compared with the stable version on the proxies' own counters, and aborted at
//! once when it is worse. Sluice's own; Argo has nothing like it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

    /// Slow requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub latency: Option<Value>,

    /// Pods that the canary has before it is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_pods: Option<i32>,

    /// What a promotion waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<String>,

    /// What becomes of an update without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_no_data: Option<String>,
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
