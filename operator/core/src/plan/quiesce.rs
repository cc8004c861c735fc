//! Lets single pods of a version go that others of it outlive (design §2.2, scale down).
//!
//! The pods that will go are chosen here and marked: proxies send them nothing new, and the ReplicaSet controller takes
//! them first. `spec.replicas` is lowered once all of them are done: every proxy has taken them out and their last
//! request has ended, or `drainDeadlineSeconds` are over. Pods that are not ready get no requests; they go at once, and
//! the ReplicaSet controller takes them before any other. A mark that is no longer wanted is taken off. Pods that a
//! restart replaces are marked and asked in the same way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use crds::contract::{DRAIN_UNTIL_ANNOTATION, DRAINING_LABEL, POD_DELETION_COST_ANNOTATION};
use crds::go_json::rfc3339_seconds;

use super::draft::Draft;
use super::fleet::{Blind, Fleet};
use super::restart;
use super::scene::Scene;
use crate::effect::{Changes, Effect, Target};
use crate::why::Why;
use crate::world::{Pod, ReplicaSet};

/// Value of the label. Its presence counts.
const CHOSEN: &str = "true";
/// Any number below 0, which is what pods without the annotation have.
const COST: &str = "-1000";

/// The size that the ReplicaSet may have now on its way down to `to` pods. `to` itself if it does not shrink.
pub(super) fn allowed(
    scene: &Scene<'_>,
    fleet: &Fleet<'_>,
    set: &ReplicaSet,
    to: i32,
    draft: &mut Draft,
) -> i32 {
    let mut pods: Vec<&Arc<Pod>> =
        scene.world.pods.iter().filter(|pod| pod.replica_set == set.uid && !pod.deleting).collect();
    pods.sort_by_key(|pod| {
        (pod.ready_since.is_some(), !is_chosen(pod), Reverse(pod.ready_since), pod.name.clone())
    });
    let excess = pods.len().saturating_sub(usize::try_from(to).unwrap_or_default());
    let (leaving, staying) = pods.split_at(excess.min(pods.len()));
    let chosen_before = chosen(scene, draft);
    for pod in staying.iter().filter(|pod| chosen_before.contains(pod.uid.as_str())) {
        release(pod, draft);
    }
    if to >= set.replicas {
        return to;
    }
    if draft.writes_route() {
        // What reaches these pods is about to change; what is known of it is of before.
        return set.replicas;
    }
    let unready = leaving.iter().filter(|pod| pod.ready_since.is_none()).count();
    let ready = leaving.iter().filter(|pod| pod.ready_since.is_some());
    // Each is asked, because each that is not chosen yet is chosen now.
    let waiting = ready.filter(|pod| !may_go(scene, fleet, set, pod, draft)).count();
    if waiting == 0 { to } else { (set.replicas - i32::try_from(unready).unwrap_or(i32::MAX)).max(to) }
}

/// Pods were chosen that have not gone yet, and not for a restart: what began goes on during the user's pause.
pub(super) fn is_under_way(scene: &Scene<'_>, draft: &Draft) -> bool {
    !chosen(scene, draft).is_empty()
}

/// Uids of the pods that were chosen to make their version smaller.
fn chosen<'w>(scene: &Scene<'w>, draft: &Draft) -> BTreeSet<&'w str> {
    let pods = scene.world.pods.iter().filter(|pod| !pod.deleting && is_chosen(pod));
    let mut chosen: BTreeSet<&str> = pods.map(|pod| pod.uid.as_str()).collect();
    for pod in restart::leaving(scene, draft) {
        chosen.remove(pod.uid.as_str());
    }
    chosen
}

/// Whether a ready pod may go now. Chooses it if it was not yet.
pub(super) fn may_go(
    scene: &Scene<'_>,
    fleet: &Fleet<'_>,
    set: &ReplicaSet,
    pod: &Pod,
    draft: &mut Draft,
) -> bool {
    let fold = match fleet.fold() {
        Ok(fold) => fold,
        Err(Blind::NotConfigured) => return true,
        Err(Blind::Unknown(reason)) => {
            draft.because(Why::DataPlaneUnknown { reason: reason.to_owned() });
            return until(pod).is_some_and(|until| until <= scene.now());
        }
    };
    let load = fold.pod_load(&pod.name, &pod.hash);
    if load.is_some_and(|load| !load.routable && load.settled && load.in_flight == 0) {
        return true;
    }
    let until = match until(pod) {
        Some(until) if until <= scene.now() => return true,
        Some(until) => until,
        None => {
            let until = scene.start() + fleet.confirm.drain_deadline;
            choose(pod, until, draft);
            until
        }
    };
    draft.wake_at(until);
    draft.because(Why::Draining {
        replica_set: set.name.clone(),
        in_flight: load.map_or(0, |load| load.in_flight),
        until,
    });
    false
}

/// Proxies are to send it nothing new.
pub(super) fn is_chosen(pod: &Pod) -> bool {
    pod.labels.contains_key(DRAINING_LABEL)
}

/// When it goes whatever it still has; `None` if it was not chosen, or nobody can read when.
fn until(pod: &Pod) -> Option<DateTime<Utc>> {
    let written = pod.annotations.get(DRAIN_UNTIL_ANNOTATION).filter(|_| is_chosen(pod))?;
    written.parse().ok()
}

fn choose(pod: &Pod, until: DateTime<Utc>, draft: &mut Draft) {
    let annotations = [
        (POD_DELETION_COST_ANNOTATION.to_owned(), Some(COST.to_owned())),
        (DRAIN_UNTIL_ANNOTATION.to_owned(), Some(rfc3339_seconds(until))),
    ];
    change(pod, Some(CHOSEN.to_owned()), annotations.into(), draft);
}

fn release(pod: &Pod, draft: &mut Draft) {
    let annotations =
        [POD_DELETION_COST_ANNOTATION, DRAIN_UNTIL_ANNOTATION].map(|name| (name.to_owned(), None));
    change(pod, None, annotations.into(), draft);
}

fn change(pod: &Pod, label: Option<String>, annotations: Changes, draft: &mut Draft) {
    draft.effect(Effect::ChangePod {
        target: Target {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            resource_version: pod.resource_version.clone(),
        },
        labels: BTreeMap::from([(DRAINING_LABEL.to_owned(), label)]),
        annotations,
    });
}
