//! The one-word and one-line summary of a Rollout: `status.phase` and `status.message`.
//!
//! Argo's rules and words (`utils/rollout/rolloututil.go`, reference §2.15); Argo CD's health check, scripts and the
//! kubectl plugin read them. [`calculate`] is what the operator records, [`of`] what a reader shows: it knows that a
//! change of the spec may not have been seen yet.

use crds::analysis::AnalysisPhase;
use crds::contract::WORKLOAD_GENERATION_ANNOTATION;
use crds::rollout::{Rollout, RolloutPhase, RolloutSpec, RolloutStatus};

use crate::conditions::{Kind, reason};
use crate::spec::DEFAULT_REPLICAS;

/// The phase and message of a Rollout as a reader shows them.
#[must_use]
pub fn of(rollout: &Rollout) -> (RolloutPhase, String) {
    let nothing = RolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&nothing);
    let waiting = |what: &str| (RolloutPhase::Progressing, format!("waiting for rollout {what}"));
    if !generation_observed(rollout.metadata.generation, status.observed_generation.as_deref()) {
        return waiting("spec update to be observed");
    }
    if rollout.spec.workload_ref.is_some() && !workload_observed(rollout, status) {
        return waiting("spec update to be observed for the reference workload");
    }
    if is_unpausing(status) {
        return waiting("to unpause");
    }
    match status.phase {
        Some(phase) => (phase, status.message.clone().unwrap_or_default()),
        None => calculate(&rollout.spec, status),
    }
}

/// The user resumed (the pause conditions are gone) and the operator has not seen it yet.
#[must_use]
pub fn is_unpausing(status: &RolloutStatus) -> bool {
    status.controller_pause && status.pause_conditions.is_empty()
}

/// The phase and message that follow from a spec and a status. The first rule that applies wins.
///
/// An `InvalidSpec` condition counts whatever its status is, and the reasons of an abort or a timeout count on any
/// condition: conditions that no longer hold have to be removed.
#[must_use]
pub fn calculate(spec: &RolloutSpec, status: &RolloutStatus) -> (RolloutPhase, String) {
    for condition in &status.conditions {
        if condition.kind == Kind::InvalidSpec.as_str() {
            return (RolloutPhase::Degraded, format!("InvalidSpec: {}", condition.message));
        }
        if condition.reason == reason::ABORTED || condition.reason == reason::TIMED_OUT {
            return (RolloutPhase::Degraded, format!("{}: {}", condition.reason, condition.message));
        }
    }
    if spec.paused {
        return (RolloutPhase::Paused, "manually paused".to_owned());
    }
    if let Some(pause) = status.pause_conditions.first() {
        return (RolloutPhase::Paused, pause.reason.as_str().to_owned());
    }
    if let Some(guard) = status.canary.guard.as_ref().filter(|it| it.held_since.is_some()) {
        return (RolloutPhase::Progressing, format!("the guard holds the promotion: {}", guard.message));
    }
    match progress(spec, status) {
        Some(message) => (RolloutPhase::Progressing, message.to_owned()),
        None => (RolloutPhase::Healthy, String::new()),
    }
}

/// What the Rollout still has to do.
fn progress(spec: &RolloutSpec, status: &RolloutStatus) -> Option<&'static str> {
    if spec.restart_at.is_some() && spec.restart_at != status.restarted_at {
        return Some("rollout is restarting");
    }
    if status.updated_replicas < spec.replicas.unwrap_or(DEFAULT_REPLICAS) {
        return Some("more replicas need to be updated");
    }
    if status.available_replicas < status.updated_replicas {
        return Some("updated replicas are still becoming available");
    }
    let promoted = status.stable_rs.is_some() && status.stable_rs == status.current_pod_hash;
    if let Some(blue_green) = &spec.strategy.blue_green {
        let active = &status.blue_green.active_selector;
        if active.is_none() || *active != status.current_pod_hash {
            return Some("active service cutover pending");
        }
        let analysis = status.blue_green.post_promotion_analysis_run_status.as_ref();
        let running = !analysis.and_then(|run| run.status).is_some_and(AnalysisPhase::is_completed);
        return match (promoted, blue_green.post_promotion_analysis.is_some() && running) {
            (true, _) => None,
            (false, true) => Some("waiting for analysis to complete"),
            (false, false) => Some("waiting for post-promotion verification to complete"),
        };
    }
    let canary = spec.strategy.canary.as_ref()?;
    if canary.traffic_routing.is_none() && status.replicas > status.updated_replicas {
        return Some("old replicas are pending termination");
    }
    (!promoted).then_some("waiting for all steps to complete")
}

/// A status without a readable generation is taken as current, as in Argo.
fn generation_observed(generation: Option<i64>, observed: Option<&str>) -> bool {
    observed
        .and_then(|text| text.parse::<i64>().ok())
        .is_none_or(|observed| observed >= generation.unwrap_or_default())
}

fn workload_observed(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let annotations = rollout.metadata.annotations.as_ref();
    let number = |text: &str| text.parse::<i32>().ok();
    let generation =
        annotations.and_then(|it| it.get(WORKLOAD_GENERATION_ANNOTATION)).and_then(|text| number(text));
    let observed = status.workload_observed_generation.as_deref().and_then(number);
    generation.is_none_or(|generation| observed.is_none_or(|observed| observed == generation))
}
