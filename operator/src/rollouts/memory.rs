//! What is known of a Rollout beside its status: what changes too often for it, and what it cannot hold.
//!
//! The definition of Argo Rollouts does not have all fields of our status, and the API server drops what the one that it
//! serves does not have. What is missing in the answer to a write is kept here: so a guard works there all the same, and
//! what cannot be recorded is not written again and again. A new process knows nothing of it: evidence begins anew.

use crds::rollout::{
    RolloutStatus,
    status::{GuardStatus, RolloutDuration},
};
use operator_core::world::World;

/// What is known of one Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    /// What the last plan knew of the canary.
    pub(super) guard: Option<GuardStatus>,
    /// What was recorded, and is not in the status.
    dropped: Dropped,
}

/// The fields of a status that Argo's definition does not have; `None`: it was not recorded, or is in the status.
#[derive(Clone, Debug, Default, PartialEq)]
struct Dropped {
    guard: Option<GuardStatus>,
    duration: Option<RolloutDuration>,
}

impl Memory {
    /// Nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts it into a world that was made of what the API server has.
    pub(super) fn complete(&self, world: &mut World) {
        world.guard.clone_from(&self.guard);
        let Dropped { guard, duration } = self.dropped.clone();
        let Some(status) = &mut world.rollout.status else { return };
        status.canary.guard = status.canary.guard.take().or(guard);
        status.duration = status.duration.take().or(duration);
    }

    /// Notes what is missing in the status that the API server has, now that another one was to be recorded.
    pub(super) fn compare(&mut self, wanted: &RolloutStatus, recorded: &RolloutStatus) {
        let guard = wanted.canary.guard.clone().filter(|_| recorded.canary.guard.is_none());
        let duration = wanted.duration.clone().filter(|_| recorded.duration.is_none());
        self.dropped = Dropped { guard, duration };
    }
}
