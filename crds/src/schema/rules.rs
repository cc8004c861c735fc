//! What the API server refuses although each value for itself has the right type.
//!
//! A bad edit that is refused leaves what worked in place, so these rules refuse what can never work, whatever else
//! there is in the cluster. The rest is told at run time as `InvalidSpec`: what depends on other objects, what Argo
//! Rollouts takes and a later version of Sluice may act on, and what is in lists of lists, where a rule may cost too
//! much. `tests/admission` has both sides as data.

use serde_json::{Value, json};

/// Most steps of a canary. The API server works out beforehand what a rule may cost, and needs an end to the list.
const MOST_STEPS: u32 = 1000;

/// What Argo reads as the length of a pause: whole seconds, or numbers with units.
const PAUSE: &str = r"^\+?([0-9]+|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// What must hold of one place below `spec` of a Rollout.
struct Rule {
    place: &'static str,
    /// The field below the place that the user is pointed to; empty: the place itself.
    field: &'static str,
    /// A CEL expression. `self` stands for the place and for nothing else.
    holds: &'static str,
    /// What the user reads: Argo's words, where its own validation has the rule.
    says: &'static str,
}

impl Rule {
    const fn new(place: &'static str, field: &'static str, holds: &'static str, says: &'static str) -> Self {
        Self { place, field, holds, says }
    }

    /// An object that broke the rule before may go on doing so: somebody who edits another field is not in the way of
    /// an old mistake. For an item of a list the API server cannot tell what it was before; it leaves lists alone that
    /// did not change.
    fn schema(&self) -> Value {
        let holds = self.holds;
        let mut schema = if self.place.ends_with("/items") {
            json!({ "rule": holds, "message": self.says })
        } else {
            let before = holds.replace("self", "old");
            let rule = format!("({holds}) || oldSelf.optMap(old, !({before})).orValue(false)");
            json!({ "rule": rule, "message": self.says, "optionalOldSelf": true })
        };
        if !self.field.is_empty() {
            schema["fieldPath"] = self.field.into();
        }
        schema
    }
}

const CANARY: &str = "/properties/strategy/properties/canary";
const TRAFFIC_ROUTING: &str = "/properties/strategy/properties/canary/properties/trafficRouting";

