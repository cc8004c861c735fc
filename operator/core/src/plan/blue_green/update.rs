//! One update: preview, pause, check point, switch, commit.

use crds::rollout::PauseReason;

use super::super::analysis::{self, Standing};
use super::super::draft::Draft;
use super::super::pause::{self, Pause};
use super::super::promotion;
use super::super::window;
use super::Scene;
use super::replica_sets::{still_runs, wait_for_pods};
use super::services;
use super::verify;
use crate::analysis::Role;
use crate::spec::{Analysis, BlueGreen, Promotion};
use crate::why::Why;
use crate::world::ReplicaSet;

/// The pods that the new version should have now.
///
/// `previewReplicaCount` counts until the check point. A version that has more pods keeps them: somebody may be
/// looking at it, and it gets all of them in the end.
pub(super) fn size(scene: &Scene<'_>, new: &ReplicaSet) -> i32 {
    let full = scene.spec.replicas;
    let accepted = scene.before.promote_full
        || scene.before.blue_green.scale_up_preview_check_point
        || scene.is_active(new)
        || scene.active().is_none()
        || is_rollback(scene, new);
    match scene.blue_green.preview_replicas {
        Some(count) if !accepted => count.max(new.replicas.min(full)),
        Some(_) | None => full,
    }
}

/// Moves the Services as far as they may go. `size` is what [`size()`] says.
pub(super) fn advance(scene: &Scene<'_>, new: &ReplicaSet, size: i32, revision: i64, draft: &mut Draft) {
    if scene.spec.paused {
        draft.because(Why::UserPaused);
        return;
    }
    services::preview(scene, new, draft);
    forget_unwanted(scene, draft);
    if scene.is_active(new) {
        pause::leave(PauseReason::BlueGreenPause, draft);
        complete(scene, new, revision, draft);
        return;
    }
    if keep_active(scene, draft) {
        return;
    }
    if new.replicas < size || new.lasting() < size {
        wait_for_pods(new, size, draft);
        return;
    }
    if !is_accepted(scene, new, revision, draft) {
        return;
    }
    pause::leave(PauseReason::BlueGreenPause, draft);
    if size < scene.spec.replicas {
        draft.status.blue_green.scale_up_preview_check_point = true;
        draft.because(Why::Scaling { replica_set: new.name.clone(), to: scene.spec.replicas });
        return;
    }
    services::activate(scene, new, draft);
    draft.because(Why::RouteWritten);
}

/// A version that was stable before and is fetched back: it still runs, or is in the `rollbackWindow`.
fn is_rollback(scene: &Scene<'_>, new: &ReplicaSet) -> bool {
    still_runs(scene, new) || window::is_rollback(scene)
}

/// The user has taken an analysis out of the spec: its run ends.
fn forget_unwanted(scene: &Scene<'_>, draft: &mut Draft) {
    let BlueGreen { pre_promotion, post_promotion, .. } = scene.blue_green;
    for (role, analysis) in [(Role::PrePromotion, pre_promotion), (Role::PostPromotion, post_promotion)] {
        if analysis.is_none() {
            analysis::leave(role, draft);
        }
    }
}

/// Whether the version that is ready may become the active one: after the pause and the analysis, if there are any. They
/// go side by side. A rollback and a full promotion take neither.
fn is_accepted(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) -> bool {
    if draft.status.promote_full
        || draft.status.blue_green.scale_up_preview_check_point
        || is_rollback(scene, new)
    {
        return true;
    }
    let time = match scene.blue_green.promotion {
        Promotion::AtOnce => None,
        Promotion::After(time) => Some(Some(time)),
        Promotion::ByUser => Some(None),
    };
    let paused =
        time.is_some_and(|time| pause::hold(scene, PauseReason::BlueGreenPause, time, draft) == Pause::Holds);
    let judged = scene
        .blue_green
        .pre_promotion
        .as_ref()
        .is_none_or(|analysis| is_good(scene, revision, Role::PrePromotion, analysis, draft));
    !paused && judged
}

fn is_good(scene: &Scene<'_>, revision: i64, role: Role, analysis: &Analysis, draft: &mut Draft) -> bool {
    analysis::run(scene, revision, role, analysis, draft) == Standing::Successful
}

/// Somebody has taken the hash out of the active Service, or put one in that has no pods: it selects the stable
/// version again, and not, as with Argo, the new one without a pause. True if it has to be switched.
fn keep_active(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let serves = scene.active().is_some_and(|active| active.lasting() > 0);
    let works = |stable: &&ReplicaSet| stable.lasting() > 0 && !scene.is_active(stable);
    let Some(stable) = scene.stable.filter(works).filter(|_| !serves) else { return false };
    services::activate(scene, stable, draft);
    draft.because(Why::RouteWritten);
    true
}

/// The commit point: all pods of the new version are there, every proxy sends what comes for the active Service to them
/// and nowhere else, and the analysis of that was good. Until then the stable version stays complete.
fn complete(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) {
    if !services::is_full(scene, new) {
        wait_for_pods(new, scene.spec.replicas, draft);
        return;
    }
    if draft.writes_route() {
        draft.because(Why::RouteWritten);
        return;
    }
    if !verify::is_served(scene, new, draft) {
        return;
    }
    if let Some(analysis) =
        scene.blue_green.post_promotion.as_ref().filter(|_| analysis::counts(scene, draft))
        && !is_good(scene, revision, Role::PostPromotion, analysis, draft)
    {
        return;
    }
    let reason = if draft.status.promote_full {
        "Full promotion requested"
    } else if window::is_rollback(scene) {
        "Rollback within window"
    } else {
        "Completed blue-green update"
    };
    promotion::commit(scene, revision, reason, draft);
}
