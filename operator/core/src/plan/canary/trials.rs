//! The share of the requests that an Experiment's pods get: a Mapping beside each base Mapping for each template with a
//! weight; beside each route of the Gateway API one that stands in for it, with all of them.
//!
//! They exist while the Experiment of the current step runs and the template has pods, and are a leftover at any other time
//! (`mappings::delete_leftovers`): so they go with an abort, with another template, and before the pods do, for which the
//! Experiment's own controller waits. The Experiment is told when every proxy serves them: its time begins then.

use std::collections::{BTreeMap, BTreeSet};

use crds::rollout::WeightDestination;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::super::draft::Draft;
use super::super::experiment;
use super::super::fleet::waiting;
use super::super::scene;
use super::Scene;
use super::mappings;
use super::routed::Routed;
use super::verify::Confirmation;
use crate::effect::{Effect, Target};
use crate::key;
use crate::mapping::service::ServiceAddress;
use crate::mapping::{Part, StandIn, Trial};
use crate::spec::{self, Canary, MappingRouting, Step, beside};
use crate::traffic::{self, TrialArm};
use crate::weight::{Position, Weight, current_step, set_weight};
use crate::why::Why;
use crate::world::{Mapping, Shares, World};

/// A Mapping that gives pods of an Experiment their share, or a route that stands in for its base.
#[derive(Debug)]
pub(super) struct TrialMapping<'w> {
    /// The listed base it is a copy of.
    pub(super) base: &'w str,
    /// To whom it sends, and how much: of a Mapping one.
    pub(super) trials: Vec<Trial<'w>>,
    /// Of a route that stands in: the canary's weight.
    canary: Option<Weight>,
    /// The object, if it exists.
    pub(super) existing: Option<&'w Mapping>,
}

/// The Mappings of the Experiment that runs now, by name.
///
/// `shares`: the canary's weight by each base.
pub(super) fn wanted<'w>(
    scene: &'w scene::Scene<'w>,
    canary: &'w Canary,
    routing: &'w MappingRouting,
    shares: &BTreeMap<&str, Weight>,
) -> BTreeMap<String, TrialMapping<'w>> {
    let mut mappings = BTreeMap::new();
    let position = Position::of(&scene.before);
    let Some(experiment) = at_step(canary, &position) else { return mappings };
    let Some((_, running)) = experiment::running(scene) else { return mappings };
    let trial = |(template, weight): (&'w spec::ExperimentTemplate, Weight)| {
        let pods = running.pods.get(&template.name).filter(|pods| pods.available > 0)?;
        let (service, hash) = (pods.service.as_ref()?, pods.hash.as_ref()?);
        Some(Trial { template: &template.name, service, hash, port: None, weight })
    };
    let trials: Vec<Trial<'_>> = experiment.weighted().filter_map(trial).collect();
    for base in &routing.names {
        // A raise is for the base to make first, which knows what the canary can carry.
        let held = shares.get(base.as_str()).copied().unwrap_or_default();
        let in_place = key::parse(base).0.is_split_in_place();
        let share = in_place.then(|| set_weight(canary, &position).min(held));
        let port = port(scene.world, routing, base).filter(|_| !in_place);
        for trial in &trials {
            let name = beside::trial(base, trial.template);
            let existing = scene.world.canary_mappings.get(&name);
            let empty = || TrialMapping { base, trials: Vec::new(), canary: share, existing };
            mappings.entry(name).or_insert_with(empty).trials.push(Trial { port, ..*trial });
        }
    }
    mappings
}

/// Writes the Mappings, and tells the Experiment once everybody serves them.
pub(super) fn keep(scene: &Scene<'_>, experiment: &spec::Experiment, draft: &mut Draft) {
    let Some(routed) = &scene.routed else { return };
    let ports = pod_ports(scene.world, &routed.routing.stable_service);
    for (name, mapping) in &routed.trials {
        let copy = (mapping.base, name.as_str(), mapping.existing);
        let trials = &mapping.trials[..];
        let part = match (mapping.canary, trials) {
            (Some(canary), _) => Part::StandIn(StandIn { canary, trials, ports: &ports }),
            (None, [trial, ..]) => Part::Trial(*trial),
            (None, []) => continue,
        };
        if mappings::put(scene, routed, copy, part, draft) {
            draft.because(Why::RouteWritten);
        }
    }
    let Some((name, running)) = experiment::running(scene).filter(|(_, it)| it.shares == Shares::Awaited)
    else {
        return;
    };
    let all = experiment.weighted().count() * routed.routing.names.len();
    let given: usize = routed.trials.values().map(|it| it.trials.len()).sum();
    if given < all || draft.writes_route() {
        return;
    }
    match confirmed(scene, routed) {
        Confirmation::Confirmed => draft.afterwards(Effect::BeginExperiment {
            target: Target {
                name: name.to_owned(),
                uid: running.uid.clone(),
                resource_version: running.resource_version.clone(),
            },
        }),
        Confirmation::Pending(why) => draft.because(why),
    }
}

