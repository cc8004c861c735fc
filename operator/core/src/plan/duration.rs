//! `status.duration`: when the update began and ended, and how (Argo 1.9).

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
    let new_template = draft.status.current_pod_hash != before.current_pod_hash;
    let retried = before.aborted_at.is_some() && draft.status.aborted_at.is_none() && !draft.status.abort;
    let promoted_now = draft.status.stable_rs != before.stable_rs;
    let back_to_stable = draft.status.stable_rs == draft.status.current_pod_hash;
    let after_abort = back_to_stable && before.aborted_at.is_some();
    if (new_template && !after_abort) || (retried && !promoted_now && !back_to_stable) {
        duration = RolloutDuration { rollout_started_at: Some(stamp), ..RolloutDuration::default() };
    }
    manual_pause(scene, &draft.status, &mut duration);
    let ended = if promoted_now && before.promote_full {
        Some(CompletionStatus::FastPromoted)
    } else if promoted_now && window::is_rollback(scene) {
        Some(CompletionStatus::RolledBack)
    } else if promoted_now {
        Some(CompletionStatus::Promoted)
    } else if new_template && back_to_stable && !after_abort {
        Some(CompletionStatus::FastRolledBack)
    } else if draft.status.abort && before.aborted_at.is_none() {
        Some(CompletionStatus::Aborted)
    } else {
        None
    };
    if ended.is_some() {
        duration.completion_status = ended;
        duration.finished_at = Some(stamp);
    }
    draft.status.duration = (duration != RolloutDuration::default()).then_some(duration);
}

/// Counts the time of pauses that wait for the user.
fn manual_pause(scene: &Scene<'_>, status: &RolloutStatus, duration: &mut RolloutDuration) {
    let reason = match &scene.spec.strategy {
        Strategy::Canary(canary) => {
            let step = status.current_step_index.and_then(|index| usize::try_from(index).ok());
            matches!(step.and_then(|step| canary.steps.get(step)), Some(Step::Pause(None)))
                .then_some(PauseReason::CanaryPauseStep)
        }
        Strategy::BlueGreen(blue_green) => {
            (blue_green.promotion == Promotion::ByUser).then_some(PauseReason::BlueGreenPause)
        }
    };
    let pause = status.pause_conditions.iter().find(|it| Some(it.reason) == reason);
    match (pause, duration.manual_pause_started_at) {
        (Some(pause), None) => duration.manual_pause_started_at = Some(pause.start_time),
        (None, Some(since)) => {
            duration.manual_pause_started_at = None;
            let seconds = (scene.stamp() - since).num_seconds().max(0);
            let total = duration.total_manual_pause_duration_seconds.unwrap_or(0) + seconds;
            duration.total_manual_pause_duration_seconds = Some(total);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}
