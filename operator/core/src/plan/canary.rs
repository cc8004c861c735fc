//! The strategy `canary`.
//!
//! | file | idea |
//! |---|---|
//! | `stage` | first deploy, update, abort, end of a promotion |
//! | `steps` | one step after the other, then the promotion |
//! | `traffic`, `services`, `mappings` | weights and selectors, in the order that loses no request |
//! | `managed` | header and mirror routes of the steps |
//! | `trials` | the share of an Experiment's pods |
//! | `drift` | a weight that somebody else set |
//! | `routed`, `verify` | what is written and whether it is served |
//! | `replica_sets` | sizes |
//! | `watchdog` | a canary that dies during a pause |

mod drift;
mod managed;
mod mappings;
mod replica_sets;
mod routed;
mod services;
mod stage;
mod steps;
mod traffic;
mod trials;
mod verify;
mod watchdog;

use std::ops::Deref;

use crds::rollout::status::CanaryStatus;

use self::routed::Routed;
use super::analysis;
use super::blue_green;
use super::draft::Draft;
use super::scene;
use crate::spec::{Canary, Routing};
use crate::weight::Weight;
use crate::world::ReplicaSet;

/// What a decision about a canary reads.
#[derive(Debug)]
pub(super) struct Scene<'w> {
    common: &'w scene::Scene<'w>,
    canary: &'w Canary,
    /// The routes; `None` with a basic canary.
    routed: Option<Routed<'w>>,
}

impl<'w> Scene<'w> {
    pub(super) fn new(common: &'w scene::Scene<'w>, canary: &'w Canary) -> Self {
        let routed = match &canary.routing {
            Routing::Mappings(routing) => Some(Routed::new(common, canary, routing)),
            Routing::Replicas { .. } => None,
        };
        Self { common, canary, routed }
    }
}

impl<'w> Deref for Scene<'w> {
    type Target = scene::Scene<'w>;

    fn deref(&self) -> &Self::Target {
        self.common
    }
}

/// Moves weights, Services, Mappings and pods. Returns the weight that the plan writes, if it writes one.
pub(super) fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) -> Option<Weight> {
    mappings::delete_leftovers(scene, draft);
    if !analysis::counts(scene, draft) {
        analysis::forget_canary(&mut draft.status);
    }
    stage::act(scene, new, revision, draft)
}

/// Forgets what was recorded: the strategy is another one now.
pub(super) fn forget(draft: &mut Draft) {
    draft.status.canary = CanaryStatus::default();
    draft
        .status
        .conditions
        .retain(|it| ![verify::CONDITION, watchdog::CONDITION].contains(&it.kind.as_str()));
}

/// Records the weights, whether they are served, and whether the canary lives. `writing` is what [`act`] returned.
pub(super) fn record(scene: &Scene<'_>, writing: Option<Weight>, draft: &mut Draft) {
    verify::record_weights(scene, writing, draft);
    watchdog::record(scene, draft);
    blue_green::forget(draft);
}
