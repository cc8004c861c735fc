//! What users write into the status (through the kubectl plugin): abort, retry, full promotion.

use super::analysis;
use super::draft::Draft;
use super::scene::Scene;
use super::window;

/// Turns a fresh command into a consistent status. Does nothing the second time.
pub(super) fn obey(scene: &Scene<'_>, draft: &mut Draft) {
    if draft.status.stable_rs.as_deref() == Some(scene.hash.as_str()) {
        return;
    }
    let status = &mut draft.status;
    if status.abort && status.aborted_at.is_none() {
        // The newer command counts; of two that came at once, the one that is safe.
        status.promote_full = false;
        abort(scene, draft);
    } else if status.promote_full {
        status.abort = false;
        status.aborted_at = None;
        status.current_step_index = scene.all_done();
        status.pause_conditions.clear();
        status.controller_pause = false;
    } else if status.abort {
        // There are no steps to go to.
        status.current_step_index = scene.first_step();
    } else {
        if status.aborted_at.take().is_some() {
            // A retry is measured anew.
            analysis::forget_canary(status);
            analysis::forget_promotions(status);
            status.canary.guard = None;
        }
        if window::is_rollback(scene) {
            status.current_step_index = scene.all_done();
        }
    }
}

/// Goes back to the stable version and to the first step. The event comes with the condition.
pub(super) fn abort(scene: &Scene<'_>, draft: &mut Draft) {
    let status = &mut draft.status;
    status.abort = true;
    status.aborted_at = Some(scene.stamp());
    status.current_step_index = scene.first_step();
    status.blue_green.scale_up_preview_check_point = false;
    status.pause_conditions.clear();
    status.controller_pause = false;
}
