//! Moves the weight and the Services of a Rollout with traffic routing (design §2.2).
//!
//! One rule serves abort, rollback, supersede and the end of a promotion: the canary's weight may go down as far as
//! the stable arm can carry the rest ([`lowest_weight`]). One rule serves every raise: the canary arm of every proxy
//! must hold exactly the new version, with the pods that the new weight needs.

use super::super::draft::Draft;
use super::super::services::may_adopt;
use super::Scene;
use super::drift;
use super::managed;
use super::mappings;
use super::routed::Routed;
use super::services;
use super::verify::Confirmation;
use crate::replicas::{self, Carried};
use crate::weight::{Position, Weight};
use crate::why::Why;
use crate::world::ReplicaSet;

/// Moves all traffic to the stable version: after an abort, a rollback, and when the new version has become the
/// stable one. Returns the weight that the plan writes, if it writes one.
pub(super) fn to_stable(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    stable: &ReplicaSet,
    draft: &mut Draft,
) -> Option<Weight> {
    services::point_stable(scene, routed, stable, draft);
    let mut writing = None;
    if routed.written() > Weight::ZERO {
        let lowest = match lowest_weight(scene, routed, stable, draft) {
            Ok(lowest) => lowest,
            Err(why) => {
                draft.because(why);
                return None;
            }
        };
        if lowest < routed.written() {
            mappings::lower(scene, routed, lowest, draft);
            draft.because(Why::Weighting { weight: routed.parts(lowest) });
            writing = Some(lowest);
        }
        if lowest > Weight::ZERO {
            draft.because(Why::StableShort {
                available: stable.lasting(),
                wanted: scene.spec.replicas,
                weight: routed.parts(lowest),
            });
            return writing;
        }
    }
    services::point_canary(scene, routed, stable, draft);
    if writing.is_none() {
        if routed.routing.base_is_canary() {
            mappings::sync(scene, routed, draft);
        } else {
            remove_canaries(scene, routed, draft);
        }
    }
    writing
}

/// Gives the canary this weight. Returns the weight that the plan writes, if it writes one.
pub(super) fn to_canary(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    new: &ReplicaSet,
    target: Weight,
    draft: &mut Draft,
) -> Option<Weight> {
    if let Some(stable) = scene.stable {
        services::point_stable(scene, routed, stable, draft);
    }
    if routed.canary_hash() != Some(new.hash.as_str()) {
        return take_canary_service(scene, routed, new, target, draft);
    }
    if drift::rests(scene, routed, target, draft) {
        return None;
    }
    let writing = if routed.written() > target {
        lower(scene, routed, target, draft)
    } else if target == Weight::ZERO || routed.all_have(target) {
        None
    } else if routed.canaries.values().any(|canary| canary.existing.is_none()) {
        mappings::create(scene, routed, draft);
        draft.because(Why::RouteWritten);
        None
    } else {
        raise(scene, routed, new, target, draft)
    };
    if writing.is_none() {
        mappings::sync(scene, routed, draft);
        managed::keep(scene, routed, draft);
    }
    writing
}

/// The canary Service leaves the version it selects, once nothing is sent there and the new one has a pod.
fn take_canary_service(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    new: &ReplicaSet,
    target: Weight,
    draft: &mut Draft,
) -> Option<Weight> {
    if routed.written() > Weight::ZERO {
        return lower(scene, routed, Weight::ZERO, draft);
    }
    if let Confirmation::Pending(why) = routed.weight_confirmed(scene) {
        draft.because(why);
        return None;
    }
    if !managed::gone(scene, routed) {
        draft.because(Why::RouteWritten);
        return None;
    }
    // A Service that selects no pod answers nobody: it stays where it is until there is one.
    let least = scene.spec.replicas.min(1);
    let wanted = wanted_canary(scene, draft);
    if new.lasting() < least || !may_adopt(routed.canary_service, new, wanted) {
        if target > Weight::ZERO || wanted > 0 {
            draft.because(waiting_for_pods(new, wanted.max(least)));
        }
        return None;
    }
    services::point_canary(scene, routed, new, draft);
    draft.because(Why::RouteWritten);
    if target > Weight::ZERO {
        mappings::create(scene, routed, draft);
    }
    None
}

