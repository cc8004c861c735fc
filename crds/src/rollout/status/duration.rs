//! `status.duration`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::go_json;

/// How long an update takes or took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDuration {
    /// When the update began.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<DateTime<Utc>>,
    /// When the pause began that waits for the user.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<DateTime<Utc>>,
    /// Seconds spent in pauses that waited for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_manual_pause_duration_seconds: Option<i64>,
    /// When the update ended.
    #[serde(default, serialize_with = "go_json::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// How the update ended.
    #[serde(default, deserialize_with = "go_json::known_word", skip_serializing_if = "Option::is_none")]
    pub completion_status: Option<CompletionStatus>,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CompletionStatus {
    /// All steps were done.
    Promoted,
    /// The user skipped the rest of the steps.
    FastPromoted,
    /// Aborted.
    Aborted,
    /// A newer template came before the end.
    Superseded,
    /// Went back to an earlier version, step by step.
    RolledBack,
    /// Went back to an earlier version without steps.
    FastRolledBack,
}
