//! Deletes the oldest empty ReplicaSets past `revisionHistoryLimit`.

use super::draft::{Draft, target_of};
use super::scene::Scene;
use crate::effect::Effect;

pub(super) fn clean(scene: &Scene<'_>, draft: &mut Draft) {
    let empty = |it: &&crate::world::ReplicaSet| it.replicas == 0 && it.status.replicas == 0 && !it.deleting;
    let mut old: Vec<_> = scene.others.iter().copied().filter(empty).collect();
    old.sort_by_key(|set| std::cmp::Reverse((set.annotations.revision, set.created)));
    for set in old.into_iter().skip(scene.spec.revision_history_limit) {
        draft.effect(Effect::DeleteReplicaSet { target: target_of(set) });
    }
}
