//! The status that goes with the plan: counts, weights, conditions, phase, and the events of its transitions.

use chrono::{DateTime, TimeDelta, Utc};
use crds::contract::POD_TEMPLATE_HASH_LABEL;
use crds::rollout::{PauseCondition, Rollout, RolloutPhase, RolloutStatus};

use super::analysis;
use super::commands;
use super::draft::Draft;
use super::duration;
use super::rivals;
use super::scene::Scene;
use crate::conditions::{self, Kind, Observed, Transition, Truth, reason};
use crate::phase;
use crate::progress;
use crate::spec::Strategy;
use crate::world::{ReplicaSet, ReplicaSetStatus, World};

/// Reason of the event, and in the message, when the stable ReplicaSet is gone in the middle of an update.
const STABLE_GONE: &str = "StableReplicaSetMissing";

/// Completes the status of a Rollout whose spec is valid.
pub(super) fn record(scene: &Scene<'_>, revision: i64, draft: &mut Draft) {
    counts(scene, &mut draft.status);
    weight_moved(scene, draft);
    for transition in derive_conditions(scene, revision, draft) {
        match transition {
            Transition::NotCompleted => not_completed(scene, revision, draft),
            Transition::Aborted { message } => draft.warning(reason::ABORTED, message),
            Transition::TimedOut { message } => timed_out(scene, revision, message, draft),
        }
    }
    rivals::record(scene, draft);
    wake_at_deadline(scene, draft);
    duration::record(scene, draft);
    summarise(&scene.world.rollout, &mut draft.status);
    report_stable_gone(scene, draft);
    analysis::record(scene, draft);
    pauses(scene, draft);
}

/// Completes the status of a Rollout that cannot be acted on. One Warning a message.
pub(super) fn record_invalid(world: &World, stamp: DateTime<Utc>, message: &str, draft: &mut Draft) {
    let told = conditions::get(&draft.status, Kind::InvalidSpec).is_some_and(|held| held.message == message);
    if !told {
        draft.warning(reason::INVALID_SPEC, message.to_owned());
    }
    conditions::set(&mut draft.status, Kind::InvalidSpec, Truth::True, reason::INVALID_SPEC, message, stamp);
    draft.status.observed_generation = world.rollout.metadata.generation.map(|it| it.to_string());
    summarise(&world.rollout, &mut draft.status);
}

fn derive_conditions(scene: &Scene<'_>, revision: i64, draft: &mut Draft) -> Vec<Transition> {
    let observed = Observed {
        rollout: &scene.world.rollout,
        spec: scene.spec,
        replica_set: scene.new.map(|new| new.name.as_str()),
        revision,
        abort_reason: draft.abort_reason.as_deref(),
        failure: draft.stable_gone.as_deref().or_else(|| scene.new?.status.failure.as_deref()),
        waiting: draft.waits_on_purpose() || draft.shrinks(),
        available: is_available(scene, &draft.status),
        now: scene.stamp(),
    };
    conditions::update(&observed, &mut draft.status)
}

/// There is nothing to go back to, and requests for the stable version fail: say so at once, whatever the Rollout
/// waits for.
fn report_stable_gone(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(message) = draft.stable_gone.clone() else { return };
    let told =
        conditions::get(&scene.before, Kind::ReplicaFailure).is_some_and(|held| held.message == message);
    if !told {
        draft.warning(STABLE_GONE, message.clone());
    }
    draft.status.phase = Some(RolloutPhase::Degraded);
    draft.status.message = Some(format!("{STABLE_GONE}: {message}"));
}

fn not_completed(scene: &Scene<'_>, revision: i64, draft: &mut Draft) {
    let message = format!("Rollout not completed, started update to revision {revision} ({})", scene.hash);
    draft.normal("RolloutNotCompleted", message);
}

/// The deadline passed: with `progressDeadlineAbort` that aborts an update, which the next plan carries out.
fn timed_out(scene: &Scene<'_>, revision: i64, message: String, draft: &mut Draft) {
    draft.out_of_time = true;
    let promoted = draft.status.stable_rs.as_deref() == Some(scene.hash.as_str());
    if !scene.spec.progress_deadline_abort || promoted {
        draft.warning(reason::TIMED_OUT, message);
        return;
    }
    commands::abort(scene, draft);
    draft.abort_reason = Some(message);
    for transition in derive_conditions(scene, revision, draft) {
        if let Transition::Aborted { message } = transition {
            draft.warning(reason::ABORTED, message);
        }
    }
}

