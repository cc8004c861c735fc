//! `spec.strategy.canary.steps[]`.

use crds::rollout::{CanaryStep, CanaryStrategy, ExperimentStep};

use super::{Checked, analysis, routes};
use crate::duration;
use crate::spec::{GATEWAY_API_PLUGIN, Invalid};

const ONE_OF: &str =
    "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";

/// A weight that is not a share.
pub(in crate::spec) fn weight_out_of_range(index: usize, weight: i32, most: i32) -> Invalid {
    let why = format!("SetWeight needs to be between 0 and {most}");
    Invalid::value(format!("{}.setWeight", field_of(index)), &weight, why)
}

/// A pause that is unreadable or negative; `seconds` as in [`duration::pause`].
pub(in crate::spec) fn pause_unreadable(index: usize, seconds: i32) -> Invalid {
    let field = format!("{}.pause.duration", field_of(index));
    Invalid::value(field, &seconds, "Duration needs to be greater than 0")
}

pub(super) fn validate(canary: &CanaryStrategy, index: usize, step: &CanaryStep) -> Checked {
    let field = field_of(index);
    has_one_kind(&field, step)?;
    let routing = canary.traffic_routing.as_ref();
    let most = routing.and_then(|routing| routing.max_traffic_weight).unwrap_or(100);
    if let Some(weight) = step.set_weight.filter(|weight| !(0..=most).contains(weight)) {
        return Err(weight_out_of_range(index, weight, most));
    }
    if let Some(Err(seconds)) = step.pause.as_ref().and_then(|it| it.duration.as_ref()).map(duration::pause) {
        return Err(pause_unreadable(index, seconds));
    }
    if step.set_canary_scale.is_some() && routing.is_none() {
        let why = "SetCanaryScale requires TrafficRouting to be set";
        return Err(Invalid::required("spec.strategy.trafficRouting", why));
    }
    routes::validate(&field, step, routing)?;
    if let Some(step) = &step.experiment {
        experiment(&format!("{field}.experiment"), step, canary)?;
        shares(&format!("{field}.experiment"), step, canary, index)?;
    }
    analysis::arguments(&field, step)
}

fn field_of(index: usize) -> String {
    format!("spec.strategy.steps[{index}]")
}

/// At most one of the four kinds that Argo tells apart here, and at least one of all.
fn has_one_kind(field: &str, step: &CanaryStep) -> Checked {
    let [experiment, pause, weight, analysis] =
        [step.experiment.is_some(), step.pause.is_some(), step.set_weight.is_some(), step.analysis.is_some()];
    if [experiment, pause, weight, analysis].iter().filter(|set| **set).count() > 1 {
        let set = format!(
            "step.Experiment: {experiment} step.Pause: {pause} step.SetWeight: {weight} step.Analysis: {analysis}"
        );
        return Err(Invalid::value(field, &set, ONE_OF));
    }
    if *step == CanaryStep::default() {
        let missing = "step.Experiment: true step.Pause: true step.SetWeight: true step.Analysis: true \
                       step.SetCanaryScale: true step.SetHeaderRoute: true step.SetMirrorRoute: true step.Plugin: true";
        return Err(Invalid::value(field, missing, ONE_OF));
    }
    Ok(())
}

/// Only some routers can give an Experiment traffic of its own.
fn experiment(field: &str, step: &ExperimentStep, canary: &CanaryStrategy) -> Checked {
    let why = match &canary.traffic_routing {
        None => "Experiment template weight cannot be set unless TrafficRouting is enabled",
        // Two Services that take turns leave no base that could give a share away.
        Some(it) if it.ambassador.is_some() && canary.ping_pong.is_some() => {
            "Experiment template weight is not available with pingPong: name stableService and canaryService"
        }
        // Copies of a Mapping have weights of their own, and another route can stand in for one; Argo has no weights there.
        Some(it) if it.ambassador.is_some() || it.gateway_api.is_some() => return Ok(()),
        Some(it) if it.plugins.contains_key(GATEWAY_API_PLUGIN) => return Ok(()),
        Some(it) if it.alb.is_none() && it.smi.is_none() && it.istio.is_none() && it.plugins.is_empty() => {
            "Experiment template weight is only available for TrafficRouting with SMI, ALB, Istio and Plugins at this \
             time"
        }
        Some(_) => return Ok(()),
    };
    let weighted = step.templates.iter().enumerate().find_map(|(index, it)| Some((index, it.weight?)));
    match weighted {
        Some((index, weight)) => {
            Err(Invalid::value(format!("{field}.templates[{index}].weight"), &weight, why))
        }
        None => Ok(()),
    }
}

/// What the canary has at the step and what the templates get must leave something to share.
fn shares(field: &str, step: &ExperimentStep, canary: &CanaryStrategy, index: usize) -> Checked {
    let held = canary.steps.iter().take(index).rev().find_map(|it| it.set_weight).unwrap_or(0);
    let asked: i64 = step.templates.iter().filter_map(|it| it.weight).map(i64::from).sum();
    if asked == 0 || i64::from(held) + asked <= 100 {
        return Ok(());
    }
    let why = format!("with the weight {held} of the canary at this step that is more than 100");
    Err(Invalid::value(format!("{field}.templates"), &asked, why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::Spec;

    /// What is said of an Experiment whose template has this weight, after a step that gives the canary 60.
    fn says(routing: &Value, weight: i32, more: &Value) -> String {
        let template = json!({"name": "trial", "specRef": "canary", "weight": weight});
        let mut canary = json!({
            "stableService": "stable", "canaryService": "canary", "trafficRouting": routing,
            "steps": [{"setWeight": 60}, {"experiment": {"duration": "1m", "templates": [template]}}],
        });
        canary.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "shop:1"}]},
                },
                "strategy": {"canary": canary},
            },
        });
        let parsed = Spec::parse(&serde_json::from_value(rollout).unwrap());
        parsed.err().map(|invalid| invalid.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_experiment_has_weights_beside_mappings_and_routes() {
        let mappings = json!({"ambassador": {"mappings": ["shop"]}});
        let ping_pong = json!({
            "pingPong": {"pingService": "ping", "pongService": "pong"}, "stableService": null, "canaryService": null,
        });
        let route = json!({"httpRoute": "shop", "namespace": "default"});
        let [routes, plugin] =
            [json!({"gatewayAPI": route}), json!({"plugins": {"argoproj-labs/gatewayAPI": route}})];
        for (routing, more) in
            [(&mappings, json!({})), (&routes, json!({})), (&routes, ping_pong.clone()), (&plugin, json!({}))]
        {
            assert_eq!(says(routing, 40, &more), "", "{routing}");
        }
        for (routing, weight, more, told) in [
            (&mappings, 41, json!({}), "with the weight 60 of the canary at this step that is more than 100"),
            (&mappings, 10, ping_pong, "not available with pingPong"),
            (
                &json!({"nginx": {"stableIngress": "shop"}}),
                10,
                json!({}),
                "only available for TrafficRouting with SMI",
            ),
            (&routes, 41, json!({}), "with the weight 60 of the canary at this step that is more than 100"),
            (&Value::Null, 10, json!({}), "cannot be set unless TrafficRouting is enabled"),
        ] {
            let said = says(routing, weight, &more);
            assert!(said.contains(told), "{routing}, {weight}: {said}");
        }
    }
}
