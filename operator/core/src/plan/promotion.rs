//! The commit point of a promotion, and what is left to record after it.

use crds::rollout::status::PingPongRole;

use super::draft::Draft;
use super::pause;
use super::scene::Scene;
use crate::why::Why;

/// The commit point: from here on the new version is the stable one and the way is only forward.
pub(super) fn commit(scene: &Scene<'_>, revision: i64, reason: &str, draft: &mut Draft) {
    swap_roles(scene, draft);
    draft.status.stable_rs = Some(scene.hash.clone());
    forget_update(scene, draft);
    draft.normal(
        "RolloutCompleted",
        format!("Rollout completed update to revision {revision} ({}): {reason}", scene.hash),
    );
    draft.because(Why::Promoted { hash: scene.hash.clone() });
}

/// With `pingPong` the Services swap their roles in the same record, so that none of them moves: what was the canary's
/// Service is the stable one from here on. The first version is promoted on `pingService`.
fn swap_roles(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(stable) = scene.spec.ping_pong() else { return };
    let first = scene.before.stable_rs.as_deref().unwrap_or_default().is_empty();
    draft.status.canary.stable_ping_pong = Some(match stable {
        PingPongRole::Ping if !first => PingPongRole::Pong,
        PingPongRole::Ping | PingPongRole::Pong => PingPongRole::Ping,
    });
}

/// The template is the stable one: an abort or a pause has no meaning any more (as in Argo).
pub(super) fn forget_update(scene: &Scene<'_>, draft: &mut Draft) {
    pause::leave_all(draft);
    let status = &mut draft.status;
    status.current_step_index = scene.all_done();
    status.abort = false;
    status.aborted_at = None;
    status.promote_full = false;
    status.blue_green.scale_up_preview_check_point = false;
}
