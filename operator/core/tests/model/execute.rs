//! Carries out effects with the preconditions that the operator sends, as the API server would.

use std::collections::BTreeMap;

use crds::contract;
use operator_core::effect::{Effect, Target};
use operator_core::plan::Plan;
use serde_json::Value;

use super::invariants::{self, Actor, Decision, Violation};
use super::model::{CANARY_MAPPING, CANARY_SERVICE, Model, STABLE_SERVICE, Strategy};
use super::state::{Image, Mapping, Objects, ReplicaSet, State};
use super::statuses::ticks;

/// The newest version of an object. States are renumbered after every move and come nowhere near it.
pub(crate) fn bump(version: u8) -> u8 {
    version.max(39) + 1
}

/// How an effect ended.
pub(crate) enum Outcome {
    Done,
    /// A precondition failed: the rest of the plan is dropped.
    Refused,
}

/// How far a pass got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The operator dies after this many effects.
    Effects(usize),
    /// The status is written.
    End,
}

/// Carries out a decision, or a part of it, and checks every write.
pub(crate) fn carry_out(
    model: &mut Model,
    state: &mut State,
    decision: &Decision,
    until: Until,
) -> Result<(), Violation> {
    let Decision { world, plan, actor, .. } = decision;
    let mut version = world.rollout.metadata.resource_version.clone();
    for (number, effect) in plan.effects.iter().enumerate() {
        if until == Until::Effects(number) {
            return Ok(());
        }
        let before = state.clone();
        match execute(model, state, effect, version.as_deref())? {
            Outcome::Refused => {
                *state = before;
                return Ok(());
            }
            Outcome::Done => invariants::check_effect(model, &before, effect, decision)?,
        }
        if state.objects.rollout.version != before.objects.rollout.version {
            version = Some(state.objects.rollout.version.to_string());
        }
        // What the operator writes, it sees: its caches never fall behind its own writes.
        if *actor == Actor::Operator {
            state.see_own_write(&before.objects);
        }
    }
    if until == Until::End && version == Some(state.objects.rollout.version.to_string()) {
        let before = state.objects;
        if record(model, state, plan) {
            invariants::check_status(model, &before, state, decision)?;
            if *actor == Actor::Operator {
                state.see_own_write(&before);
            }
        }
    }
    Ok(())
}

/// Writes the status if it differs; whether it did.
fn record(model: &mut Model, state: &mut State, plan: &Plan) -> bool {
    let rollout = &mut state.objects.rollout;
    let observed = plan.status.observed_generation.as_deref() == Some("2");
    let status = model.statuses.keep_after(rollout.status, plan.status.clone());
    if rollout.status == status && rollout.observed == observed {
        return false;
    }
    (rollout.status, rollout.observed) = (status, observed);
    rollout.version = bump(rollout.version);
    true
}

fn execute(
    model: &mut Model,
    state: &mut State,
    effect: &Effect,
    rollout_version: Option<&str>,
) -> Result<Outcome, Violation> {
    let objects = &mut state.objects;
    let done = match effect {
        Effect::CreateReplicaSet { name, manifest } => create_replica_set(model, objects, name, manifest)?,
        Effect::ScaleReplicaSet { target, from, to, annotations } => {
            let set = replica_set(model, objects, target)?.filter(|set| i32::from(set.replicas) == *from);
            set.map(|set| {
                set.version = bump(set.version);
                set.replicas = u8::try_from(*to).expect("few pods");
                // Pods that are not ready go first.
                set.available = set.available.min(set.replicas);
                annotate(set, annotations, model.strategy);
            })
        }
        Effect::AnnotateReplicaSet { target, annotations } => {
            replica_set(model, objects, target)?.map(|set| {
                set.version = bump(set.version);
                annotate(set, annotations, model.strategy);
            })
        }
        Effect::DeleteReplicaSet { target } => {
            let held = replica_set(model, objects, target)?
                .is_some_and(|set| set.version.to_string() == target.resource_version);
            let image = model.image_of_set(&target.name).expect("it was found by its name");
            held.then(|| objects.sets[image.index()] = None)
        }
        Effect::SetServiceSelector { target, from: _, to, managed_by: _ } => {
            let service = match target.name.as_str() {
                STABLE_SERVICE => &mut objects.stable,
                CANARY_SERVICE => &mut objects.canary,
                _ => return Err(Violation::foreign(effect)),
            };
            let to = model.image_of(to);
            (service.version.to_string() == target.resource_version).then(|| {
                service.version = bump(service.version);
                service.image = to;
            })
        }
        Effect::CreateMapping { name, manifest } => {
            let weight = weight(model, name, manifest).ok_or_else(|| Violation::foreign(effect))?;
            let version = bump(0);
            objects.mapping.is_none().then(|| {
                objects.mapping = Some(Mapping { weight, version, uid: version });
            })
        }
        Effect::UpdateMapping { target, manifest } => {
            let weight = weight(model, &target.name, manifest).ok_or_else(|| Violation::foreign(effect))?;
            let sent = manifest["metadata"]["resourceVersion"].as_str();
            let held = objects.mapping.as_mut();
            held.filter(|held| sent == Some(held.version.to_string().as_str())).map(|held| {
                held.version = bump(held.version);
                held.weight = weight;
            })
        }
        Effect::DeleteMapping { target } => {
            let held = objects.mapping.filter(|held| {
                target.name == CANARY_MAPPING
                    && held.uid.to_string() == target.uid
                    && held.version.to_string() == target.resource_version
            });
            held.map(|_| objects.mapping = None)
        }
        Effect::SetRolloutRevision { target: _, from: _, to } => {
            let rollout = &mut objects.rollout;
            (rollout_version == Some(rollout.version.to_string().as_str())).then(|| {
                rollout.version = bump(rollout.version);
                rollout.revision = u8::try_from(*to).expect("few revisions");
            })
        }
        Effect::Event(_) => Some(()),
        // The fixture gives no reason for these.
        Effect::AdoptReplicaSet { .. }
        | Effect::DefaultReplicas { .. }
        | Effect::SetEphemeralMetadata { .. }
        | Effect::ChangePod { .. }
        | Effect::EvictPod { .. }
        | Effect::ScaleWorkload { .. }
        | Effect::SetRouteWeights { .. }
        | Effect::CreateAnalysisRun { .. }
        | Effect::TerminateAnalysisRun { .. }
        | Effect::DeleteAnalysisRun { .. }
        | Effect::CreateExperiment { .. }
        | Effect::BeginExperiment { .. }
        | Effect::TerminateExperiment { .. }
        | Effect::DeleteExperiment { .. }
        | Effect::CreateService { .. }
        | Effect::DeleteService { .. }
        | Effect::SetWorkloadGeneration { .. } => return Err(Violation::foreign(effect)),
    };
    Ok(if done.is_some() { Outcome::Done } else { Outcome::Refused })
}

