//! The phase of a Rollout, in one place: the plugin shows what the operator's core says.

use crds::Rollout;
use crds::rollout::RolloutPhase;

/// Phase and message as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The phase.
    pub phase: RolloutPhase,
    /// Why; may be empty.
    pub message: String,
}

/// The phase of a Rollout as a client sees it (Argo's `GetRolloutPhase`): `Progressing` as long as the controller has
/// not seen the newest spec.
#[must_use]
pub fn of(rollout: &Rollout) -> Phase {
    let (phase, message) = operator_core::phase::of(rollout);
    Phase { phase, message }
}
