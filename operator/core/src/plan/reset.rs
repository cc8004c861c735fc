//! Another template or other steps start an update anew (reference §2.4).

use super::accept;
use super::draft::Draft;
use super::scene::Scene;
use super::window;
use crate::why::Why;

/// Resets the status if the template or the steps are not those it is about. True if it did: then nothing else is
/// decided before the reset is recorded.
pub(super) fn on_change(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let status = &mut draft.status;
    let same_template = status.current_pod_hash.as_deref() == Some(scene.hash.as_str());
    let same_steps = status.current_step_hash == scene.step_hash;
    if same_template && (same_steps || accept::observed(scene.world).is_some()) {
        // Where the spec is the one that the status is about, another hash only means another hash function.
        status.current_step_hash.clone_from(&scene.step_hash);
        return false;
    }
    let back_to_stable = status.stable_rs.as_deref() == Some(scene.hash.as_str());
    let follows = !same_template && status.current_pod_hash.is_some() && scene.steps() > 0;
    let rollback = window::is_rollback(scene);
    status.pause_conditions.clear();
    status.controller_pause = false;
    status.abort = false;
    status.aborted_at = None;
    status.promote_full = false;
    status.canary.current_step_analysis_run_status = None;
    status.canary.current_background_analysis_run_status = None;
    status.canary.current_experiment = None;
    status.canary.step_plugin_statuses.clear();
    status.canary.guard = None;
    status.blue_green.pre_promotion_analysis_run_status = None;
    status.blue_green.post_promotion_analysis_run_status = None;
    status.blue_green.scale_up_preview_check_point = false;
    status.current_step_index =
        if back_to_stable || rollback { scene.all_done() } else { scene.first_step() };
    status.current_pod_hash = Some(scene.hash.clone());
    status.current_step_hash.clone_from(&scene.step_hash);
    if follows && back_to_stable {
        draft.normal("SkipSteps", "Rollback to stable ReplicaSets".to_owned());
    } else if follows && rollback && scene.new.is_some_and(|new| new.replicas > 0) {
        draft.normal("SkipSteps", "Rollback to active ReplicaSets within RollbackWindow".to_owned());
    }
    draft.because(Why::Restarted { hash: scene.hash.clone() });
    true
}
