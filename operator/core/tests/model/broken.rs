//! Engines with one mistake each: the search must find it, or it would find nothing.

use std::collections::BTreeMap;

use operator_core::effect::{Effect, Event, EventKind, Target};
use operator_core::plan::{Plan, plan};
use operator_core::why::Why;
use operator_core::world::{Service, World};
use serde_json::json;

use super::ends::Start;
use super::model::{CANARY_MAPPING, CANARY_SERVICE, Planner, STABLE_SERVICE, Strategy};
use super::search::{Bounds, Search};

/// The mistake, the invariant it breaks, and the most moves that a trace to it takes.
const MISTAKES: [(&str, Planner, &str, usize); 8] = [
    ("raises before the proxies have the canary arm", raises_early, "I1", 8),
    ("lets the canary go with the abort", drops_the_canary_at_once, "I2", 20),
    ("does not see an abort", ignores_aborts, "I3", 12),
    ("completes a step when the weight is written", believes_what_it_wrote, "I4", 12),
    ("moves the canary Service on at once", supersedes_at_once, "I7", 20),
    ("writes the base Mapping", writes_the_base_mapping, "I10", 8),
    ("always has something to say", never_rests, "I11", 8),
    ("promotes and switches in one plan", promotes_in_passing, "commit point", 30),
];

/// The same for a blue-green engine.
const BLUE_GREEN_MISTAKES: [(&str, Planner, &str, usize); 4] = [
    ("switches to a version that is not complete", switches_early, "I1", 8),
    ("lets the old version go with the switch", drops_the_old_version_at_once, "I2", 20),
    ("does not see an abort", ignores_aborts, "I3", 12),
    ("promotes when the switch is written", believes_the_switch, "I4", 12),
];

#[test]
fn every_mistake_is_found() {
    find(Strategy::Canary, &MISTAKES);
}

#[test]
fn every_blue_green_mistake_is_found() {
    find(Strategy::BlueGreen, &BLUE_GREEN_MISTAKES);
}

fn find(strategy: Strategy, mistakes: &[(&str, Planner, &str, usize)]) {
    for &(mistake, planner, invariant, moves) in mistakes {
        let bounds =
            Bounds { strategy, start: Start::Update, surprises: 1, states: 100_000, ends: 4, violations: 1 };
        let traces = Search::new(planner, bounds).run().expect_err(mistake);
        let [trace] = traces.try_into().expect("the search ends with the first violation");
        let story = trace.story(planner);
        assert_eq!(trace.violation.invariant, invariant, "an engine that {mistake}: {story}");
        assert!(trace.moves.len() <= moves, "an engine that {mistake}, {} moves: {story}", trace.moves.len());
        let lines: Vec<&str> = story.lines().collect();
        assert!(lines.len() > trace.moves.len(), "every move has a line: {story}");
    }
}

fn raises_early(world: &World) -> Plan {
    let mut plan = plan(world);
    let early = matches!(plan.why, Why::WaitingForCanaryArm { .. });
    if let Some(mapping) = world.canary_mappings.get(CANARY_MAPPING).filter(|_| early) {
        let mut manifest = mapping.object.clone();
        manifest["spec"]["weight"] = json!(50);
        let target = target(CANARY_MAPPING, &mapping.uid, &mapping.resource_version);
        plan.effects.push(Effect::UpdateMapping { target, manifest });
    }
    plan
}

fn drops_the_canary_at_once(world: &World) -> Plan {
    let mut plan = plan(world);
    let canary =
        world.replica_sets.iter().find(|set| Some(&set.hash) == plan.status.current_pod_hash.as_ref());
    if let Some(set) = canary.filter(|set| plan.status.abort && set.replicas > 0) {
        let target = target(&set.name, &set.uid, &set.resource_version);
        let gone =
            Effect::ScaleReplicaSet { target, from: set.replicas, to: 0, annotations: BTreeMap::new() };
        plan.effects.retain(|effect| !matches!(effect, Effect::AnnotateReplicaSet { .. }));
        plan.effects.push(gone);
    }
    plan
}

fn ignores_aborts(world: &World) -> Plan {
    let mut world = world.clone();
    if let Some(status) = &mut world.rollout.status {
        status.abort = false;
    }
    plan(&world)
}

