//! What the stage of a Rollout asks for.

use super::super::draft::Draft;
use super::super::promotion;
use super::super::stage::{Stage, hold_without_stable};
use super::Scene;
use super::replica_sets::{self, New};
use super::services;
use super::update;
use crate::why::Why;
use crate::world::ReplicaSet;

/// Acts on the stage. ReplicaSets are scaled for what was recorded when the plan began: a check point that is passed
/// now, or a promotion, is recorded before anything is done about it.
pub(super) fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) {
    let size = match Stage::of(scene, draft) {
        Stage::FirstDeploy => {
            first_deploy(scene, new, revision, draft);
            New::Sized(scene.spec.replicas)
        }
        Stage::Promoted => {
            promotion::forget_update(scene, draft);
            go_back(scene, new, draft);
            services::preview(scene, new, draft);
            New::Sized(scene.spec.replicas)
        }
        Stage::Updating => {
            let size = update::size(scene, new);
            update::advance(scene, new, size, revision, draft);
            New::Sized(size)
        }
        Stage::Aborted(stable) => {
            go_back(scene, stable, draft);
            New::Unwanted
        }
        Stage::StableGone => {
            hold_without_stable(draft);
            return;
        }
    };
    if draft.status.stable_rs == scene.before.stable_rs {
        replica_sets::scale(scene, new, size, draft);
    }
    if draft.status.abort {
        draft.because(Why::Aborted);
    }
}

/// No pause and no wait for proxies; the version is promoted once it is available (not earlier, as Argo does: a first
/// version that never works must not count as stable, reference §2.4).
fn first_deploy(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) {
    if draft.status.abort {
        draft.because(Why::Aborted);
        return;
    }
    if scene.spec.paused {
        draft.because(Why::UserPaused);
        return;
    }
    services::preview(scene, new, draft);
    if !services::is_full(scene, new) {
        replica_sets::wait_for_pods(new, scene.spec.replicas, draft);
        return;
    }
    services::activate(scene, new, draft);
    promotion::commit(scene, revision, "Initial deploy", draft);
}

/// The active Service selects the stable version again, as soon as that can take the requests.
fn go_back(scene: &Scene<'_>, stable: &ReplicaSet, draft: &mut Draft) {
    if scene.is_active(stable) {
        return;
    }
    if services::can_take_back(scene, stable) {
        services::activate(scene, stable, draft);
        draft.because(Why::RouteWritten);
    } else {
        replica_sets::wait_for_pods(stable, scene.spec.replicas, draft);
    }
}
