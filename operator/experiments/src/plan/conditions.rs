//! The conditions `Progressing` and `InvalidSpec`.

use crds::analysis::AnalysisPhase;
use crds::experiment::{ExperimentStatus, TemplateStatus};
use crds::rollout::RolloutCondition;
use operator_core::effect::EventKind;

use super::Scene;
use super::draft::Draft;

const PROGRESSING: &str = "Progressing";
const INVALID_SPEC: &str = "InvalidSpec";

/// Records how the Experiment goes on.
pub(super) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let name = scene.name;
    remove(INVALID_SPEC, &mut draft.status);
    if draft.status.phase == Some(AnalysisPhase::Successful) {
        let message = format!("Experiment \"{name}\" has successfully ran and completed.");
        set(scene, "False", "ExperimentCompleted", message, draft);
    } else if has_progressed(&scene.before, &draft.status) {
        // The only condition whose time of update says when something last moved.
        let message = format!("Experiment \"{name}\" is progressing.");
        let held = remove(PROGRESSING, &mut draft.status);
        let since = held.filter(|held| held.status == "True").and_then(|held| held.last_transition_time);
        let mut condition = condition(scene, PROGRESSING, "True", "ReplicaSetUpdated", message);
        condition.last_transition_time = since.or(condition.last_transition_time);
        draft.status.conditions.push(condition);
    } else if scene.before.available_at.is_some() && !scene.time_is_over() {
        let message = format!("Experiment \"{name}\" is running.");
        set(scene, "True", "NewReplicaSetAvailable", message, draft);
    }
}

/// Records that nothing moves, and warns once a message.
pub(super) fn record_invalid(scene: &Scene<'_>, message: &str, draft: &mut Draft) {
    let conditions = &draft.status.conditions;
    if conditions.iter().any(|held| held.kind == INVALID_SPEC && held.message == message) {
        return;
    }
    remove(INVALID_SPEC, &mut draft.status);
    let condition = condition(scene, INVALID_SPEC, "True", INVALID_SPEC, message.to_owned());
    draft.status.conditions.push(condition);
    draft.tell(EventKind::Warning, INVALID_SPEC.to_owned(), message.to_owned());
}

/// A template is new, or another number of its pods is there.
fn has_progressed(before: &ExperimentStatus, after: &ExperimentStatus) -> bool {
    let counts =
        |it: &TemplateStatus| (it.replicas, it.updated_replicas, it.ready_replicas, it.available_replicas);
    let moved = |it: &TemplateStatus| {
        let held = before.template_statuses.iter().find(|held| held.name == it.name);
        held.is_none_or(|held| counts(held) != counts(it))
    };
    after.template_statuses.iter().any(moved)
}

/// Sets `Progressing` unless it says so already.
fn set(scene: &Scene<'_>, truth: &str, reason: &str, message: String, draft: &mut Draft) {
    let held = draft.status.conditions.iter().find(|held| held.kind == PROGRESSING);
    if held.is_some_and(|held| held.status == truth && held.reason == reason) {
        return;
    }
    let held = remove(PROGRESSING, &mut draft.status);
    let since = held.filter(|held| held.status == truth).and_then(|held| held.last_transition_time);
    let mut condition = condition(scene, PROGRESSING, truth, reason, message);
    condition.last_transition_time = since.or(condition.last_transition_time);
    draft.status.conditions.push(condition);
}

fn remove(kind: &str, status: &mut ExperimentStatus) -> Option<RolloutCondition> {
    let at = status.conditions.iter().position(|held| held.kind == kind)?;
    Some(status.conditions.remove(at))
}

fn condition(scene: &Scene<'_>, kind: &str, truth: &str, reason: &str, message: String) -> RolloutCondition {
    RolloutCondition {
        kind: kind.to_owned(),
        status: truth.to_owned(),
        reason: reason.to_owned(),
        message,
        last_update_time: Some(scene.stamp()),
        last_transition_time: Some(scene.stamp()),
    }
}
