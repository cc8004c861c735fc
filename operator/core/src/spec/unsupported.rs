//! What Argo's API has and this version of Sluice does not act on yet.
//!
//! Every such field makes the Rollout `InvalidSpec` with a sentence that names it: a field that is accepted and
//! ignored would be worse. Whoever brings a feature deletes its line here.

use crds::rollout::{CanaryStep, CanaryStrategy, NginxTrafficRouting, Rollout, TrafficRouting};

use super::Invalid;
use crate::weight::Total;

/// The first field that this version does not act on.
pub fn check(rollout: &Rollout) -> Result<(), Invalid> {
    rollout.spec.strategy.canary.as_ref().map_or(Ok(()), canary)
}

/// A step of a kind that this version does not act on.
pub(super) fn step(index: usize) -> Invalid {
    Invalid::forbidden(format!("spec.strategy.canary.steps[{index}]"), why("remove the step"))
}

fn canary(canary: &CanaryStrategy) -> Result<(), Invalid> {
    const STRATEGY: &str = "spec.strategy.canary";
    for (index, it) in canary.steps.iter().enumerate() {
        steps(it).map_or(Ok(()), |invalid| Err(within(&format!("{STRATEGY}.steps[{index}]"), invalid)))?;
    }
    let gateway = canary.traffic_routing.as_ref().is_some_and(splits_routes);
    let mirror = canary.steps.iter().position(|step| gateway && step.set_mirror_route.is_some());
    if let Some(index) = mirror {
        let refused =
            Invalid::forbidden("setMirrorRoute", why("remove the step, or use trafficRouting.ambassador"));
        return Err(within(&format!("{STRATEGY}.steps[{index}]"), refused));
    }
    match canary.traffic_routing.as_ref().map(routers) {
        Some(Err(invalid)) => Err(within(&format!("{STRATEGY}.trafficRouting"), invalid)),
        Some(Ok(())) | None => Ok(()),
    }
}

fn steps(step: &CanaryStep) -> Option<Invalid> {
    let scale_with_more =
        step.set_canary_scale.is_some() && (step.set_weight.is_some() || step.pause.is_some());
    let kinds = [
        step.set_weight.is_some() || step.pause.is_some() || step.set_canary_scale.is_some(),
        step.set_header_route.is_some(),
        step.set_mirror_route.is_some(),
        step.analysis.is_some(),
        step.experiment.is_some(),
    ];
    let more = kinds.iter().filter(|set| **set).count() > 1;
    let route_with_more = more && (step.set_header_route.is_some() || step.set_mirror_route.is_some());
    first(&[
        (step.plugin.is_some(), "plugin", "remove the step"),
        (scale_with_more, "setCanaryScale", "make it a step of its own"),
        (
            route_with_more,
            if step.set_header_route.is_some() { "setHeaderRoute" } else { "setMirrorRoute" },
            "make it a step of its own",
        ),
        (more && step.analysis.is_some(), "analysis", "make it a step of its own"),
        (more, "experiment", "make it a step of its own"),
    ])
}

fn routers(routing: &TrafficRouting) -> Result<(), Invalid> {
    let instead = "use trafficRouting.ambassador, nginx or gatewayAPI";
    let gateway = splits_routes(routing);
    let named = [routing.ambassador.is_some(), routing.nginx.is_some(), gateway];
    let found = first(&[
        (routing.plugins.keys().any(|name| name != super::GATEWAY_API_PLUGIN), "plugins", instead),
        (routing.alb.is_some(), "alb", instead),
        (routing.apisix.is_some(), "apisix", instead),
        (routing.app_mesh.is_some(), "appMesh", instead),
        (routing.istio.is_some(), "istio", instead),
        (
            named.iter().filter(|named| **named).count() > 1,
            if gateway { "gatewayAPI" } else { "nginx" },
            "name Mappings, Ingresses or routes of the Gateway API, not several of them",
        ),
        (routing.smi.is_some(), "smi", instead),
        (routing.traefik.is_some(), "traefik", instead),
        (
            routing.max_traffic_weight.is_some_and(|most| !is_served(routing, most)),
            "maxTrafficWeight",
            "with Ingresses it may be a number from 100 that divides 10000, such as 1000; else write weights in percent",
        ),
        (
            routing.nginx.as_ref().is_some_and(names_total),
            "nginx.additionalIngressAnnotations",
            "write maxTrafficWeight instead of the annotation canary-weight-total",
        ),
    ]);
    match found {
        Some(invalid) => Err(invalid),
        None if !named.contains(&true) => Err(Invalid::required(
            "ambassador",
            "no traffic router is named; name the Mappings here, or Ingresses in nginx, or routes in gatewayAPI, or remove \
             trafficRouting to split by pods",
        )),
        None => Ok(()),
    }
}

/// The weights of canary Ingresses can be parts of this, of others of 100. ingress-nginx takes what is less for 100.
fn is_served(routing: &TrafficRouting, most: i32) -> bool {
    most == 100 || (most > 100 && routing.nginx.is_some() && Total::new(most).is_some())
}

