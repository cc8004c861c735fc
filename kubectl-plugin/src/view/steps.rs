//! Step and weight of a canary, also of one whose spec is invalid: what is shown must not depend on validation.

use crds::Rollout;
use crds::rollout::{CanaryStep, CanaryStrategy, RolloutStatus};

/// The step that a canary is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position<'a> {
    /// The strategy has no steps.
    NoSteps,
    /// At the step with this index.
    At(usize, &'a CanaryStep),
    /// Past the last of this many steps.
    Done(usize),
}

impl<'a> Position<'a> {
    /// Reads it from `status.currentStepIndex`; absent means the first step.
    #[must_use]
    pub fn of(canary: &'a CanaryStrategy, status: &RolloutStatus) -> Self {
        if canary.steps.is_empty() {
            return Self::NoSteps;
        }
        let index = usize::try_from(status.current_step_index.unwrap_or_default()).unwrap_or_default();
        match canary.steps.get(index) {
            Some(step) => Self::At(index, step),
            None => Self::Done(canary.steps.len()),
        }
    }
}

/// `3/5`; absent before the controller has set an index, and without steps.
#[must_use]
pub fn progress(canary: &CanaryStrategy, status: &RolloutStatus) -> Option<String> {
    let index = status.current_step_index?;
    (!canary.steps.is_empty()).then(|| format!("{index}/{}", canary.steps.len()))
}

/// The weight that the steps ask for now: of the last `setWeight` at or before the current step, 0 before the first
/// one and while aborted, everything past the last step.
#[must_use]
pub fn set_weight(canary: &CanaryStrategy, status: &RolloutStatus) -> i32 {
    if status.abort {
        return 0;
    }
    match Position::of(canary, status) {
        Position::At(index, _) => {
            canary.steps.iter().take(index + 1).rev().find_map(|step| step.set_weight).unwrap_or_default()
        }
        Position::NoSteps | Position::Done(_) => max_weight(canary),
    }
}

/// The strategy's canary part and the status of a Rollout, if it has such a strategy.
#[must_use]
pub fn canary(rollout: &Rollout) -> Option<(&CanaryStrategy, RolloutStatus)> {
    let canary = rollout.spec.strategy.canary.as_ref()?;
    Some((canary, rollout.status.clone().unwrap_or_default()))
}

fn max_weight(canary: &CanaryStrategy) -> i32 {
    canary.traffic_routing.as_ref().and_then(|routing| routing.max_traffic_weight).unwrap_or(100)
}