const RULES: [Rule; 25] = [
    Rule::new(
        "",
        "",
        "has(self.selector) || has(self.workloadRef)",
        "Rollout has missing field '.spec.selector'",
    ),
    Rule::new(
        "",
        ".progressDeadlineSeconds",
        "(has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : 600) > \
         (has(self.minReadySeconds) ? self.minReadySeconds : 0)",
        "must be greater than minReadySeconds",
    ),
    Rule::new(
        "",
        "",
        "has(self.strategy) && (has(self.strategy.canary) || has(self.strategy.blueGreen))",
        "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'",
    ),
    Rule::new(
        "",
        "",
        "!has(self.strategy) || !has(self.strategy.blueGreen) || \
         !has(self.strategy.blueGreen.scaleDownDelayRevisionLimit) || \
         self.strategy.blueGreen.scaleDownDelayRevisionLimit <= \
         (has(self.revisionHistoryLimit) ? self.revisionHistoryLimit : 10)",
        "This rollout's revision history limit can not be smaller than the rollout's scale down limit",
    ),
    Rule::new(
        "/properties/strategy",
        "",
        "!has(self.canary) || !has(self.blueGreen)",
        "Multiple Strategies can not be listed",
    ),
    Rule::new(
        "/properties/strategy/properties/blueGreen",
        ".activeService",
        "(has(self.activeService) ? self.activeService : '') != (has(self.previewService) ? self.previewService : '')",
        "This rollout uses the same service for the active and preview services, but two different services are \
         required.",
    ),
    Rule::new(
        "/properties/strategy/properties/blueGreen/properties/antiAffinity",
        "",
        ONE_ANTI_AFFINITY,
        "AntiAffinity must have exactly one strategy listed",
    ),
    Rule::new(
        CANARY,
        "",
        "!has(self.maxSurge) || !has(self.maxUnavailable) || \
         !(type(self.maxSurge) == int ? self.maxSurge == 0 : self.maxSurge == '0%') || \
         !(type(self.maxUnavailable) == int ? self.maxUnavailable == 0 : self.maxUnavailable == '0%')",
        "MaxSurge and MaxUnavailable both can not be zero",
    ),
    Rule::new(
        CANARY,
        ".stableService",
        "!has(self.stableService) || !has(self.canaryService) || self.stableService == '' || \
         self.stableService != self.canaryService",
        "This rollout uses the same service for the stable and canary services, but two different services are \
         required.",
    ),
    Rule::new(
        CANARY,
        "",
        "!has(self.trafficRouting) || !has(self.trafficRouting.ambassador) || has(self.pingPong) || \
         (has(self.stableService) && self.stableService != '' && has(self.canaryService) && self.canaryService != '')",
        "Canary service and Stable service must to be set to use Traffic Routing",
    ),
    Rule::new(
        CANARY,
        "",
        "!has(self.trafficRouting) || !has(self.trafficRouting.nginx) || \
         (has(self.stableService) && self.stableService != '' && has(self.canaryService) && self.canaryService != '')",
        "Canary service and Stable service must to be set to use Traffic Routing",
    ),
    Rule::new(
        CANARY,
        ".pingPong",
        "!has(self.trafficRouting) || !has(self.trafficRouting.nginx) || !has(self.pingPong)",
        "Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only",
    ),
    Rule::new(
        CANARY,
        ".scaleDownDelaySeconds",
        "has(self.trafficRouting) || !has(self.scaleDownDelaySeconds)",
        "Canary scaleDownDelaySeconds can only be used with traffic routing",
    ),
    Rule::new(
        CANARY,
        ".dynamicStableScale",
        "has(self.trafficRouting) || !has(self.dynamicStableScale) || !self.dynamicStableScale",
        "Canary dynamicStableScale can only be used with traffic routing",
    ),
    Rule::new(
        CANARY,
        ".dynamicStableScale",
        "!has(self.trafficRouting) || !has(self.scaleDownDelaySeconds) || !has(self.dynamicStableScale) || \
         !self.dynamicStableScale",
        "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds",
    ),
    Rule::new(
        CANARY,
        ".steps",
        "(has(self.trafficRouting) && has(self.trafficRouting.maxTrafficWeight)) || !has(self.steps) || \
         self.steps.all(step, !has(step.setWeight) || step.setWeight <= 100)",
        "SetWeight needs to be between 0 and 100",
    ),
    Rule::new(
        CANARY,
        ".steps",
        "!has(self.trafficRouting) || !has(self.trafficRouting.maxTrafficWeight) || !has(self.steps) || \
         self.steps.all(step, !has(step.setWeight) || step.setWeight <= self.trafficRouting.maxTrafficWeight)",
        "SetWeight needs to be between 0 and maxTrafficWeight",
    ),
    Rule::new(
        CANARY,
        ".steps",
        "has(self.trafficRouting) || !has(self.steps) || self.steps.all(step, !has(step.setCanaryScale))",
        "SetCanaryScale requires TrafficRouting to be set",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/steps/items",
        "",
        "[has(self.experiment), has(self.pause), has(self.setWeight), has(self.analysis)].filter(set, set).size() <= 1 \
         && (has(self.experiment) || has(self.pause) || has(self.setWeight) || has(self.analysis) || \
         has(self.setCanaryScale) || has(self.setHeaderRoute) || has(self.setMirrorRoute) || has(self.plugin))",
        "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/antiAffinity",
        "",
        ONE_ANTI_AFFINITY,
        "AntiAffinity must have exactly one strategy listed",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/pingPong",
        "",
        "has(self.pingService) && self.pingService != '' && has(self.pongService) && self.pongService != ''",
        "Ping service and Pong service must to be set to use Ping-Pong feature",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/pingPong",
        ".pingService",
        "!has(self.pingService) || !has(self.pongService) || self.pingService != self.pongService",
        "This rollout uses the same service for the ping and pong services, but two different services are required.",
    ),
    Rule::new(
        TRAFFIC_ROUTING,
        ".maxTrafficWeight",
        "!has(self.maxTrafficWeight) || has(self.nginx) || has(self.plugins)",
        "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/trafficRouting/properties/ambassador",
        "",
        "has(self.mappings) && self.mappings.size() > 0",
        "must provide at least one mapping",
    ),
    Rule::new(
        "/properties/strategy/properties/canary/properties/trafficRouting/properties/nginx",
        "",
        "(has(self.stableIngress) && self.stableIngress != '') || \
         (has(self.stableIngresses) && self.stableIngresses.size() > 0)",
        "name the Ingress whose requests are split in stableIngress, or several in stableIngresses",
    ),
];

const ONE_ANTI_AFFINITY: &str = "has(self.preferredDuringSchedulingIgnoredDuringExecution) != \
                                 has(self.requiredDuringSchedulingIgnoredDuringExecution)";

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
    let selector =
        json!({ "rule": "self == oldSelf", "message": "the selector of a Rollout cannot be changed" });
    at(spec, "/properties/selector")["x-kubernetes-validations"] = json!([selector]);
    for rule in &RULES {
        let rules = &mut at(spec, rule.place)["x-kubernetes-validations"];
        let mut list = rules.as_array().cloned().unwrap_or_default();
        list.push(rule.schema());
        *rules = list.into();
    }
}

fn at<'a>(schema: &'a mut Value, place: &str) -> &'a mut Value {
    schema.pointer_mut(place).expect("the schema has the field that a rule is about")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_stands_in_the_way_of_an_old_mistake() {
        for rule in RULES.iter().filter(|rule| !rule.place.ends_with("/items")) {
            let schema = rule.schema();
            assert_eq!(schema["optionalOldSelf"], true);
            let text = schema["rule"].as_str().unwrap();
            let (now, before) = text.split_once(" || oldSelf.optMap(old, !").unwrap();
            let before = before.strip_suffix(").orValue(false)").unwrap();
            assert_eq!(before.replace("old", "self"), now, "{}", rule.says);
        }
    }
}
