//! Sizes of the ReplicaSets of the update, by the strategy's arithmetic.

use chrono::TimeDelta;

use super::super::analysis;
use super::super::draft::Draft;
use super::super::fleet::Fleet;
use super::super::quiesce;
use super::super::release::{self, Delay, Ways};
use super::super::scaling::{resize, size_changed};
use super::Scene;
use super::routed::Routed;
use super::verify::Confirmation;
use crate::replicas::{self, Carried, Size, Sizes};
use crate::weight::{Position, Weight};
use crate::world::ReplicaSet;

/// Scales every ReplicaSet to what the position asks for. Goes last: traffic moves before pods do.
pub(super) fn scale(scene: &Scene<'_>, position: &Position, draft: &mut Draft) {
    let halts = scene.spec.paused || analysis::halts(draft);
    if halts && !size_changed(scene) && !quiesce::is_under_way(scene, draft) {
        return;
    }
    let wanted = replicas::wanted(scene.spec.replicas, scene.canary, position, &sizes(scene));
    match &scene.routed {
        Some(routed) => scale_routed(scene, routed, wanted, draft),
        None => scale_basic(scene, wanted, draft),
    }
}

/// The sizes that the arithmetic works with.
pub(super) fn sizes(scene: &Scene<'_>) -> Sizes {
    let stable = scene.stable.filter(|stable| scene.new.is_none_or(|new| new.name != stable.name));
    Sizes {
        carried: Carried::default(),
        canary: scene.new.map(Size::from),
        stable: stable.map(Size::from),
        older: scene.others.iter().map(|set| Size::from(*set)).collect(),
    }
}

fn scale_routed(scene: &Scene<'_>, routed: &Routed<'_>, wanted: replicas::Counts, draft: &mut Draft) {
    let ways = Ways {
        fleet: &routed.fleet,
        services: [routed.stable_service, routed.canary_service],
        settled: routed.weight_confirmed(scene) == Confirmation::Confirmed && !draft.writes_route(),
    };
    let delay = Delay {
        time: scene.canary.scale_down_delay,
        least: TimeDelta::zero(),
        limit: scene.canary.scale_down_delay_revision_limit,
    };
    let replicas = scene.spec.replicas;
    let carried = routed.carried(scene, ways.settled);
    let Some((new, stable)) = scene.new.zip(scene.stable).filter(|(new, stable)| new.name != stable.name)
    else {
        if let Some(only) = scene.stable.or(scene.new) {
            let pods = quiesce::allowed(scene, &routed.fleet, only, replicas, draft);
            resize(scene, only, pods, draft);
        }
        release::others(scene, &ways, delay, draft);
        return;
    };
    // A version that is superseded can only be left for a stable one that carries everything.
    let superseding = routed.written() > Weight::ZERO && routed.canary_hash() != Some(new.hash.as_str());
    let stable_pods = if superseding { replicas } else { wanted.stable };
    shrink_to(scene, &routed.fleet, stable, (stable_pods, carried.stable), draft);
    match scene.canary.abort_scale_down_delay {
        _ if !draft.status.abort => {
            shrink_to(scene, &routed.fleet, new, (wanted.canary, carried.canary), draft);
        }
        None => {}
        Some(_) if scene.canary.dynamic_stable_scale && carried.canary > Weight::ZERO => {
            shrink_to(scene, &routed.fleet, new, (wanted.canary, carried.canary), draft);
        }
        Some(delay) => release::release(scene, &ways, new, delay, draft),
    }
    release::others(scene, &ways, delay, draft);
}

/// Scales, but never below the pods that a version needs for what proxies may send it now.
fn shrink_to(
    scene: &Scene<'_>,
    fleet: &Fleet<'_>,
    set: &ReplicaSet,
    (to, carried): (i32, Weight),
    draft: &mut Draft,
) {
    let floor = set.replicas.min(carried.of_pods(scene.spec.replicas));
    let pods = quiesce::allowed(scene, fleet, set, to.max(floor), draft);
    resize(scene, set, pods, draft);
}

fn scale_basic(scene: &Scene<'_>, wanted: replicas::Counts, draft: &mut Draft) {
    let fleet = Fleet::of_pods(scene);
    let mut scale = |set: &ReplicaSet, to: i32| {
        let pods = quiesce::allowed(scene, &fleet, set, to, draft);
        resize(scene, set, pods, draft);
    };
    let distinct_stable = scene.stable.filter(|stable| scene.new.is_none_or(|new| new.name != stable.name));
    if let Some(stable) = distinct_stable {
        scale(stable, wanted.stable);
    }
    if let Some(new) = scene.new {
        scale(new, wanted.canary);
    }
    for (set, kept) in older(scene) {
        scale(set, kept);
    }
}

/// What older versions keep: they go as far as `maxUnavailable` allows, pods that are not available first, then the
/// oldest version.
fn older<'w>(scene: &Scene<'w>) -> Vec<(&'w ReplicaSet, i32)> {
    let limits = replicas::basic::Limits::of(scene.canary, scene.spec.replicas);
    let available: i32 = scene.all().map(ReplicaSet::lasting).sum();
    let mut spare = (available - (scene.spec.replicas - limits.unavailable)).max(0);
    let shrink = |set: &'w ReplicaSet| {
        let kept = (set.lasting() - spare).max(0);
        spare -= set.lasting() - kept;
        (set, kept)
    };
    scene.others.iter().copied().rev().filter(|set| set.replicas > 0).map(shrink).collect()
}
