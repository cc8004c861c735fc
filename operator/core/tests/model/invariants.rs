//! What must hold of every write, by the truth of the model and not by what the engine saw.
//!
//! | | in every state and at every transition | where |
//! |---|---|---|
//! | I1 | a weight is raised, and the active Service moved, only when enough pods of the version carry it; every proxy's canary arm has them and them alone | here, `switch` |
//! | I2 | nothing is scaled to 0 or deleted while a proxy may route to it or requests are under way to it | here |
//! | I3 | an abort reaches weight 0 from every state | `ends` |
//! | I4 | no step and no promotion on a weight, or a switch, that some proxy does not serve | here, `switch` |
//! | I5 | monotone stickiness: the proxy's, tested there | – |
//! | I6 | nobody overwrites what he has not seen: a second operator's late writes are refused or keep all of this | here |
//! | I7 | the canary Service takes another new version only while nobody sends to the canary arm | here |
//! | I8 | after a crash the operator comes to the same end | `ends` |
//! | I9 | replay of a judgement: the fixture has no analysis; see `scenarios/analysis_*` | – |
//! | I10 | users' objects change in owned fields only, each object once a pass | here |
//! | I11 | left alone, a Rollout becomes Healthy, or Degraded with weight 0, and stays so; planning again changes nothing | `ends` |
//! | I12 | no request is lost: the data path's, tested there | – |
//!
//! And the commit point: another version becomes the stable one in a write of its own.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use operator_core::effect::{Effect, Target};
use operator_core::plan::Plan;
use operator_core::traffic::{Served, Traffic};
use operator_core::world::World;
use serde_json::Value;

