//! Where a Rollout stands as a whole, and what that asks for.

use super::super::draft::Draft;
use super::Scene;
use super::replica_sets;
use super::services;
use super::steps;
use super::traffic;
use crate::weight::Position;
use crate::why::Why;
use crate::world::ReplicaSet;

/// Where a Rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage<'w> {
    /// Nothing was ever promoted.
    FirstDeploy,
    /// The template is the promoted one: at rest, or at the end of a promotion, or on the way back.
    Promoted,
    /// The promoted ReplicaSet is gone in the middle of an update.
    StableGone,
    /// The update was aborted.
    Aborted(&'w ReplicaSet),
    /// The update goes through its steps.
    Updating,
}

impl<'w> Stage<'w> {
    fn of(scene: &Scene<'w>, draft: &Draft) -> Self {
        let status = &draft.status;
        match (status.stable_rs.as_deref(), scene.stable) {
            (None, _) => Self::FirstDeploy,
            (Some(stable), _) if stable == scene.hash => Self::Promoted,
            (Some(_), _) if status.promote_full => Self::Updating,
            (Some(_), None) => Self::StableGone,
            (Some(_), Some(stable)) if status.abort => Self::Aborted(stable),
            (Some(_), Some(_)) => Self::Updating,
        }
    }
}

/// Acts on the stage. Returns the weight that the plan writes, if it writes one.
///
/// ReplicaSets are scaled for the step that was current when the plan began: a step that completes now, or a promotion,
/// is recorded before anything is done about it.
pub(super) fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) -> Option<i32> {
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
            let why = Why::StableGone { hash: draft.status.stable_rs.clone().unwrap_or_default() };
            draft.stable_gone = Some(why.to_string());
            draft.because(why);
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
    if new.replicas < scene.spec.replicas || new.status.available < scene.spec.replicas {
        draft.because(Why::WaitingForPods {
            replica_set: new.name.clone(),
            available: new.status.available,
            wanted: scene.spec.replicas,
        });
        return;
    }
    services::point_both(scene, new, draft);
    steps::promote(scene, revision, "Initial deploy", draft);
}

/// The stable arm takes all traffic; then nothing is left to do. An abort has no meaning any more (as in Argo).
fn promoted(scene: &Scene<'_>, new: &ReplicaSet, draft: &mut Draft) -> Option<i32> {
    let status = &mut draft.status;
    status.abort = false;
    status.aborted_at = None;
    status.promote_full = false;
    status.pause_conditions.clear();
    status.controller_pause = false;
    status.current_step_index = scene.all_done();
    let Some(routed) = &scene.routed else {
        services::follow(scene, draft);
        return None;
    };
    traffic::to_stable(scene, routed, new, draft)
}

/// All traffic goes back to the stable version; then the canary may go.
fn aborted(scene: &Scene<'_>, stable: &ReplicaSet, draft: &mut Draft) -> Option<i32> {
    let Some(routed) = &scene.routed else {
        services::follow(scene, draft);
        return None;
    };
    traffic::to_stable(scene, routed, stable, draft)
}
