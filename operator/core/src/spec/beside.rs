//! The objects that the steps of a canary make beside those that it splits, by their [keys](crate::key).

use std::collections::BTreeMap;

use super::{Canary, Experiment, MappingRouting, Step};
use crate::key;
use crate::mapping::{Part, stand_in_name, trial_name};

/// The key of each object that some step asks for, with the index of that step.
pub type Names = BTreeMap<String, usize>;

/// What managed routes are made of.
#[must_use]
pub fn managed_routes(canary: &Canary, routing: &MappingRouting) -> Names {
    let mut names = Names::new();
    for (step, route) in canary.managed_routes() {
        for base in routing.with_managed_routes() {
            for index in 0..route.conditions.len() {
                names.entry(Part::Route { route, index }.name(base)).or_insert(step);
            }
        }
    }
    names
}

/// What gives pods of Experiments their shares.
#[must_use]
pub fn trials(canary: &Canary, routing: &MappingRouting) -> Names {
    let mut names = Names::new();
    for (step, experiment) in canary.experiments() {
        for (template, _) in experiment.weighted() {
            for base in &routing.names {
                names.entry(trial(base, &template.name)).or_insert(step);
            }
        }
    }
    names
}

/// The key of what gives pods of a template their share of a base's requests: a Mapping for each template, one route for
/// all of them.
#[must_use]
pub fn trial(base: &str, template: &str) -> String {
    match key::parse(base) {
        (kind, name) if kind.is_split_in_place() => key::of(kind, &stand_in_name(name)),
        (kind, name) => key::of(kind, &trial_name(name, template)),
    }
}

impl Canary {
    /// Every Experiment that some step starts, with the step's index.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = (usize, &Experiment)> {
        self.steps.iter().enumerate().filter_map(|(index, step)| match step {
            Step::Experiment(experiment) => Some((index, experiment.as_ref())),
            Step::SetWeight(_)
            | Step::Pause(_)
            | Step::SetCanaryScale(_)
            | Step::SetRoute(_)
            | Step::Analysis(_) => None,
        })
    }
}
