//! Scaling of one ReplicaSet, with the annotations that belong to it.

use crds::contract::{DESIRED_REPLICAS_ANNOTATION, SCALE_DOWN_DEADLINE_ANNOTATION};

use super::draft::Draft;
use super::scene::Scene;
use crate::why::Why;
use crate::world::ReplicaSet;

/// `spec.replicas` is not what an active ReplicaSet was last scaled for. Goes on during the user's pause too.
pub(super) fn size_changed(scene: &Scene<'_>) -> bool {
    let active = scene.new.into_iter().chain(scene.stable).filter(|set| set.replicas > 0);
    active.into_iter().any(|set| set.annotations.desired_replicas.is_some_and(|it| it != scene.spec.replicas))
}

/// Scales, and keeps the annotations that belong to the size. A ReplicaSet in use has no scale-down deadline.
///
/// One that has pods to lose grows when they have begun to go: until then its status and the proxies count pods that a
/// larger size does not keep.
pub(super) fn resize(scene: &Scene<'_>, set: &ReplicaSet, to: i32, draft: &mut Draft) {
    resize_within_delay(scene, set, to, draft);
    if set.annotations.scale_down_deadline.is_some() && to > 0 {
        draft.annotate(set, SCALE_DOWN_DEADLINE_ANNOTATION, None);
    }
}

/// The same for a ReplicaSet that keeps its scale-down deadline, if it has one.
pub(super) fn resize_within_delay(scene: &Scene<'_>, set: &ReplicaSet, to: i32, draft: &mut Draft) {
    if to > set.replicas && set.is_shrinking() {
        draft.because(Why::Scaling { replica_set: set.name.clone(), to: set.replicas });
        return;
    }
    if set.replicas != to {
        draft.scale(set, to);
        draft.because(Why::Scaling { replica_set: set.name.clone(), to });
    }
    if set.annotations.desired_replicas != Some(scene.spec.replicas) && (to > 0 || set.replicas != to) {
        draft.annotate(set, DESIRED_REPLICAS_ANNOTATION, Some(scene.spec.replicas.to_string()));
    }
}
