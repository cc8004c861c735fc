//! `promote`: which patches move a Rollout on. Argo's rules: to the next step, or past a pause, never both; except
//! that an inconclusive analysis step is left behind together with its pause.

use crds::Rollout;
use crds::analysis::AnalysisPhase;
use crds::rollout::{CanaryStrategy, RolloutStatus};

use super::{Body, Change, Cleared, Spec, Status};
use crate::view::steps::Position;

/// How far to promote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Past the current pause or step.
    Next,
    /// To the end, without steps, pauses and analyses.
    Full,
    /// Past the current step (deprecated).
    SkipCurrentStep,
    /// Past all steps (deprecated).
    SkipAllSteps,
}

/// Why a Rollout cannot be promoted as asked. The sentences are Argo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Blue-green has no steps.
    #[error("Cannot skip steps of a bluegreen rollout. Run without a flags")]
    BlueGreen,
    /// A canary without steps, or no strategy at all.
    #[error("Cannot skip steps of a rollout without steps")]
    NoSteps,
}

/// The patches of a promotion; none if there is nothing to do.
pub fn promote(rollout: &Rollout, promotion: Promotion) -> Result<Change, Refusal> {
    let status = rollout.status.clone().unwrap_or_default();
    match promotion {
        Promotion::Next => Ok(next(rollout, &status)),
        Promotion::Full => Ok(full(rollout, &status)),
        Promotion::SkipCurrentStep => {
            let Some(canary) = canary_with_steps(rollout)? else { return Ok(Change::default()) };
            Ok(go_to(next_step(canary, &status).unwrap_or_default()))
        }
        Promotion::SkipAllSteps => {
            Ok(go_to(canary_with_steps(rollout)?.ok_or(Refusal::NoSteps)?.steps.len()))
        }
    }
}

fn next(rollout: &Rollout, status: &RolloutStatus) -> Change {
    let step = rollout.spec.strategy.canary.as_ref().and_then(|canary| next_step(canary, status));
    let cleared = Status { pause_conditions: Some(Cleared), ..Status::default() };
    let paused = !status.pause_conditions.is_empty();
    let (patch, unified) = if paused && status.controller_pause && is_inconclusive(status) && step.is_some() {
        let leave = Status { controller_pause: Some(false), current_step_index: step, ..cleared };
        (Some(leave), cleared)
    } else if paused {
        (Some(cleared), cleared)
    } else if step.is_some() {
        let go_on = Status { current_step_index: step, ..cleared };
        (Some(go_on), go_on)
    } else {
        (None, cleared)
    };
    Change {
        status: patch.map(Body::of_status),
        spec: rollout.spec.paused.then_some(Body::of_spec(UNPAUSED)),
        unified: Some(Body { spec: Some(UNPAUSED), status: Some(unified) }),
    }
}

fn full(rollout: &Rollout, status: &RolloutStatus) -> Change {
    let wanted = Status { promote_full: Some(true), ..Status::default() };
    let unfinished = status.current_pod_hash != status.stable_rs;
    Change {
        status: unfinished.then_some(Body::of_status(wanted)),
        spec: rollout.spec.paused.then_some(Body::of_spec(UNPAUSED)),
        unified: Some(Body { spec: Some(UNPAUSED), status: Some(wanted) }),
    }
}

const UNPAUSED: Spec = Spec { paused: Some(false), restart_at: None, terminate: None };

fn go_to(step: usize) -> Change {
    Change::of_status(Status { current_step_index: Some(step), ..Status::default() })
}

/// The index after the current step, at most the number of steps. Absent without steps.
fn next_step(canary: &CanaryStrategy, status: &RolloutStatus) -> Option<usize> {
    match Position::of(canary, status) {
        Position::NoSteps => None,
        Position::At(index, _) => Some(index + 1),
        Position::Done(steps) => Some(steps),
    }
}

fn is_inconclusive(status: &RolloutStatus) -> bool {
    let run = status.canary.current_step_analysis_run_status.as_ref();
    run.is_some_and(|run| run.status == Some(AnalysisPhase::Inconclusive))
}

/// The canary strategy of a Rollout whose steps may be skipped; absent without any strategy.
fn canary_with_steps(rollout: &Rollout) -> Result<Option<&CanaryStrategy>, Refusal> {
    let strategy = &rollout.spec.strategy;
    if strategy.blue_green.is_some() {
        return Err(Refusal::BlueGreen);
    }
    match &strategy.canary {
        Some(canary) if canary.steps.is_empty() => Err(Refusal::NoSteps),
        canary => Ok(canary.as_ref()),
    }
}