fn create_replica_set(
    model: &Model,
    objects: &mut Objects,
    name: &str,
    manifest: &Value,
) -> Result<Option<()>, Violation> {
    let image = model.image_of_set(name).ok_or_else(|| Violation::unknown(name))?;
    let held = &mut objects.sets[image.index()];
    let annotation = |key: &str| number(manifest["metadata"]["annotations"][key].as_str());
    Ok(held.is_none().then(|| {
        let version = bump(0);
        *held = Some(ReplicaSet {
            uid: version,
            version,
            replicas: 0,
            available: 0,
            desired: annotation(contract::DESIRED_REPLICAS_ANNOTATION),
            revision: annotation(contract::REVISION_ANNOTATION).unwrap_or_default(),
            earlier: None,
            deadline: None,
        });
    }))
}

/// The ReplicaSet of that name and uid.
fn replica_set<'o>(
    model: &Model,
    objects: &'o mut Objects,
    target: &Target,
) -> Result<Option<&'o mut ReplicaSet>, Violation> {
    let image: Image = model.image_of_set(&target.name).ok_or_else(|| Violation::unknown(&target.name))?;
    let held = objects.sets[image.index()].as_mut();
    Ok(held.filter(|set| target.uid == format!("{image}-{}", set.uid)))
}

fn weight(model: &mut Model, name: &str, manifest: &Value) -> Option<u8> {
    (name == CANARY_MAPPING).then(|| model.weight_of(manifest)).flatten()
}

fn annotate(set: &mut ReplicaSet, changes: &BTreeMap<String, Option<String>>, strategy: Strategy) {
    for (key, value) in changes {
        let value = value.as_deref();
        match key.as_str() {
            contract::REVISION_ANNOTATION => set.revision = number(value).unwrap_or_default(),
            contract::DESIRED_REPLICAS_ANNOTATION => set.desired = number(value),
            contract::SCALE_DOWN_DEADLINE_ANNOTATION => {
                set.deadline = value.map(|text| ticks(text.parse().expect("a time")));
            }
            contract::REVISION_HISTORY_ANNOTATION => match strategy {
                // No decision reads it; without it no state is told apart by its past.
                Strategy::Canary => {}
                Strategy::BlueGreen => set.earlier = number(value.and_then(|it| it.rsplit(',').next())),
            },
            other => panic!("the model does not know annotation {other}"),
        }
    }
}

fn number(annotation: Option<&str>) -> Option<u8> {
    annotation.and_then(|text| text.parse().ok())
}

impl State {
    /// Caches that lag hold at least what the operator has just written.
    fn see_own_write(&mut self, before: &Objects) {
        let Some(view) = &mut self.view else { return };
        let now = &self.objects;
        let seen = &mut view.objects;
        if before.rollout != now.rollout {
            seen.rollout = now.rollout;
        }
        for image in Image::ALL {
            if before.sets[image.index()] != now.sets[image.index()] {
                seen.sets[image.index()] = now.sets[image.index()];
            }
        }
        if before.stable != now.stable {
            seen.stable = now.stable;
        }
        if before.canary != now.canary {
            seen.canary = now.canary;
        }
        if before.mapping != now.mapping {
            seen.mapping = now.mapping;
        }
    }
}