fn believes_what_it_wrote(world: &World) -> Plan {
    let mut plan = plan(world);
    if matches!(plan.why, Why::WaitingForWeight { .. }) && plan.status.current_step_index == Some(0) {
        plan.status.current_step_index = Some(1);
    }
    plan
}

fn supersedes_at_once(world: &World) -> Plan {
    let mut plan = plan(world);
    let status = &plan.status;
    let Some(service) = world.service(CANARY_SERVICE) else { return plan };
    let new = status.current_pod_hash.clone().unwrap_or_default();
    let others = [status.stable_rs.as_deref(), Some(new.as_str())];
    let before = world.rollout.status.as_ref().and_then(|status| status.stable_rs.as_ref());
    let switches = |effect: &Effect| matches!(effect, Effect::SetServiceSelector { target, .. } if target.name == CANARY_SERVICE);
    let written = plan.effects.iter().any(switches);
    if before.is_some() && !written && !others.contains(&service.hash()) {
        plan.effects.push(select(CANARY_SERVICE, service, new));
    }
    plan
}

fn writes_the_base_mapping(world: &World) -> Plan {
    let mut plan = plan(world);
    if let Some(mapping) = world.mapping("shop").filter(|_| is_updating(&plan)) {
        let target = target("shop", &mapping.uid, &mapping.resource_version);
        plan.effects.push(Effect::UpdateMapping { target, manifest: mapping.object.clone() });
    }
    plan
}

fn never_rests(world: &World) -> Plan {
    let mut plan = plan(world);
    if is_updating(&plan) {
        let (reason, message) = ("StillHere".to_owned(), "nothing is new".to_owned());
        plan.effects.push(Effect::Event(Event { kind: EventKind::Normal, reason, message }));
    }
    plan
}

fn promotes_in_passing(world: &World) -> Plan {
    let mut plan = plan(world);
    let before = world.rollout.status.as_ref().and_then(|status| status.stable_rs.clone());
    let promoted = plan.status.stable_rs.clone().filter(|now| before.is_some_and(|before| before != *now));
    if let (Some(to), Some(service)) = (promoted, world.service(STABLE_SERVICE)) {
        plan.effects.push(select(STABLE_SERVICE, service, to));
    }
    plan
}

fn switches_early(world: &World) -> Plan {
    let mut plan = plan(world);
    let waits = is_updating(&plan) && matches!(plan.why, Why::WaitingForPods { .. });
    if let Some(service) = world.service(STABLE_SERVICE).filter(|_| waits) {
        let to = plan.status.current_pod_hash.clone().unwrap_or_default();
        plan.effects.push(select(STABLE_SERVICE, service, to));
    }
    plan
}

fn drops_the_old_version_at_once(world: &World) -> Plan {
    let mut plan = plan(world);
    let stable = plan.status.stable_rs.clone();
    let old = world.replica_sets.iter().find(|set| Some(&set.hash) == stable.as_ref());
    let waits = matches!(plan.why, Why::WaitingForActiveService { .. });
    if let Some(set) = old.filter(|set| waits && set.replicas > 0) {
        let target = target(&set.name, &set.uid, &set.resource_version);
        let annotations = BTreeMap::new();
        plan.effects.push(Effect::ScaleReplicaSet { target, from: set.replicas, to: 0, annotations });
    }
    plan
}

fn believes_the_switch(world: &World) -> Plan {
    let mut plan = plan(world);
    if matches!(plan.why, Why::WaitingForActiveService { .. }) {
        plan.status.stable_rs = plan.status.current_pod_hash.clone();
    }
    plan
}

fn is_updating(plan: &Plan) -> bool {
    plan.status.stable_rs.is_some() && plan.status.stable_rs != plan.status.current_pod_hash
}

fn select(name: &str, service: &Service, to: String) -> Effect {
    let target = target(name, &service.uid, &service.resource_version);
    Effect::SetServiceSelector { target, from: service.hash().map(str::to_owned), to, managed_by: None }
}

fn target(name: &str, uid: &str, version: &str) -> Target {
    Target { name: name.to_owned(), uid: uid.to_owned(), resource_version: version.to_owned() }
}
