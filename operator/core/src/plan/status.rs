//! The status that goes with the plan: counts, weights, conditions, phase, and the events of its transitions.

use chrono::{DateTime, Utc};
use crds::rollout::{PauseCondition, RolloutStatus};

use super::draft::Draft;
use super::duration;
use super::scene::Scene;
use super::verify;
use crate::world::World;

/// Completes the status of a Rollout whose spec is valid.
pub(super) fn record(scene: &Scene<'_>, revision: i64, writing: Option<i32>, draft: &mut Draft) {
    let _ = revision;
    counts(scene, &mut draft.status);
    weights(scene, writing, draft);
    duration::record(scene, draft);
    transitions(scene, draft);
}

/// Completes the status of a Rollout that cannot be acted on.
pub(super) fn record_invalid(world: &World, stamp: DateTime<Utc>, message: &str, draft: &mut Draft) {
    let _ = (world, stamp);
    draft.warning("InvalidSpec", message.to_owned());
}

fn counts(scene: &Scene<'_>, status: &mut RolloutStatus) {
    let sum = |count: fn(&crate::world::ReplicaSetStatus) -> i32| scene.all().map(|set| count(&set.status)).sum();
    status.replicas = sum(|it| it.replicas);
    status.ready_replicas = sum(|it| it.ready);
    status.available_replicas = sum(|it| it.available);
    status.hpa_replicas = status.replicas;
    status.updated_replicas = scene.new.map_or(0, |new| new.status.replicas);
    status.selector = Some(scene.spec.selector.to_string());
    status.observed_generation = scene.world.rollout.metadata.generation.map(|it| it.to_string());
}

/// Weights are recorded once there is a stable version. A Rollout at rest is not asked about again: proxies come and
/// go, and its route has no canary arm.
fn weights(scene: &Scene<'_>, writing: Option<i32>, draft: &mut Draft) {
    let Some(routed) = scene.routed.as_ref().filter(|_| draft.status.stable_rs.is_some()) else {
        draft.status.canary.weights = None;
        draft.status.conditions.retain(|condition| condition.kind != verify::CONDITION);
        return;
    };
    let promoted = draft.status.stable_rs.as_deref() == Some(scene.hash.as_str());
    let at_rest = promoted && !routed.any_exists() && scene.before.stable_rs == draft.status.stable_rs;
    let recorded = scene.before.canary.weights.as_ref().is_some_and(|weights| {
        weights.verified != Some(false)
            && weights.canary.weight == 0
            && [&weights.canary, &weights.stable].into_iter().all(|it| it.pod_template_hash == draft.status.stable_rs)
    });
    if !(at_rest && recorded) {
        verify::record(scene, routed, writing, draft);
    }
}

/// Events that tell how the status changed.
fn transitions(scene: &Scene<'_>, draft: &mut Draft) {
    let before = &scene.before;
    let weight = |status: &RolloutStatus| status.canary.weights.as_ref().map(|weights| weights.canary.weight);
    match (weight(before), weight(&draft.status)) {
        (Some(from), Some(to)) if from != to => {
            draft.normal("TrafficWeightUpdated", format!("Traffic weight updated from {from} to {to}"));
        }
        (None, Some(to)) => draft.normal("TrafficWeightUpdated", format!("Traffic weight updated to {to}")),
        (Some(_) | None, Some(_) | None) => {}
    }
    let reasons = |pauses: &[PauseCondition]| pauses.iter().map(|it| it.reason).collect::<Vec<_>>();
    let (was, is) = (reasons(&before.pause_conditions), reasons(&draft.status.pause_conditions));
    for reason in is.iter().filter(|reason| !was.contains(reason)) {
        draft.normal("RolloutPaused", format!("Rollout is paused ({})", reason.as_str()));
    }
    if is.is_empty() && !was.is_empty() && !draft.status.abort {
        draft.normal("RolloutResumed", "Rollout is resumed".to_owned());
    }
}
