//! What the commands ask of the API server, as values. Bodies are byte for byte those of Argo's plugin, so that
//! either plugin works with either controller.
//!
//! | file | commands |
//! |---|---|
//! | [`analysis_run`] | `create analysisrun` |
//! | [`promote`] | `promote`, with and without `--full` |
//! | [`set_image`] | `set image` |
//! | [`undo`] | `undo` |
//! | this one | `abort`, `retry`, `pause`, `restart`, `terminate` |

pub mod analysis_run;
pub mod promote;
pub mod set_image;
pub mod undo;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// A JSON merge patch of an object: absent fields stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Body {
    /// Fields of `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
    /// Fields of `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Fields of `spec` in a merge patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The user's pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Pods that were created earlier are restarted.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub restart_at: Option<DateTime<Utc>>,
    /// Stop an AnalysisRun or Experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminate: Option<bool>,
}

/// Fields of `status` in a merge patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Go back to the stable version, or try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<bool>,
    /// End all pauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_conditions: Option<Cleared>,
    /// Forget that the controller paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_pause: Option<bool>,
    /// Go on at this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<usize>,
    /// Skip all steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote_full: Option<bool>,
}

/// `null`: the field is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cleared;

/// A change of a Rollout in up to two patches: `status` through the status subresource first, then `spec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Patch of the status subresource.
    pub status: Option<Body>,
    /// Patch of the object itself.
    pub spec: Option<Body>,
    /// Patch of the object instead of `spec`, if the server knows no status subresource (CRDs of Argo before 0.10).
    pub unified: Option<Body>,
}

/// Go back to the stable version.
#[must_use]
pub fn abort() -> Change {
    Change::of_status(Status { abort: Some(true), ..Status::default() })
}

/// Try again after an abort.
#[must_use]
pub fn retry() -> Change {
    Change::of_status(Status { abort: Some(false), ..Status::default() })
}

/// Stop where it is.
#[must_use]
pub fn pause() -> Body {
    Body::of_spec(Spec { paused: Some(true), ..Spec::default() })
}

/// Restart all pods that were created before `at`.
#[must_use]
pub fn restart(at: DateTime<Utc>) -> Body {
    Body::of_spec(Spec { restart_at: Some(at), ..Spec::default() })
}

/// Stop an AnalysisRun or an Experiment.
#[must_use]
pub fn terminate() -> Body {
    Body::of_spec(Spec { terminate: Some(true), ..Spec::default() })
}

/// Run an Experiment again: its status is removed.
#[must_use]
pub fn retry_experiment() -> serde_json::Value {
    serde_json::json!({ "status": null })
}

impl Body {
    const fn of_spec(spec: Spec) -> Self {
        Self { spec: Some(spec), status: None }
    }

    const fn of_status(status: Status) -> Self {
        Self { spec: None, status: Some(status) }
    }
}

impl Change {
    /// A change of the status alone.
    const fn of_status(status: Status) -> Self {
        let body = Body::of_status(status);
        Self { status: Some(body), spec: None, unified: Some(body) }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn seconds<S: serde::Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => serializer.serialize_none(),
    }
}
