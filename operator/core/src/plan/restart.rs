//! `spec.restartAt`: pods that are older are evicted, a few at a time, and their ReplicaSets replace them (reference
//! §2.12). No revision is made.
//!
//! Stable pods go first, then those of the new version, then older ones; at most `maxUnavailable`, but at least one,
//! are missing at the same time. Proxies send a pod nothing new before it is evicted, and its last request has ended, or
//! `drainDeadlineSeconds` are over: unlike Argo, which evicts pods that are still sent requests. Only the last pod of a
//! version that is ready has nobody to leave its requests to. Whether an eviction is allowed is up to the pods'
//! disruption budgets; a pod that may not be evicted yet stays drained.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::draft::Draft;
use super::fleet::Fleet;
use super::quiesce;
use super::scene::Scene;
use crate::effect::{Effect, Target};
use crate::why::Why;
use crate::world::{Pod, ReplicaSet};

/// After this time it is tried again though nothing has changed: nobody tells that a budget allows an eviction now.
const RECHECK: TimeDelta = TimeDelta::seconds(30);

/// Evicts what may go now. Once no pod is older, the restart is recorded as done.
pub(super) fn act(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(moment) = due(scene, draft) else {
        if let Some(moment) = scene.spec.restart_at.filter(|moment| scene.now() < *moment) {
            draft.wake_at(moment);
        }
        return;
    };
    let left = older(scene, moment).len();
    if left == 0 {
        draft.status.restarted_at = Some(moment);
        return;
    }
    draft.because(Why::ReplacingPods { left });
    if draft.scales() {
        // Which pods that takes is seen afterwards.
        return;
    }
    let fleet = Fleet::of_pods(scene);
    for pod in leaving(scene, draft) {
        let Some(set) = scene.all().find(|set| set.uid == pod.replica_set) else { continue };
        let serves = pod.ready_since.is_some() && !is_last(scene, pod);
        if !serves || quiesce::may_go(scene, &fleet, set, pod, draft) {
            draft.afterwards(Effect::EvictPod { target: target_of(pod) });
        }
    }
    draft.wake_at(scene.now() + RECHECK);
}

/// The pods that make room for younger ones now, as many as may be missing: those that have been chosen, then the
/// others in their order. Empty without a restart that is under way.
pub(super) fn leaving<'w>(scene: &Scene<'w>, draft: &Draft) -> Vec<&'w Pod> {
    let Some(moment) = due(scene, draft) else { return Vec::new() };
    let mut pods = older(scene, moment);
    pods.retain(|pod| !pod.deleting);
    pods.sort_by_key(|pod| !quiesce::is_chosen(pod));
    pods.truncate(spare(scene));
    pods
}

/// The moment of a restart that has begun and has not been recorded as done.
fn due(scene: &Scene<'_>, draft: &Draft) -> Option<DateTime<Utc>> {
    scene
        .spec
        .restart_at
        .filter(|moment| draft.status.restarted_at != Some(*moment) && *moment <= scene.now())
}

fn older<'w>(scene: &Scene<'w>, moment: DateTime<Utc>) -> Vec<&'w Pod> {
    in_order(scene).into_iter().filter(|pod| pod.created < moment).collect()
}

/// No other pod of its version takes requests.
fn is_last(scene: &Scene<'_>, pod: &Pod) -> bool {
    let takes =
        |other: &Arc<Pod>| !other.deleting && other.ready_since.is_some() && !quiesce::is_chosen(other);
    !scene.world.pods.iter().any(|other| other.hash == pod.hash && other.uid != pod.uid && takes(other))
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
