//! How a step is called in events and in `kubectl argo rollouts get rollout`.

use crds::rollout::{CanaryStep, SetCanaryScale};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// `setWeight: 20`, `pause: 1h`, `analysis`, …; `invalid` for a step with no kind. Of several kinds the first counts.
/// The words are Argo's.
#[must_use]
pub fn step_text(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight: {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            Some(IntOrString::Int(seconds)) => format!("pause: {seconds}"),
            Some(IntOrString::String(text)) => format!("pause: {text}"),
            None => "pause".to_owned(),
        };
    }
    if step.experiment.is_some() {
        return "experiment".to_owned();
    }
    if step.analysis.is_some() {
        return "analysis".to_owned();
    }
    if let Some(scale) = &step.set_canary_scale {
        return scale_text(scale);
    }
    if let Some(route) = &step.set_header_route {
        return format!("setHeaderRoute: {}", route.name.as_deref().unwrap_or_default());
    }
    if let Some(route) = &step.set_mirror_route {
        return format!("setMirrorRoute: {}", route.name);
    }
    if let Some(plugin) = &step.plugin {
        return format!("plugin: {}", plugin.name);
    }
    "invalid".to_owned()
}

fn scale_text(scale: &SetCanaryScale) -> String {
    match (scale.match_traffic_weight, scale.weight, scale.replicas) {
        (true, _, _) => "setCanaryScale{matchTrafficWeight: true}".to_owned(),
        (false, Some(weight), _) => format!("setCanaryScale{{weight: {weight}}}"),
        (false, None, Some(replicas)) => format!("setCanaryScale{{replicas: {replicas}}}"),
        (false, None, None) => "invalid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: serde_json::Value) -> String {
        step_text(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn every_kind_has_its_words() {
        let table = [
            (serde_json::json!({"setWeight": 5}), "setWeight: 5"),
            (serde_json::json!({"pause": {}}), "pause"),
            (serde_json::json!({"pause": {"duration": "1h"}}), "pause: 1h"),
            (serde_json::json!({"experiment": {"templates": []}}), "experiment"),
            (serde_json::json!({"setCanaryScale": {"replicas": 3}}), "setCanaryScale{replicas: 3}"),
            (serde_json::json!({"plugin": {"name": "a/b"}}), "plugin: a/b"),
            (serde_json::json!({}), "invalid"),
        ];
        for (step, words) in table {
            assert_eq!(text(step), words);
        }
    }
}