fn raise(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    new: &ReplicaSet,
    target: Weight,
    draft: &mut Draft,
) -> Option<Weight> {
    let need = wanted_canary(scene, draft);
    if !replicas::enough(scene.canary.threshold, new.lasting(), need) {
        draft.because(waiting_for_pods(new, need));
        return None;
    }
    let ready = need.min(new.lasting());
    if let Confirmation::Pending(why) = routed.canary_arm_confirmed(scene, &new.hash, ready) {
        draft.because(why);
        return None;
    }
    mappings::raise(scene, routed, target, draft);
    draft.because(Why::Weighting { weight: routed.parts(target) });
    Some(target)
}

/// Lowers the weight while an update goes on: as far as the stable version carries the rest.
fn lower(scene: &Scene<'_>, routed: &Routed<'_>, target: Weight, draft: &mut Draft) -> Option<Weight> {
    let Some(stable) = scene.stable else {
        draft.because(Why::StableGone { hash: scene.before.stable_rs.clone().unwrap_or_default() });
        return None;
    };
    match lowest_weight(scene, routed, stable, draft) {
        Err(why) => {
            draft.because(why);
            None
        }
        Ok(lowest) if lowest.max(target) < routed.written() => {
            let to = lowest.max(target);
            mappings::lower(scene, routed, to, draft);
            draft.because(Why::Weighting { weight: routed.parts(to) });
            Some(to)
        }
        Ok(_) => {
            draft.because(Why::StableShort {
                available: stable.lasting(),
                wanted: scene.spec.replicas,
                weight: routed.parts(routed.written()),
            });
            None
        }
    }
}

/// The lowest weight that leaves nobody without pods.
///
/// While the canary Service selects the stable version (the end of a promotion), the canary arm is as good as the
/// stable one: the weight stays until every proxy's stable arm holds exactly that version. Otherwise it is what the
/// stable version's available pods cannot carry, or nothing if the canary has no pods to carry it either.
fn lowest_weight(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    stable: &ReplicaSet,
    draft: &Draft,
) -> Result<Weight, Why> {
    let replicas = scene.spec.replicas;
    if routed.canary_hash() == Some(stable.hash.as_str()) {
        if routed.stable_hash() != Some(stable.hash.as_str()) || draft.writes_route() {
            return Err(Why::RouteWritten);
        }
        let need = replicas.min(stable.lasting());
        if !replicas::enough(scene.canary.threshold, stable.lasting(), replicas) {
            return Err(waiting_for_pods(stable, replicas));
        }
        return match routed.stable_arm_confirmed(scene, &stable.hash, need) {
            Confirmation::Confirmed => Ok(Weight::ZERO),
            Confirmation::Pending(why) => Err(why),
        };
    }
    let canary = routed.canary_hash().and_then(|hash| scene.by_hash().get(hash).copied());
    if canary.is_none_or(|canary| canary.lasting() <= 0) || stable.lasting() >= replicas {
        return Ok(Weight::ZERO);
    }
    let total = routed.routing.total();
    let available = i64::from(stable.lasting().max(0));
    let carried = i64::from(total.parts()) * available / i64::from(replicas.max(1));
    let carried = i32::try_from(carried).ok().and_then(|parts| Weight::new(parts, total));
    let rest = carried.unwrap_or(Weight::FULL).rest();
    Ok(rest.min(routed.written()))
}

/// Deletes the canary Mappings once nobody sends anything to them.
fn remove_canaries(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft) {
    if !routed.any_exists() {
        return;
    }
    match routed.weight_confirmed(scene) {
        Confirmation::Confirmed => mappings::delete_all(routed, draft),
        Confirmation::Pending(why) => draft.because(why),
    }
}

/// The pods that the canary should have at its step.
fn wanted_canary(scene: &Scene<'_>, draft: &Draft) -> i32 {
    let position = Position::of(&draft.status);
    replicas::routed::counts(scene.spec.replicas, scene.canary, &position, Carried::default()).canary
}

fn waiting_for_pods(set: &ReplicaSet, wanted: i32) -> Why {
    Why::WaitingForPods { replica_set: set.name.clone(), available: set.lasting(), wanted }
}