/// The annotation that `maxTrafficWeight` writes is written beside it.
fn names_total(nginx: &NginxTrafficRouting) -> bool {
    let mut names =
        nginx.additional_ingress_annotations.keys().chain(nginx.canary_ingress_annotations.keys());
    names.any(|name| name.rsplit('/').next() == Some("canary-weight-total"))
}

/// Routes of the Gateway API are named.
fn splits_routes(routing: &TrafficRouting) -> bool {
    routing.gateway_api.is_some() || routing.plugins.contains_key(super::GATEWAY_API_PLUGIN)
}

/// The first field of a list (set, field, what to do instead) that is set.
fn first(fields: &[(bool, &str, &str)]) -> Option<Invalid> {
    fields.iter().find(|(set, _, _)| *set).map(|(_, field, instead)| Invalid::forbidden(*field, why(instead)))
}

fn why(instead: &str) -> String {
    format!("this version of Sluice does not act on it yet; {instead}")
}

fn within(parent: &str, Invalid { field, problem }: Invalid) -> Invalid {
    Invalid { field: format!("{parent}.{field}"), problem }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::Spec;

    fn rollout() -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "shop:1"}]},
                },
                "strategy": {"canary": {
                    "stableService": "stable",
                    "canaryService": "canary",
                    "trafficRouting": {
                        "managedRoutes": [{"name": "h"}, {"name": "m"}],
                        "ambassador": {"mappings": ["shop"]},
                    },
                }},
            },
        })
    }

    fn refusal(rollout: Value) -> Option<String> {
        Spec::parse(&serde_json::from_value(rollout).unwrap()).err().map(|invalid| invalid.to_string())
    }

    #[test]
    fn routes_of_the_gateway_api_have_no_mirrors_yet() {
        let mut rollout = rollout();
        let canary = &mut rollout["spec"]["strategy"]["canary"];
        canary["trafficRouting"] =
            json!({"managedRoutes": [{"name": "m"}], "gatewayAPI": {"httpRoute": "shop"}});
        canary["steps"] = json!([{"setMirrorRoute": {"name": "m"}}]);
        let refusal = refusal(rollout).unwrap();
        assert!(refusal.starts_with("spec.strategy.canary.steps[0].setMirrorRoute: Forbidden"), "{refusal}");
    }

    #[test]
    fn a_total_of_weights_is_one_that_proxies_divide_by() {
        let mut rollout = rollout();
        let canary = &mut rollout["spec"]["strategy"]["canary"];
        canary["trafficRouting"] = json!({"nginx": {"stableIngress": "shop"}});
        let mut refused = |most: i32| {
            rollout["spec"]["strategy"]["canary"]["trafficRouting"]["maxTrafficWeight"] = json!(most);
            refusal(rollout.clone()).is_some_and(|it| it.contains("maxTrafficWeight: Forbidden"))
        };
        for most in [100, 200, 1000, 10_000] {
            assert!(!refused(most), "{most}");
        }
        for most in [-1, 0, 10, 300, 20_000] {
            assert!(refused(most), "{most}");
        }
    }

    #[test]
    fn no_field_is_silently_ignored() {
        let canary = "/spec/strategy/canary";
        let table = [
            (
                canary,
                "steps",
                json!([{"setCanaryScale": {"replicas": 2}, "analysis": {"templates": [{"templateName": "t"}]}}]),
            ),
            (
                canary,
                "steps",
                json!([{"setHeaderRoute": {"name": "h"}, "analysis": {"templates": [{"templateName": "t"}]}}]),
            ),
            (canary, "steps", json!([{"setCanaryScale": {"replicas": 2}, "experiment": {"templates": []}}])),
            (canary, "steps", json!([{"plugin": {"name": "a/b"}}])),
            (canary, "steps", json!([{"setWeight": 5, "setCanaryScale": {"replicas": 2}}])),
            (canary, "steps", json!([{"setWeight": 5, "setHeaderRoute": {"name": "h"}}])),
            (canary, "steps", json!([{"pause": {}, "setMirrorRoute": {"name": "m"}}])),
            (canary, "trafficRouting", json!({"istio": {"virtualService": {"name": "v"}}})),
            (canary, "trafficRouting", json!({"plugins": {"argoproj-labs/other": {}}})),
            (
                canary,
                "trafficRouting",
                json!({"nginx": {
                    "stableIngress": "shop", "additionalIngressAnnotations": {"canary-weight-total": "1000"},
                }}),
            ),
            (canary, "trafficRouting", json!({})),
        ];
        assert_eq!(refusal(rollout()), None);
        for (parent, field, value) in table {
            let mut rollout = rollout();
            rollout.pointer_mut(parent).unwrap()[field] = value.clone();
            let refusal = refusal(rollout).unwrap_or_default();
            assert!(refusal.contains(field), "{field}: {value} gives {refusal:?}");
        }
    }
}