fn wake_at_deadline(scene: &Scene<'_>, draft: &mut Draft) {
    let held = conditions::get(&draft.status, Kind::Progressing).map(|held| held.reason.as_str());
    // It also counts for a version that was available once and has lost pods since.
    if held == Some(reason::TIMED_OUT) || progress::is_healthy(&scene.world.rollout, &draft.status) {
        return;
    }
    if let Some(deadline) = progress::deadline(&scene.world.rollout, &draft.status) {
        draft.wake_at(deadline + TimeDelta::seconds(1));
    }
}

fn summarise(rollout: &Rollout, status: &mut RolloutStatus) {
    let (phase, message) = phase::calculate(&rollout.spec, status);
    status.phase = Some(phase);
    status.message = (!message.is_empty()).then_some(message);
}

fn counts(scene: &Scene<'_>, status: &mut RolloutStatus) {
    // With blue-green, users and autoscalers are told of the version that has the requests.
    let active = active(scene, status);
    let sum = |count: fn(&ReplicaSetStatus) -> i32| scene.all().map(|set| count(&set.status)).sum();
    let serving = |count: fn(&ReplicaSetStatus) -> i32| {
        active.map_or_else(|| sum(count), |active| count(&active.status))
    };
    status.replicas = sum(|it| it.replicas);
    status.updated_replicas = scene.new.map_or(0, |new| new.status.replicas);
    status.ready_replicas = serving(|it| it.ready);
    status.available_replicas = serving(|it| it.available);
    status.hpa_replicas = serving(|it| it.replicas);
    let selector = &scene.spec.selector;
    status.selector = Some(match active {
        Some(active) => selector.and(POD_TEMPLATE_HASH_LABEL, &active.hash).to_string(),
        None => selector.to_string(),
    });
    status.observed_generation = scene.world.rollout.metadata.generation.map(|it| it.to_string());
}

/// Enough pods are available for the requests.
fn is_available(scene: &Scene<'_>, status: &RolloutStatus) -> bool {
    let serves = match &scene.spec.strategy {
        Strategy::Canary(_) => true,
        Strategy::BlueGreen(_) => active(scene, status).is_some(),
    };
    serves && status.available_replicas >= scene.spec.replicas
}

/// The version that the active Service selects; none with a canary.
fn active<'w>(scene: &Scene<'w>, status: &RolloutStatus) -> Option<&'w ReplicaSet> {
    let selector = status.blue_green.active_selector.as_deref();
    selector.and_then(|hash| scene.by_hash().get(hash).copied())
}

/// The event of another weight. It comes before what the weight leads to.
fn weight_moved(scene: &Scene<'_>, draft: &mut Draft) {
    let weight = |status: &RolloutStatus| status.canary.weights.as_ref().map(|weights| weights.canary.weight);
    match (weight(&scene.before), weight(&draft.status)) {
        (Some(from), Some(to)) if from != to => {
            draft.normal("TrafficWeightUpdated", format!("Traffic weight updated from {from} to {to}"));
        }
        (None, Some(to)) => draft.normal("TrafficWeightUpdated", format!("Traffic weight updated to {to}")),
        (Some(_) | None, Some(_) | None) => {}
    }
}

/// Events of pauses that began or ended.
fn pauses(scene: &Scene<'_>, draft: &mut Draft) {
    let reasons = |pauses: &[PauseCondition]| pauses.iter().map(|it| it.reason).collect::<Vec<_>>();
    let (was, is) = (reasons(&scene.before.pause_conditions), reasons(&draft.status.pause_conditions));
    // One that is added to another is told by its own event.
    for reason in is.iter().filter(|_| was.is_empty()) {
        draft.normal("RolloutPaused", format!("Rollout is paused ({})", reason.as_str()));
    }
    // As in Argo not where somebody promotes by hand, which takes the pauses away.
    if is.is_empty() && !was.is_empty() && !draft.status.abort {
        draft.normal("RolloutResumed", "Rollout is resumed".to_owned());
    }
}
