//! The share of the requests that an Experiment's pods get: a Mapping beside each base Mapping for each template with a
//! weight.
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
use crate::mapping::service::ServiceAddress;
use crate::mapping::{Part, Trial, trial_name};
use crate::spec::{self, Canary, MappingRouting, Step};
use crate::traffic::TrialArm;
use crate::weight::{Position, current_step};
use crate::why::Why;
use crate::world::{Mapping, Shares, World};

/// A Mapping that gives pods of an Experiment their share.
#[derive(Debug)]
pub(super) struct TrialMapping<'w> {
    /// The listed base Mapping it is a copy of.
    pub(super) base: &'w str,
    /// To whom it sends, and how much.
    pub(super) trial: Trial<'w>,
    /// The hash of their pods.
    pub(super) hash: &'w str,
    /// The object, if it exists.
    pub(super) existing: Option<&'w Mapping>,
}

/// The Mappings of the Experiment that runs now, by name.
pub(super) fn wanted<'w>(
    scene: &'w scene::Scene<'w>,
    canary: &'w Canary,
    routing: &'w MappingRouting,
) -> BTreeMap<String, TrialMapping<'w>> {
    let mut mappings = BTreeMap::new();
    let Some(experiment) = at_step(canary, &Position::of(&scene.before)) else { return mappings };
    let Some((_, running)) = experiment::running(scene) else { return mappings };
    for (template, weight) in experiment.weighted() {
        let pods = running.pods.get(&template.name).filter(|pods| pods.available > 0);
        let Some((service, hash)) = pods.and_then(|it| Some((it.service.as_ref()?, it.hash.as_ref()?)))
        else {
            continue;
        };
        for base in &routing.names {
            let port = port(scene.world, routing, base);
            let trial = Trial { template: &template.name, service, port, weight };
            let name = Part::Trial(trial).name(base);
            let existing = scene.world.canary_mappings.get(&name);
            mappings.insert(name, TrialMapping { base, trial, hash, existing });
        }
    }
    mappings
}

/// Writes the Mappings, and tells the Experiment once everybody serves them.
pub(super) fn keep(scene: &Scene<'_>, experiment: &spec::Experiment, draft: &mut Draft) {
    let Some(routed) = &scene.routed else { return };
    for (name, trial) in &routed.trials {
        let copy = (trial.base, name.as_str(), trial.existing);
        if mappings::put(scene, routed, copy, Part::Trial(trial.trial), draft) {
            draft.because(Why::RouteWritten);
        }
    }
    let Some((name, running)) = experiment::running(scene).filter(|(_, it)| it.shares == Shares::Awaited)
    else {
        return;
    };
    let all = experiment.weighted().count() * routed.routing.names.len();
    if routed.trials.len() < all || draft.writes_route() {
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
    let arms = routed.trials.iter().map(|(name, trial)| TrialArm {
        base: trial.base,
        mapping: name,
        hash: trial.hash,
        weight: trial.trial.weight.percent(),
    });
    let arms: Vec<TrialArm<'_>> = arms.collect();
    let mut removed = all_names(scene.canary, routed.routing);
    removed.retain(|name| !routed.trials.contains_key(name));
    Confirmation::of(routed.ask(scene, |fold| {
        if !arms.is_empty() && fold.counted() == 0 {
            return Err(Why::NoProxy);
        }
        let late = |progress| Why::WaitingForWeight { progress };
        waiting(&fold.trials_served(&arms), "the weights of the Experiment", late)?;
        waiting(&fold.serves_none(&removed), "no weight of an Experiment", late)
    }))
}

/// What is written, as the status says it: one destination for each template.
pub(super) fn destinations(routed: &Routed<'_>) -> Vec<WeightDestination> {
    let written = routed.trials.values().filter(|trial| trial.existing.is_some());
    let by_template: BTreeMap<&str, &TrialMapping<'_>> =
        written.map(|trial| (trial.trial.template, trial)).collect();
    let destination = |trial: &TrialMapping<'_>| WeightDestination {
        weight: trial.trial.weight.percent(),
        service_name: Some(trial.trial.service.to_owned()),
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

fn experiments(canary: &Canary) -> impl Iterator<Item = &spec::Experiment> {
    canary.steps.iter().filter_map(|step| match step {
        Step::Experiment(experiment) => Some(experiment.as_ref()),
        Step::SetWeight(_)
        | Step::Pause(_)
        | Step::SetCanaryScale(_)
        | Step::SetRoute(_)
        | Step::Analysis(_) => None,
    })
}

fn has_any(canary: &Canary) -> bool {
    experiments(canary).any(|experiment| experiment.weighted().next().is_some())
}

/// The names of all Mappings that the steps may ask for.
fn all_names(canary: &Canary, routing: &MappingRouting) -> BTreeSet<String> {
    let templates = experiments(canary).flat_map(spec::Experiment::weighted);
    let names = templates
        .flat_map(|(template, _)| routing.names.iter().map(move |base| trial_name(base, &template.name)));
    names.collect()
}

/// The port of the pods to which the base sends by its Service. The Service of a template has the ports of the pods.
fn port(world: &World, routing: &MappingRouting, base: &str) -> Option<i32> {
    let address = ServiceAddress::parse(world.mapping(base)?.object["spec"]["service"].as_str()?)?;
    let port = address.port()?;
    let service = world.service(routing.base_service())?;
    match service.ports.iter().find(|(number, _)| *number == port) {
        Some((_, Some(IntOrString::Int(number)))) => Some(*number),
        Some((_, Some(IntOrString::String(name)))) => container_port(&world.template()?.0, name),
        Some((_, None)) | None => None,
    }
}

/// The number of a port that a container names.
fn container_port(template: &Value, name: &str) -> Option<i32> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let mut ports = containers.iter().filter_map(|it| it["ports"].as_array()).flatten();
    let found = ports.find(|port| port["name"] == name)?;
    found["containerPort"].as_i64()?.try_into().ok()
}
