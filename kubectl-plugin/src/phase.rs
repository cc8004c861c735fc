//! The phase of a Rollout, in one place: what the whole plugin shows is what the operator's core says.

use crds::Rollout;

/// Phase and message as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// `Healthy`, `Degraded`, `Progressing` or `Paused`.
    pub word: String,
    /// Why; may be empty.
    pub message: String,
}

/// The phase of a Rollout as a client sees it (Argo's `GetRolloutPhase`): of a spec that the controller has not yet
/// seen, it is `Progressing`.
#[must_use]
pub fn of(rollout: &Rollout) -> Phase {
    let status = rollout.status.clone().unwrap_or_default();
    Phase {
        word: status.phase.map(|phase| phase.as_str().to_owned()).unwrap_or_default(),
        message: status.message.unwrap_or_default(),
    }
}
