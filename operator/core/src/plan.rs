//! The decision: `World` in, [`Plan`] out.
//!
//! Level-triggered: `plan` looks at the world afresh every time and keeps no memory; the status stores only what
//! cannot be observed again. The shell executes the effects in order, then records the status if it differs.
//!
//! | file | idea |
//! |---|---|
//! | `scene` | the world as the decision reads it |
//! | `accept` | an invalid spec: nothing moves |
//! | `revision` | the ReplicaSet of the template, and its number |
//! | `reset` | another template or other steps start an update |
//! | `commands` | what users write into the status: abort, retry, full promotion |
//! | `window` | a rollback to a recent version |
//! | `stage` | first deploy, update, abort, end of a promotion |
//! | `analysis` | runs that judge a version, and what their verdicts do |
//! | `experiment` | the same of Experiments, which run pods of their own |
//! | `canary`, `blue_green` | the moves of the strategies |
//! | `pause`, `promotion` | what an update waits for, and its commit point |
//! | `fleet`, `services` | what the proxies serve; selectors |
//! | `scaling`, `quiesce`, `release`, `history`, `leftovers` | sizes, pods and versions that go, clean-up |
//! | `workload` | the template that another object holds, and that object's pods |
//! | `metadata`, `restart`, `affinity` | labels, age and placement of pods |
//! | `pruned` | fields that were applied and are not there |
//! | `rivals` | other Rollouts that name our objects |
//! | `status` | counts, conditions, phase, events of transitions |

mod accept;
mod affinity;
mod analysis;
mod blue_green;
mod canary;
mod commands;
mod draft;
mod duration;
mod experiment;
mod fleet;
mod guard;
mod history;
mod leftovers;
mod metadata;
mod pause;
mod promotion;
mod pruned;
mod quiesce;
mod release;
mod reset;
mod restart;
mod revision;
mod rivals;
mod scaling;
mod scene;
mod services;
mod stage;
mod status;
mod window;
mod workload;

use chrono::{DateTime, Utc};
use crds::rollout::RolloutStatus;
use crds::rollout::status::GuardStatus;

use self::draft::Draft;
use self::scene::Scene;
use crate::effect::Effect;
use crate::spec::Strategy;
use crate::weight::Weight;
use crate::why::Why;
use crate::world::{ReplicaSet, World};

/// What to do now, what to record, when to look again, and why.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a plan that is not executed changes nothing"]
pub struct Plan {
    /// What to change in the cluster, in this order.
    pub effects: Vec<Effect>,
    /// The status to record after the effects, whole. Equal to the world's own status if nothing is to be written.
    /// The write is refused (and the plan made again) if the Rollout's `resourceVersion` is not the world's, or the
    /// one that an effect of this plan returned.
    pub status: RolloutStatus,
    /// What is known of the canary now, for the next plan: the status has it every few seconds only.
    pub guard: Option<GuardStatus>,
    /// When to plan again.
    pub wake: Wake,
    /// Why this and nothing else: the first thing that the Rollout does or waits for.
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
    let mut draft = Draft::new(world);
    if world.rollout.metadata.deletion_timestamp.is_some() {
        draft.because(Why::Deleting);
        return draft.finish(world.now);
    }
    pruned::tell(world, &mut draft);
    match accept::spec(world) {
        Ok(accepted) => decide(&Scene::new(world, &accepted), &mut draft),
        Err(message) => accept::hold(world, &message, &mut draft),
    }
    draft.finish(world.now)
}

fn decide(scene: &Scene<'_>, draft: &mut Draft) {
    revision::default_replicas(scene, draft);
    workload::observe(scene, draft);
    let Some(new) = revision::new_replica_set(scene, draft) else { return };
    let revision = revision::number(scene, new, draft);
    if reset::on_change(scene, draft) {
        record(scene, revision, None, draft);
        return;
    }
    commands::obey(scene, draft);
    if analysis::judge(scene, draft) || experiment::judge(scene, draft) || guard::judge(scene, draft) {
        record(scene, revision, None, draft);
        return;
    }
    let writing = act(scene, new, revision, draft);
    analysis::end(scene, draft);
    experiment::end(scene, draft);
    metadata::act(scene, draft);
    restart::act(scene, draft);
    workload::scale_down(scene, draft);
    history::clean(scene, draft);
    record(scene, revision, writing, draft);
    if draft.out_of_time {
        // Recorded alone: whatever else was planned may be what fails, again and again.
        *draft = Draft::new(scene.world);
        commands::obey(scene, draft);
        record(scene, revision, None, draft);
    }
}

/// The moves of the strategy. Returns the weight that the plan writes, if it writes one.
fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) -> Option<Weight> {
    match &scene.spec.strategy {
        Strategy::Canary(canary) => canary::act(&canary::Scene::new(scene, canary), new, revision, draft),
        Strategy::BlueGreen(strategy) => {
            blue_green::act(&blue_green::Scene::new(scene, strategy), new, revision, draft);
            None
        }
    }
}

/// The status that goes with the moves.
fn record(scene: &Scene<'_>, revision: i64, writing: Option<Weight>, draft: &mut Draft) {
    match &scene.spec.strategy {
        Strategy::Canary(canary) => canary::record(&canary::Scene::new(scene, canary), writing, draft),
        Strategy::BlueGreen(strategy) => blue_green::record(&blue_green::Scene::new(scene, strategy), draft),
    }
    status::record(scene, revision, draft);
}
