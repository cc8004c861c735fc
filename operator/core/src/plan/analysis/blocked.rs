//! A run that cannot be created: an argument names a field of the Rollout that is not there. The update waits for it, and
//! says so; an abort does not.

use crds::rollout::{RolloutCondition, RolloutPhase};

use super::super::draft::Draft;
use super::super::scene::Scene;

/// Type of the condition. Only there while a run cannot be created.
const CONDITION: &str = "AnalysisBlocked";
/// Its reason, and that of the Warning event.
const REASON: &str = "AnalysisRunNotCreated";

/// Keeps the condition, and warns once a message.
pub(in crate::plan) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let held = draft.status.conditions.iter().find(|condition| condition.kind == CONDITION).cloned();
    draft.status.conditions.retain(|condition| condition.kind != CONDITION);
    let Some(message) = draft.analysis_blocked.clone() else { return };
    draft.status.phase = Some(RolloutPhase::Degraded);
    draft.status.message = Some(format!("{REASON}: {message}"));
    let condition = match held {
        Some(held) if held.message == message => held,
        held => {
            draft.warning(REASON, message.clone());
            RolloutCondition {
                kind: CONDITION.to_owned(),
                status: "True".to_owned(),
                reason: REASON.to_owned(),
                message,
                last_update_time: Some(scene.stamp()),
                last_transition_time: held
                    .and_then(|it| it.last_transition_time)
                    .or_else(|| Some(scene.stamp())),
            }
        }
    };
    draft.status.conditions.push(condition);
}
