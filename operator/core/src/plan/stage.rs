//! Where a Rollout stands as a whole; each strategy has its own moves for it.

use super::draft::Draft;
use super::scene::Scene;
use crate::why::Why;
use crate::world::ReplicaSet;

/// Where a Rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage<'w> {
    /// Nothing was ever promoted.
    FirstDeploy,
    /// The template is the promoted one: at rest, or at the end of a promotion, or on the way back.
    Promoted,
    /// The promoted ReplicaSet is gone in the middle of an update.
    StableGone,
    /// The update was aborted.
    Aborted(&'w ReplicaSet),
    /// The update goes its way.
    Updating,
}

impl<'w> Stage<'w> {
    pub(super) fn of(scene: &Scene<'w>, draft: &Draft) -> Self {
        let status = &draft.status;
        match (status.stable_rs.as_deref(), scene.stable) {
            (None, _) => Self::FirstDeploy,
            (Some(stable), _) if stable == scene.hash => Self::Promoted,
            (Some(_), _) if status.promote_full => Self::Updating,
            (Some(_), None) => Self::StableGone,
            (Some(_), Some(stable)) if status.abort => Self::Aborted(stable),
            (Some(_), Some(_)) => Self::Updating,
        }
    }
}

/// There is nothing to go back to, and nothing that is known to work: everything stays as it is.
pub(super) fn hold_without_stable(draft: &mut Draft) {
    let why = Why::StableGone { hash: draft.status.stable_rs.clone().unwrap_or_default() };
    draft.stable_gone = Some(why.to_string());
    draft.because(why);
}
