//! What the stage of a Rollout asks for.

use super::super::draft::Draft;
use super::super::promotion;
use super::super::stage::{Stage, hold_without_stable};
use super::Scene;
use super::replica_sets;
use super::services;
use super::steps;
use super::traffic;
use crate::weight::{Position, Weight};
use crate::why::Why;
use crate::world::ReplicaSet;

/// Acts on the stage. Returns the weight that the plan writes, if it writes one.
///
/// ReplicaSets are scaled for the step that was current when the plan began: a step that completes now, or a promotion,
/// is recorded before anything is done about it.
pub(super) fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) -> Option<Weight> {
    let position = Position::of(&draft.status);
    let writing = match Stage::of(scene, draft) {
        Stage::FirstDeploy => {
            first_deploy(scene, new, revision, draft);
            None
        }
        Stage::Promoted => promoted(scene, new, draft),
        Stage::Aborted(stable) => aborted(scene, stable, draft),
        Stage::Updating => steps::advance(scene, new, revision, draft),
        Stage::StableGone => {
            hold_without_stable(draft);
            return None;
        }
    };
    if draft.status.stable_rs == scene.before.stable_rs {
        replica_sets::scale(scene, &position, draft);
    }
    if draft.status.abort {
        draft.because(Why::Aborted);
    }
    writing
}

/// No weight and no wait for proxies; the version is promoted once it is available (not earlier, as Argo does: a
/// first version that never works must not count as stable, reference §2.4).
fn first_deploy(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) {
    if draft.status.abort {
        draft.because(Why::Aborted);
        return;
    }
    if new.replicas < scene.spec.replicas || new.lasting() < scene.spec.replicas {
        draft.because(Why::WaitingForPods {
            replica_set: new.name.clone(),
            available: new.lasting(),
            wanted: scene.spec.replicas,
        });
        return;
    }
    services::point_both(scene, new, draft);
    promotion::commit(scene, revision, "Initial deploy", draft);
}

/// The stable arm takes all traffic; then nothing is left to do.
fn promoted(scene: &Scene<'_>, new: &ReplicaSet, draft: &mut Draft) -> Option<Weight> {
    promotion::forget_update(scene, draft);
    let Some(routed) = &scene.routed else {
        services::follow(scene, draft);
        return None;
    };
    traffic::to_stable(scene, routed, new, draft)
}

/// All traffic goes back to the stable version; then the canary may go.
fn aborted(scene: &Scene<'_>, stable: &ReplicaSet, draft: &mut Draft) -> Option<Weight> {
    let Some(routed) = &scene.routed else {
        services::follow(scene, draft);
        return None;
    };
    traffic::to_stable(scene, routed, stable, draft)
}
