//! A pause that the engine makes: for a time, or until the user resumes (reference §2.9).
//!
//! The kubectl plugin resumes by clearing the pause conditions; `controllerPause` without one means "resumed".

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::{PauseCondition, PauseReason};

use super::draft::Draft;
use super::scene::Scene;
use crate::why::Why;

/// Where a pause stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// It has begun, or goes on.
    Holds,
    /// Its time is over, or the user resumed.
    Over,
}

/// Begins or continues a pause; `None`: until the user resumes.
pub(super) fn hold(
    scene: &Scene<'_>,
    reason: PauseReason,
    duration: Option<TimeDelta>,
    draft: &mut Draft,
) -> Pause {
    let held = draft.status.pause_conditions.iter().find(|condition| condition.reason == reason);
    let Some(since) = held.map(|condition| condition.start_time) else {
        if draft.status.controller_pause {
            return Pause::Over;
        }
        let start_time = scene.start();
        draft.status.pause_conditions.push(PauseCondition { reason, start_time });
        draft.status.controller_pause = true;
        wait_until(duration.map(|duration| start_time + duration), draft);
        return Pause::Holds;
    };
    match duration.map(|duration| since + duration) {
        Some(until) if until <= scene.now() => Pause::Over,
        until => {
            wait_until(until, draft);
            Pause::Holds
        }
    }
}

/// Forgets a pause. Others go on.
pub(super) fn leave(reason: PauseReason, draft: &mut Draft) {
    draft.status.pause_conditions.retain(|condition| condition.reason != reason);
    draft.status.controller_pause = !draft.status.pause_conditions.is_empty();
}

/// Forgets all pauses.
pub(super) fn leave_all(draft: &mut Draft) {
    draft.status.controller_pause = false;
    draft.status.pause_conditions.clear();
}

fn wait_until(until: Option<DateTime<Utc>>, draft: &mut Draft) {
    if let Some(until) = until {
        draft.wake_at(until);
    }
    draft.because(Why::Paused { until });
}