use super::model::{CANARY_MAPPING, CANARY_SERVICE, Model, Strategy};
use super::state::{Content, Image, Objects, PerImage, Server, State};
use super::switch;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its name: `I1` to `I12`, or `commit point`.
    pub(crate) invariant: &'static str,
    pub(crate) text: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, text: impl Into<String>) -> Self {
        Self { invariant, text: text.into() }
    }

    /// A write to something that is not the Rollout's.
    pub(crate) fn foreign(effect: &Effect) -> Self {
        Self::new("I10", format!("this is not for the engine to write: {effect:?}"))
    }

    pub(crate) fn unknown(name: &str) -> Self {
        Self::new("I10", format!("{name} is none of the Rollout's ReplicaSets"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The operator that holds the lease.
    Operator,
    /// One that held it once.
    Other,
}

/// A plan, and what it was made of.
pub(crate) struct Decision {
    pub(crate) actor: Actor,
    /// The objects that it saw.
    pub(crate) seen: Objects,
    pub(crate) world: World,
    pub(crate) plan: Plan,
}

impl Decision {
    /// Whoever acts on an older view goes by what held when he looked.
    pub(crate) fn is_fresh(&self, state: &State) -> bool {
        self.actor == Actor::Operator && state.view.is_none()
    }
}

/// What must hold of a whole plan.
pub(crate) fn check_plan(world: &World, plan: &Plan) -> Result<(), Violation> {
    let mut written = BTreeSet::new();
    for effect in &plan.effects {
        if let Some(object) = object(effect)
            && !written.insert(object)
        {
            return Err(Violation::new("I10", format!("a second write of {}", object.1)));
        }
    }
    let before = world.rollout.status.as_ref().and_then(|status| status.stable_rs.as_ref());
    if before.is_none() || before == plan.status.stable_rs.as_ref() {
        return Ok(());
    }
    match plan.effects.iter().find(|effect| matters(effect)) {
        Some(effect) => {
            Err(Violation::new("commit point", format!("a promotion is recorded together with {effect:?}")))
        }
        None => Ok(()),
    }
}

/// The object that an effect writes, by kind and name.
fn object(effect: &Effect) -> Option<(&'static str, &str)> {
    match effect {
        Effect::CreateReplicaSet { name, .. }
        | Effect::AdoptReplicaSet { target: Target { name, .. }, .. }
        | Effect::ScaleReplicaSet { target: Target { name, .. }, .. }
        | Effect::AnnotateReplicaSet { target: Target { name, .. }, .. }
        | Effect::SetEphemeralMetadata { target: Target { name, .. }, .. }
        | Effect::DeleteReplicaSet { target: Target { name, .. } } => Some(("ReplicaSet", name)),
        Effect::CreateAnalysisRun { name, .. }
        | Effect::TerminateAnalysisRun { target: Target { name, .. } }
        | Effect::DeleteAnalysisRun { target: Target { name, .. } } => Some(("AnalysisRun", name)),
        Effect::CreateExperiment { name, .. }
        | Effect::BeginExperiment { target: Target { name, .. } }
        | Effect::TerminateExperiment { target: Target { name, .. } }
        | Effect::DeleteExperiment { target: Target { name, .. } } => Some(("Experiment", name)),
        Effect::CreateService { name, .. } | Effect::DeleteService { target: Target { name, .. } } => {
            Some(("Service", name))
        }
        Effect::ChangePod { target, .. } | Effect::EvictPod { target } => Some(("Pod", &target.name)),
        Effect::ScaleWorkload { target, .. } => Some(("workload", &target.name)),
        Effect::SetServiceSelector { target, .. } => Some(("Service", &target.name)),
        Effect::CreateMapping { name, .. }
        | Effect::UpdateMapping { target: Target { name, .. }, .. }
        | Effect::SetRouteWeights { target: Target { name, .. }, .. }
        | Effect::DeleteMapping { target: Target { name, .. } } => Some(("Mapping", name)),
        // Each writes a field of its own, with the version that the one before returned.
        Effect::SetRolloutRevision { .. }
        | Effect::DefaultReplicas { .. }
        | Effect::SetWorkloadGeneration { .. }
        | Effect::Event(_) => None,
    }
}

/// Whether a promotion must be recorded before this is done.
fn matters(effect: &Effect) -> bool {
    match effect {
        Effect::Event(_)
        | Effect::AnnotateReplicaSet { .. }
        | Effect::SetRolloutRevision { .. }
        | Effect::SetWorkloadGeneration { .. }
        | Effect::DeleteReplicaSet { .. } => false,
        Effect::CreateReplicaSet { .. }
        | Effect::AdoptReplicaSet { .. }
        | Effect::ScaleReplicaSet { .. }
        | Effect::SetServiceSelector { .. }
        | Effect::CreateMapping { .. }
        | Effect::UpdateMapping { .. }
        | Effect::DeleteMapping { .. }
        | Effect::SetRouteWeights { .. }
        | Effect::SetEphemeralMetadata { .. }
        | Effect::ChangePod { .. }
        | Effect::EvictPod { .. }
        | Effect::ScaleWorkload { .. }
        | Effect::CreateAnalysisRun { .. }
        | Effect::TerminateAnalysisRun { .. }
        | Effect::DeleteAnalysisRun { .. }
        | Effect::CreateExperiment { .. }
        | Effect::BeginExperiment { .. }
        | Effect::TerminateExperiment { .. }
        | Effect::DeleteExperiment { .. }
        | Effect::CreateService { .. }
        | Effect::DeleteService { .. }
        | Effect::DefaultReplicas { .. } => true,
    }
}

/// What must hold of an effect that was carried out; `before` is the state that it changed.
pub(crate) fn check_effect(
    model: &Model,
    before: &State,
    effect: &Effect,
    decision: &Decision,
) -> Result<(), Violation> {
    let Decision { actor, seen, .. } = decision;
    let found = match effect {
        Effect::ScaleReplicaSet { target, from, to: 0, .. } if *from > 0 => gone(model, before, seen, target),
        Effect::DeleteReplicaSet { target } => deleted(model, before, target),
        Effect::SetServiceSelector { target, to, .. } => match model.strategy {
            Strategy::Canary => switched(model, before, target, to),
            Strategy::BlueGreen => switch::moved(model, before, target, to, decision),
        },
        Effect::CreateMapping { manifest, .. } | Effect::UpdateMapping { manifest, .. } => {
            weighted(before, weight(manifest), decision)
        }
        Effect::ScaleReplicaSet { .. }
        | Effect::CreateReplicaSet { .. }
        | Effect::AdoptReplicaSet { .. }
        | Effect::AnnotateReplicaSet { .. }
        | Effect::DeleteMapping { .. }
        | Effect::SetRouteWeights { .. }
        | Effect::SetRolloutRevision { .. }
        | Effect::DefaultReplicas { .. }
        | Effect::CreateAnalysisRun { .. }
        | Effect::TerminateAnalysisRun { .. }
        | Effect::DeleteAnalysisRun { .. }
        | Effect::CreateExperiment { .. }
        | Effect::BeginExperiment { .. }
        | Effect::TerminateExperiment { .. }
        | Effect::DeleteExperiment { .. }
        | Effect::CreateService { .. }
        | Effect::DeleteService { .. }
        | Effect::SetEphemeralMetadata { .. }
        | Effect::ChangePod { .. }
        | Effect::EvictPod { .. }
        | Effect::ScaleWorkload { .. }
        | Effect::SetWorkloadGeneration { .. }
        | Effect::Event(_) => Ok(()),
    };
    found.map_err(|it| match actor {
        Actor::Operator => it,
        Actor::Other => Violation::new("I6", format!("a late write of the second operator breaks {it}")),
    })
}

/// I2. A pod that becomes available at the moment at which its version goes is nobody's fault.
fn gone(model: &Model, before: &State, seen: &Objects, target: &Target) -> Result<(), Violation> {
    let image = model.image_of_set(&target.name).ok_or_else(|| Violation::unknown(&target.name))?;
    let Some(set) = before.objects.sets[image.index()] else { return Ok(()) };
    if before.objects.rollout.replicas == 0 {
        return Ok(());
    }
    if set.available > 0 && seen.available(image) > 0 && before.fleet.routes_to(image) {
        return Err(Violation::new("I2", format!("{image} is scaled to 0 while a proxy may route to it")));
    }
    let drained = set.deadline.is_some_and(|deadline| deadline <= -model.strategy.drain_after_delay());
    if before.fleet.requests[image.index()] && !drained {
        return Err(Violation::new(
            "I2",
            format!("{image} is scaled to 0 while requests are under way to it"),
        ));
    }
    Ok(())
}

fn deleted(model: &Model, before: &State, target: &Target) -> Result<(), Violation> {
    let image = model.image_of_set(&target.name).ok_or_else(|| Violation::unknown(&target.name))?;
    match before.objects.sets[image.index()] {
        Some(set) if set.replicas > 0 => {
            Err(Violation::new("I2", format!("{image} is deleted with its pods")))
        }
        Some(_) | None => Ok(()),
    }
}

/// I7, and the order of a promotion.
fn switched(model: &Model, before: &State, target: &Target, to: &str) -> Result<(), Violation> {
    let to = model.image_of(to).ok_or_else(|| Violation::unknown(to))?;
    let Some(stable) = model.stable(&before.objects) else { return Ok(()) };
    if target.name != CANARY_SERVICE {
        if to == stable {
            return Ok(());
        }
        let text = format!("the stable Service takes {to} before it is promoted");
        return Err(Violation::new("commit point", text));
    }
    if to != stable && before.fleet.contents().any(|content| content.weight() > 0) {
        let text = format!("the canary Service takes {to} while some proxy sends to the canary arm");
        return Err(Violation::new("I7", text));
    }
    Ok(())
}

/// I1 for a weight that is raised; for one that is lowered, that the stable version carries the rest.
fn weighted(before: &State, weight: u8, decision: &Decision) -> Result<(), Violation> {
    let held = before.objects.mapping.map_or(0, |mapping| mapping.weight);
    // Pods may have died, and users may have written to the Service, since somebody looked who looks no more.
    let fresh = decision.is_fresh(before);
    if !fresh && before.objects.canary.image.is_none() {
        return Ok(());
    }
    match weight.cmp(&held) {
        Ordering::Greater => raised(before, weight, fresh),
        Ordering::Less if fresh => lowered(before, weight),
        Ordering::Less | Ordering::Equal => Ok(()),
    }
}

fn raised(before: &State, weight: u8, fresh: bool) -> Result<(), Violation> {
    let objects = &before.objects;
    let broken = |text: String| Err(Violation::new("I1", text));
    let Some(image) = objects.canary.image else {
        return broken("a weight is raised for a canary Service that selects all pods".to_owned());
    };
    let available = objects.available(image);
    let need = (u32::from(objects.rollout.replicas) * u32::from(weight)).div_ceil(100);
    if fresh && u32::from(available) < need {
        return broken(format!("weight {weight} needs {need} pods of {image}, {available} are available"));
    }
    let ready = |content: &Content| content.canary.is_some_and(|arm| only(arm.ready, image));
    if !before.fleet.contents().all(ready) {
        return broken(format!("weight {weight}: some proxy's canary arm is not there or not only {image}"));
    }
    Ok(())
}

fn lowered(before: &State, weight: u8) -> Result<(), Violation> {
    let objects = &before.objects;
    let broken = |text: String| Err(Violation::new("I2", text));
    let (Some(stable), Some(canary)) = (objects.stable.image, objects.canary.image) else { return Ok(()) };
    if canary == stable {
        if before.fleet.contents().all(|content| only(content.stable, stable)) {
            return Ok(());
        }
        return broken(format!("weight {weight} while some proxy's stable arm is not only {stable}"));
    }
    let carried = u32::from(100 - weight) * u32::from(objects.rollout.replicas) / 100;
    let available = objects.available(stable);
    if objects.available(canary) > 0 && u32::from(available) < carried {
        return broken(format!("weight {weight} leaves {available} pods of {stable} with the rest"));
    }
    Ok(())
}

/// What must hold of a status that was written; `before` are the objects that it changed.
pub(crate) fn check_status(
    model: &Model,
    before: &Objects,
    after: &State,
    decision: &Decision,
) -> Result<(), Violation> {
    let Decision { world, plan, .. } = decision;
    let of = |objects: &Objects| (objects.rollout.status, objects.rollout.observed);
    if of(&decision.seen) != of(before) {
        return Err(Violation::new("I6", "a status is overwritten that the plan did not see"));
    }
    let seen = world.rollout.status.clone().unwrap_or_default();
    let fresh = decision.is_fresh(after);
    let serve = |weight: u8| {
        if fresh {
            after.fleet.server != Server::Unreachable
                && after.fleet.contents().all(|content| content.weight() == weight)
        } else {
            was_served(&world.traffic, weight)
        }
    };
    let step = |status: &crds::rollout::RolloutStatus| status.current_step_index;
    // The one step with a weight is the first.
    if (step(&seen), step(&plan.status)) == (Some(0), Some(1)) && !serve(50) {
        return Err(Violation::new("I4", "the step is completed while a proxy does not serve weight 50"));
    }
    let promoted = seen.stable_rs.is_some() && seen.stable_rs != plan.status.stable_rs;
    match model.strategy {
        Strategy::Canary if promoted && !serve(100) => {
            Err(Violation::new("I4", "the update is promoted while a proxy does not serve weight 100"))
        }
        Strategy::BlueGreen if promoted => switch::promoted(model, after, decision),
        Strategy::Canary | Strategy::BlueGreen => Ok(()),
    }
}

/// Every proxy was known to serve the weight.
fn was_served(traffic: &Traffic, weight: u8) -> bool {
    let Traffic::Ready(facts) = traffic else { return false };
    let share = |served: &Served| -> u32 {
        let canary = served.arms.iter().filter(|arm| arm.mapping.name == CANARY_MAPPING);
        canary.map(|arm| arm.share).sum()
    };
    let mut contents = facts.splits.iter().flat_map(|split| &split.views).filter_map(|it| it.served.as_ref());
    facts.proxies.iter().all(|proxy| proxy.known) && contents.all(|it| share(it) == u32::from(weight) * 100)
}

impl Objects {
    /// Available pods of an image.
    pub(crate) fn available(&self, image: Image) -> u8 {
        self.sets[image.index()].map_or(0, |set| set.available)
    }
}

pub(crate) fn only(ready: PerImage<u8>, image: Image) -> bool {
    Image::ALL.into_iter().all(|other| other == image || ready[other.index()] == 0)
}

fn weight(manifest: &Value) -> u8 {
    manifest["spec"]["weight"].as_u64().and_then(|weight| u8::try_from(weight).ok()).unwrap_or_default()
}
