//! What the API server refuses although each value for itself has the right type.
//!
//! A bad edit that is refused leaves what worked in place, so these rules refuse what can never work, whatever else
//! there is in the cluster. The rest is told at run time as `InvalidSpec`: what depends on other objects, what Argo
//! Rollouts takes and a later version of Sluice may act on, and where the words of Argo's own check are expected.
//! `tests/admission` has both sides as data.

use serde_json::{Value, json};

/// Most steps of a canary. The API server works out beforehand what a rule may cost, and needs an end to the list.
const MOST_STEPS: u32 = 1000;

/// What Argo reads as the length of a pause: whole seconds, or numbers with units.
const PAUSE: &str = r"^\+?([0-9]+|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// Rules by the place below `spec` of a Rollout: the CEL expression, and what the user reads.
const RULES: [(&str, &str, &str); 7] = [
    (
        "",
        "has(self.selector) || has(self.workloadRef)",
        "a selector is needed: the labels by which the pods are found, as in the template",
    ),
    (
        "",
        "!has(self.progressDeadlineSeconds) || \
         self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",
        "progressDeadlineSeconds must be greater than minReadySeconds",
    ),
    ("/properties/selector", "self == oldSelf", "the selector of a Rollout cannot be changed"),
    (
        "/properties/strategy",
        "has(self.canary) != has(self.blueGreen)",
        "one strategy is needed: either canary or blueGreen",
    ),
    (
        "/properties/strategy/properties/canary",
        "!has(self.steps) || self.steps.all(step, !has(step.setWeight) || step.setWeight <= \
         (has(self.trafficRouting) && has(self.trafficRouting.maxTrafficWeight) ? \
         self.trafficRouting.maxTrafficWeight : 100))",
        "setWeight must be between 0 and 100, or maxTrafficWeight where that is set",
    ),
    (
        "/properties/strategy/properties/canary",
        "has(self.trafficRouting) || !has(self.steps) || self.steps.all(step, !has(step.setCanaryScale))",
        "setCanaryScale needs trafficRouting: without it the number of pods is the weight",
    ),
    (
        "/properties/strategy/properties/canary",
        "has(self.trafficRouting) || !has(self.scaleDownDelaySeconds)",
        "scaleDownDelaySeconds needs trafficRouting: without it no pod is kept for its traffic",
    ),
];

/// Adds the rules and limits to the schema of a Rollout's `spec`.
///
/// # Panics
///
/// If the schema has no such field, which any test that makes the definitions shows.
pub fn add_to_rollout(spec: &mut Value) {
    let steps = at(spec, "/properties/strategy/properties/canary/properties/steps");
    steps["maxItems"] = MOST_STEPS.into();
    let duration = at(steps, "/items/properties/pause/properties/duration");
    duration["minimum"] = 0.into();
    duration["pattern"] = PAUSE.into();
    for (place, rule, message) in RULES {
        let rules = &mut at(spec, place)["x-kubernetes-validations"];
        let mut list = rules.as_array().cloned().unwrap_or_default();
        list.push(json!({ "rule": rule, "message": message }));
        *rules = list.into();
    }
}

fn at<'a>(schema: &'a mut Value, place: &str) -> &'a mut Value {
    schema.pointer_mut(place).expect("the schema has the field that a rule is about")
}
