//! A run, or an Experiment, that cannot be created: an argument names a field of the Rollout that is not there. The update
//! waits for it, and says so; an abort does not.

use crds::rollout::{RolloutCondition, RolloutPhase};

use super::super::draft::Draft;
use super::super::scene::Scene;
use crate::conditions::put;

/// Type of the condition. Only there while a run cannot be created.
const CONDITION: &str = "AnalysisBlocked";
/// Its reason, and that of the Warning event.
const REASON: &str = "AnalysisRunNotCreated";

/// Keeps the condition, and warns once a message.
pub(in crate::plan) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(message) = draft.analysis_blocked.clone() else {
        draft.status.conditions.retain(|condition| condition.kind != CONDITION);
        return;
    };
    draft.status.phase = Some(RolloutPhase::Degraded);
    draft.status.message = Some(format!("{REASON}: {message}"));
    let conditions = &mut draft.status.conditions;
    let held = conditions.iter().find(|condition| condition.kind == CONDITION);
    let since = held.and_then(|held| held.last_transition_time).unwrap_or_else(|| scene.stamp());
    let said = RolloutCondition {
        kind: CONDITION.to_owned(),
        status: "True".to_owned(),
        reason: REASON.to_owned(),
        message: message.clone(),
        ..RolloutCondition::default()
    };
    if put(conditions, said, since, scene.stamp()) {
        draft.warning(REASON, message);
    }
}
