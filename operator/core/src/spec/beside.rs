//! The objects that the steps of a canary make beside those that it splits, by their [keys](crate::key).

use std::collections::{BTreeMap, BTreeSet};

use crds::rollout::Rollout;

use super::{Canary, Experiment, MappingRouting, Routing, Step};
use crate::key;
use crate::mapping::{Part, stand_in_name, trial_name};

/// The key of each object that some step asks for, with the index of that step.
pub type Names = BTreeMap<String, usize>;

/// The keys of all objects that the steps of a Rollout may ask for; none of a spec that cannot be read.
#[must_use]
pub fn of_rollout(rollout: &Rollout) -> BTreeSet<String> {
    let canary = rollout.spec.strategy.canary.as_ref();
    // Few Rollouts have such steps, and every pass asks.
    let canary = canary.filter(|canary| {
        canary.steps.iter().any(|step| {
            step.set_header_route.is_some() || step.set_mirror_route.is_some() || step.experiment.is_some()
        })
    });
    let Some(Ok(canary)) = canary.map(|canary| Canary::read(canary, None, None)) else {
        return BTreeSet::new();
    };
    match &canary.routing {
        Routing::Mappings(routing) => {
            managed_routes(&canary, routing).into_keys().chain(trials(&canary, routing).into_keys()).collect()
        }
        Routing::Replicas { .. } => BTreeSet::new(),
    }
}

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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names(routing: &Value, steps: &Value) -> Vec<String> {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "shop"},
            "spec": {"strategy": {"canary": {
                "stableService": "stable", "canaryService": "canary", "trafficRouting": routing, "steps": steps,
            }}},
        });
        of_rollout(&serde_json::from_value(rollout).unwrap()).into_iter().collect()
    }

    #[test]
    fn steps_make_objects_beside_each_base() {
        let header = json!({"setHeaderRoute": {"name": "beta", "match": [
            {"headerName": "a", "headerValue": {"exact": "1"}}, {"headerName": "b", "headerValue": {"exact": "1"}},
        ]}});
        let template = |name: &str, weight: i32| json!({"name": name, "specRef": "canary", "weight": weight});
        let templates = json!([template("old", 5), template("new", 5), template("shy", 0)]);
        let steps = json!([{"setWeight": 5}, header, {"experiment": {"templates": templates}}]);
        let mappings = json!({"ambassador": {"mappings": ["a"]}});
        assert_eq!(names(&mappings, &json!([{"setWeight": 5}])), [""; 0]);
        assert_eq!(names(&Value::Null, &steps), [""; 0]);
        assert_eq!(
            names(&mappings, &steps),
            ["a-canary-beta", "a-canary-beta-2", "a-experiment-new", "a-experiment-old"]
        );
        assert_eq!(
            names(&json!({"gatewayAPI": {"httpRoute": "a"}}), &steps),
            ["httproute/a-canary-beta", "httproute/a-canary-beta-2", "httproute/a-experiment"]
        );
    }
}
