//! The canary's health while a step pauses or waits for an analysis.
//!
//! Argo's progress deadline does not count then, so that a canary which crashes during a pause stays as it is, with its
//! traffic, for as long as the pause lasts. Here its pods are watched: after `progressDeadlineSeconds` without enough
//! of them the Rollout is Degraded, and with `progressDeadlineAbort` aborted. The condition is also the memory of
//! "since when".

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::RolloutCondition;

use super::super::commands;
use super::super::draft::Draft;
use super::Scene;
use super::replica_sets::sizes;
use crate::conditions::{put, reason};
use crate::replicas;
use crate::spec::Step;
use crate::weight::{self, Position};

/// Type of the condition. Only there while pods are missing.
pub(super) const CONDITION: &str = "CanaryAvailable";
/// Pods are missing, and may still come.
const UNAVAILABLE: &str = "CanaryUnavailable";

/// Keeps the condition, and draws the consequence when the deadline passes.
pub(super) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(message) = shortage(scene, draft) else {
        draft.status.conditions.retain(|condition| condition.kind != CONDITION);
        return;
    };
    let held = scene.before.conditions.iter().find(|condition| condition.kind == CONDITION);
    let since = held.and_then(|condition| condition.last_transition_time).unwrap_or_else(|| scene.start());
    let deadline = scene.spec.progress_deadline.map(|time| since + time);
    let late = deadline.is_some_and(|deadline| deadline < scene.now());
    if let Some(deadline) = deadline.filter(|_| !late) {
        draft.wake_at(deadline + TimeDelta::seconds(1));
    }
    let reason = if late { reason::TIMED_OUT } else { UNAVAILABLE };
    if late && held.is_none_or(|condition| condition.reason != reason) {
        expire(scene, &message, draft);
        if draft.status.abort {
            draft.status.conditions.retain(|condition| condition.kind != CONDITION);
            return;
        }
    }
    store(scene, reason, message, since, draft);
}

/// What is missing of a canary while a step waits for something else than pods; `None` if nothing is, or if none does.
fn shortage(scene: &Scene<'_>, draft: &Draft) -> Option<String> {
    let status = &draft.status;
    let promoted = status.stable_rs.as_deref().is_none_or(|stable| stable == scene.hash);
    if status.abort || promoted || scene.spec.paused {
        return None;
    }
    let new = scene.new?;
    let position = Position::of(status);
    let meanwhile = match weight::current_step(scene.canary, &position) {
        _ if !status.pause_conditions.is_empty() => "pause",
        Some(Step::Analysis(_)) => "analysis",
        Some(Step::Experiment(_)) => "experiment",
        Some(Step::SetWeight(_) | Step::Pause(_) | Step::SetCanaryScale(_) | Step::SetRoute(_)) | None => {
            return None;
        }
    };
    let wanted = replicas::wanted(scene.spec.replicas, scene.canary, &position, &sizes(scene)).canary;
    let available = new.status.available;
    let short = !replicas::enough(scene.canary.threshold, available, wanted);
    short.then(|| {
        format!(
            "{available} of {wanted} pods of ReplicaSet \"{}\" are available during the {meanwhile}",
            new.name
        )
    })
}

fn expire(scene: &Scene<'_>, message: &str, draft: &mut Draft) {
    draft.out_of_time = true;
    if scene.spec.progress_deadline_abort {
        commands::abort(scene, draft);
        draft.abort_reason = Some(message.to_owned());
    } else {
        draft.warning(reason::TIMED_OUT, message.to_owned());
    }
}

fn store(scene: &Scene<'_>, reason: &str, message: String, since: DateTime<Utc>, draft: &mut Draft) {
    let said = RolloutCondition {
        kind: CONDITION.to_owned(),
        status: "False".to_owned(),
        reason: reason.to_owned(),
        message,
        ..RolloutCondition::default()
    };
    put(&mut draft.status.conditions, said, since, scene.stamp());
}
