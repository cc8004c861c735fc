//! `spec.restartAt`: pods that are older are evicted, a few at a time, and their ReplicaSets replace them (reference
//! §2.12). No revision is made.
//!
//! Stable pods go first, then those of the new version, then older ones; at most `maxUnavailable`, but at least one,
//! are missing at the same time. Whether an eviction is allowed is up to the pods' disruption budgets.

use std::sync::Arc;

use chrono::TimeDelta;

use super::draft::Draft;
use super::scene::Scene;
use crate::effect::{Effect, Target};
use crate::why::Why;
use crate::world::{Pod, ReplicaSet};

/// After this time it is tried again though nothing has changed: nobody tells that a budget allows an eviction now.
const RECHECK: TimeDelta = TimeDelta::seconds(30);

/// Evicts what may go now. Once no pod is older, the restart is recorded as done.
pub(super) fn act(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(moment) = scene.spec.restart_at else { return };
    if draft.status.restarted_at == Some(moment) {
        return;
    }
    if scene.now() < moment {
        draft.wake_at(moment);
        return;
    }
    let old: Vec<&Pod> = in_order(scene).into_iter().filter(|pod| pod.created < moment).collect();
    if old.is_empty() {
        draft.status.restarted_at = Some(moment);
        return;
    }
    if draft.scales() {
        // Which pods that takes is seen afterwards.
        return draft.because(Why::ReplacingPods { left: old.len() });
    }
    for pod in old.iter().filter(|pod| !pod.deleting).take(spare(scene)) {
        draft.afterwards(Effect::EvictPod { target: target_of(pod) });
    }
    draft.wake_at(scene.now() + RECHECK);
    draft.because(Why::ReplacingPods { left: old.len() });
}

/// How many more pods may be missing. A version that is larger than it has to be does not count as spare.
fn spare(scene: &Scene<'_>) -> usize {
    let replicas = scene.spec.replicas;
    let total: i32 = scene.all().map(|set| set.replicas).sum();
    let at_once = scene.spec.strategy.max_unavailable(replicas).max(1);
    let needed = usize::try_from(total.max(replicas) - at_once).unwrap_or_default();
    let available = |pod: &&Arc<Pod>| pod.is_available(scene.spec.min_ready_seconds, scene.now());
    scene.world.pods.iter().filter(available).count().saturating_sub(needed)
}

/// All pods in the order in which they go.
fn in_order<'w>(scene: &Scene<'w>) -> Vec<&'w Pod> {
    let new = scene.new.filter(|new| scene.stable.is_none_or(|stable| stable.uid != new.uid));
    let sets = scene.stable.into_iter().chain(new).chain(scene.others.iter().rev().copied());
    sets.flat_map(|set| pods_of(scene, set)).collect()
}

/// The pods of a ReplicaSet, the oldest first.
pub(super) fn pods_of<'w>(scene: &Scene<'w>, set: &ReplicaSet) -> Vec<&'w Pod> {
    let own = scene.world.pods.iter().filter(|pod| pod.replica_set == set.uid);
    let mut pods: Vec<&Pod> = own.map(Arc::as_ref).collect();
    pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    pods
}

/// The pod as an effect names it.
pub(super) fn target_of(pod: &Pod) -> Target {
    Target { name: pod.name.clone(), uid: pod.uid.clone(), resource_version: pod.resource_version.clone() }
}
