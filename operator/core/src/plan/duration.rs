//! `status.duration`: when the update began and ended, and how (Argo 1.9).

use chrono::{DateTime, Utc};
use crds::rollout::status::{CompletionStatus, RolloutDuration};
use crds::rollout::{PauseReason, RolloutStatus};

use super::draft::Draft;
use super::scene::Scene;
use super::window;
use crate::spec::{Promotion, Step, Strategy};

/// Keeps the times that belong to the transition from the recorded status to the one in the draft.
pub(super) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let before = &scene.before;
    let stamp = scene.stamp();
    let mut duration = draft.status.duration.clone().unwrap_or_default();
    let status = &draft.status;
    let new_template = status.current_pod_hash != before.current_pod_hash;
    let new_steps = status.current_step_hash != before.current_step_hash;
    let retried = before.aborted_at.is_some() && status.aborted_at.is_none() && !status.abort;
    let promoted_now = status.stable_rs != before.stable_rs;
    let at_stable = status.stable_rs == status.current_pod_hash;
    let after_abort = at_stable && before.aborted_at.is_some();
    if !at_stable && (new_template || new_steps || retried) {
        duration = RolloutDuration { rollout_started_at: Some(stamp), ..RolloutDuration::default() };
    }
    manual_pause(scene, status, &mut duration);
    if promoted_now && before.promote_full {
        end(&mut duration, CompletionStatus::FastPromoted, stamp);
    } else if promoted_now && window::is_rollback(scene) {
        end(&mut duration, CompletionStatus::RolledBack, stamp);
    } else if promoted_now {
        end(&mut duration, CompletionStatus::Promoted, stamp);
    } else if new_template && at_stable && !after_abort {
        duration.completion_status = Some(CompletionStatus::FastRolledBack);
        duration.finished_at = None;
    } else if status.abort && before.aborted_at.is_none() {
        end(&mut duration, CompletionStatus::Aborted, stamp);
    }
    // A rollback is over when the stable version has all its pods again.
    let whole = scene.new.is_some_and(|new| new.status.available >= scene.spec.replicas);
    if duration.completion_status.is_some() && duration.finished_at.is_none() && whole {
        duration.finished_at = Some(stamp);
    }
    draft.status.duration = (duration != RolloutDuration::default()).then_some(duration);
}

fn end(duration: &mut RolloutDuration, status: CompletionStatus, at: DateTime<Utc>) {
    duration.completion_status = Some(status);
    duration.finished_at = Some(at);
}

/// Counts the time in which the update waits for the user.
fn manual_pause(scene: &Scene<'_>, status: &RolloutStatus, duration: &mut RolloutDuration) {
    match (waits_for_user(scene, status), duration.manual_pause_started_at) {
        (Some(since), None) => duration.manual_pause_started_at = Some(since),
        (None, Some(since)) => {
            duration.manual_pause_started_at = None;
            let seconds = (scene.stamp() - since).num_seconds().max(0);
            let total = duration.total_manual_pause_duration_seconds.unwrap_or(0) + seconds;
            duration.total_manual_pause_duration_seconds = Some(total);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// Since when the update waits for the user: in a pause without a time, at an inconclusive analysis, or because the user
/// paused it. A step that pauses for a time is none, whatever else holds it, as in Argo.
fn waits_for_user(scene: &Scene<'_>, status: &RolloutStatus) -> Option<DateTime<Utc>> {
    let since =
        |reason| status.pause_conditions.iter().find(|it| it.reason == reason).map(|it| it.start_time);
    let inconclusive = since(PauseReason::InconclusiveAnalysisRun);
    match &scene.spec.strategy {
        Strategy::Canary(canary) => {
            let step = status.current_step_index.and_then(|index| usize::try_from(index).ok());
            if matches!(step.and_then(|step| canary.steps.get(step)), Some(Step::Pause(Some(_)))) {
                return None;
            }
            let updating = !status.abort && status.stable_rs != status.current_pod_hash;
            let by_user = (scene.spec.paused && updating).then(|| scene.stamp());
            since(PauseReason::CanaryPauseStep).or(inconclusive).or(by_user)
        }
        Strategy::BlueGreen(blue_green) => {
            let by_hand = blue_green.promotion == Promotion::ByUser;
            since(PauseReason::BlueGreenPause).filter(|_| by_hand).or(inconclusive)
        }
    }
}
