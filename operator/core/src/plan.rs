//! The decision: `World` in, [`Plan`] out.
//!
//! Level-triggered: `plan` looks at the world afresh every time and keeps no memory; the status stores only what
//! cannot be observed again. The shell executes the effects in order, then records the status if it differs.

use chrono::{DateTime, Utc};
use crds::rollout::RolloutStatus;

use crate::effect::Effect;
use crate::why::Why;
use crate::world::World;

/// What to do now, what to record, when to look again, and why.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a plan that is not executed changes nothing"]
pub struct Plan {
    /// What to change in the cluster, in this order.
    pub effects: Vec<Effect>,
    /// The status to record after the effects, whole. Equal to the world's own status if nothing is to be written.
    /// The write is refused (and the plan made again) if the Rollout's `resourceVersion` is not the world's.
    pub status: RolloutStatus,
    /// When to plan again.
    pub wake: Wake,
    /// Why this and nothing else. The first reason is what the Rollout waits for.
    pub why: Why,
}

/// When a Rollout has to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// When one of its objects or the fold of its splits changes.
    OnChange,
    /// At this moment, or when something changes.
    At(DateTime<Utc>),
}

/// Decides the next move of one Rollout. Pure: the same world gives the same plan.
pub fn plan(world: &World) -> Plan {
    Plan { effects: Vec::new(), status: world.rollout.status.clone().unwrap_or_default(), wake: Wake::OnChange, why: Why::UpToDate }
}