/// Whether no proxy sends anything to pods of an Experiment.
pub(super) fn gone(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let Some(routed) = scene.routed.as_ref().filter(|_| has_any(scene.canary)) else { return true };
    if !routed.trials.is_empty() || draft.writes_route() {
        draft.because(Why::RouteWritten);
        return false;
    }
    match confirmed(scene, routed) {
        Confirmation::Confirmed => true,
        Confirmation::Pending(why) => {
            draft.because(why);
            false
        }
    }
}

/// Whether everybody serves the Mappings as they are written, and none that is no longer wanted.
pub(super) fn confirmed(scene: &Scene<'_>, routed: &Routed<'_>) -> Confirmation {
    if !has_any(scene.canary) {
        return Confirmation::Confirmed;
    }
    if routed.trials.values().any(|trial| trial.existing.is_none()) {
        return Confirmation::Pending(Why::RouteWritten);
    }
    let (mut beside, mut stand_ins) = (Vec::new(), Vec::new());
    for (mapping, it) in &routed.trials {
        let trials = it.trials.iter();
        let arms =
            trials.map(|trial| TrialArm { service: trial.service, hash: trial.hash, weight: trial.weight });
        match it.canary {
            None => beside.extend(arms.map(|arm| (it.base, mapping.as_str(), arm))),
            Some(canary) => {
                let trials = arms.collect();
                stand_ins.push(traffic::StandIn { base: it.base, route: mapping, canary, trials });
            }
        }
    }
    let mut removed = all_names(scene, routed.routing);
    removed.retain(|name| !routed.trials.contains_key(name));
    Confirmation::of(routed.ask(scene, |fold| {
        if !routed.trials.is_empty() && fold.counted() == 0 {
            return Err(Why::NoProxy);
        }
        let late = |progress| Why::WaitingForWeight { progress };
        waiting(&fold.trials_served(&beside), "the weights of the Experiment", late)?;
        waiting(&fold.stand_ins_served(&stand_ins), "the weights of the Experiment", late)?;
        waiting(&fold.serves_none(&removed), "no weight of an Experiment", late)
    }))
}

/// What is written, as the status says it: one destination for each template.
pub(super) fn destinations(routed: &Routed<'_>) -> Vec<WeightDestination> {
    let written = routed.trials.values().filter(|trial| trial.existing.is_some());
    let by_template: BTreeMap<&str, &Trial<'_>> =
        written.flat_map(|it| &it.trials).map(|trial| (trial.template, trial)).collect();
    let destination = |trial: &Trial<'_>| WeightDestination {
        weight: trial.weight.percent(),
        service_name: Some(trial.service.to_owned()),
        pod_template_hash: Some(trial.hash.to_owned()),
    };
    by_template.into_values().map(destination).collect()
}

/// The Experiment of the current step, while steps decide.
fn at_step<'c>(canary: &'c Canary, position: &Position) -> Option<&'c spec::Experiment> {
    if position.aborted || position.full {
        return None;
    }
    match current_step(canary, position)? {
        Step::Experiment(experiment) => Some(experiment),
        Step::SetWeight(_)
        | Step::Pause(_)
        | Step::SetCanaryScale(_)
        | Step::SetRoute(_)
        | Step::Analysis(_) => None,
    }
}

fn has_any(canary: &Canary) -> bool {
    canary.experiments().any(|(_, experiment)| experiment.weighted().next().is_some())
}

/// The names of all Mappings that the steps may ask for.
fn all_names(scene: &Scene<'_>, routing: &MappingRouting) -> BTreeSet<String> {
    let names = beside::trials(scene.canary, routing).into_keys();
    names.filter(|name| !mappings::is_foreign(scene.world, name)).collect()
}

/// The port of the pods to which the base sends by its Service. The Service of a template has the ports of the pods.
fn port(world: &World, routing: &MappingRouting, base: &str) -> Option<i32> {
    let address = ServiceAddress::parse(world.mapping(base)?.object["spec"]["service"].as_str()?)?;
    pod_ports(world, routing.base_service()).get(&address.port()?).copied()
}

/// The ports of the pods by those of a Service, where they are other ones.
fn pod_ports(world: &World, service: &str) -> BTreeMap<i32, i32> {
    let ports = world.service(service).into_iter().flat_map(|service| &service.ports);
    let pods = |target: &IntOrString| match target {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container_port(&world.template()?.0, name),
    };
    ports.filter_map(|(number, target)| Some((*number, pods(target.as_ref()?)?))).collect()
}

/// The number of a port that a container names.
fn container_port(template: &Value, name: &str) -> Option<i32> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let mut ports = containers.iter().filter_map(|it| it["ports"].as_array()).flatten();
    let found = ports.find(|port| port["name"] == name)?;
    found["containerPort"].as_i64()?.try_into().ok()
}
