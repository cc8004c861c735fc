//! Steps that make routes of their own: `setHeaderRoute` and `setMirrorRoute`. Argo has them for few routers; here those
//! of Mappings can do it too.

use crds::rollout::step::StringMatch;
use crds::rollout::{CanaryStep, SetHeaderRoute, SetMirrorRoute, TrafficRouting};

use super::Checked;
use crate::spec::Invalid;

const MISSING: &str =
    "StringMatch value missed, match value must have one of the following: exact, regex, prefix";
const SEVERAL: &str = "StringMatch match value must have exactly one of the following: exact, regex, prefix";

pub(super) fn validate(field: &str, step: &CanaryStep, routing: Option<&TrafficRouting>) -> Checked {
    let header_field = format!("{field}.setHeaderRoute");
    let mirror_field = format!("{field}.setMirrorRoute");
    if let Some(route) = &step.set_header_route {
        header_route(&header_field, route, routing)?;
    }
    if let Some(route) = &step.set_mirror_route {
        mirror_route(&mirror_field, route, routing)?;
    }
    let named = [
        (header_field, step.set_header_route.as_ref().map(|route| route.name.as_deref().unwrap_or_default())),
        (mirror_field, step.set_mirror_route.as_ref().map(|route| route.name.as_str())),
    ];
    let Some(routing) = routing else { return Ok(()) };
    for (field, name) in named.iter().filter_map(|(field, name)| Some((field, (*name)?))) {
        is_managed(field, name, routing)?;
    }
    Ok(())
}

fn header_route(field: &str, route: &SetHeaderRoute, routing: Option<&TrafficRouting>) -> Checked {
    let able = |it: &TrafficRouting| {
        it.ambassador.is_some()
            || it.gateway_api.is_some()
            || it.istio.is_some()
            || it.alb.is_some()
            || it.apisix.is_some()
            || !it.plugins.is_empty()
    };
    let Some(routing) = routing.filter(|routing| able(routing)) else {
        let why = "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix";
        return Err(Invalid::value(field, route, why));
    };
    let check = if routing.alb.is_some() { is_exact } else { is_one_of };
    for (index, it) in route.matches.iter().enumerate() {
        check(&format!("{field}.match[{index}]"), it.header_value.as_ref())?;
    }
    Ok(())
}

fn mirror_route(field: &str, route: &SetMirrorRoute, routing: Option<&TrafficRouting>) -> Checked {
    let able = |it: &TrafficRouting| {
        it.ambassador.is_some() || it.gateway_api.is_some() || it.istio.is_some() || !it.plugins.is_empty()
    };
    if !routing.is_some_and(able) {
        let why = "SetMirrorRoute requires TrafficRouting, supports Istio and Plugins";
        return Err(Invalid::value(field, route, why));
    }
    for (index, it) in route.matches.iter().enumerate() {
        for value in [&it.method, &it.path].into_iter().flatten() {
            is_one_of(&format!("{field}.match[{index}]"), Some(value))?;
        }
    }
    Ok(())
}

/// Whatever a step routes must have its place in the order of routes.
fn is_managed(field: &str, name: &str, routing: &TrafficRouting) -> Checked {
    if routing.managed_routes.is_empty() {
        let why = "Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'";
        return Err(Invalid::required("spec.strategy.trafficRouting.managedRoutes", why));
    }
    if routing.managed_routes.iter().any(|route| route.name == name) {
        return Ok(());
    }
    let why = "Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes";
    Err(Invalid::value(field, name, why))
}

fn is_one_of(field: &str, written: Option<&StringMatch>) -> Checked {
    let set = written
        .map(|it| [&it.exact, &it.regex, &it.prefix].into_iter().flatten().count())
        .unwrap_or_default();
    match set {
        0 => Err(Invalid::value(field, &written, MISSING)),
        1 => Ok(()),
        _ => Err(Invalid::value(field, &written, SEVERAL)),
    }
}

/// The only form that an ALB can match.
fn is_exact(field: &str, written: Option<&StringMatch>) -> Checked {
    match written {
        None => Err(Invalid::value(field, &written, MISSING)),
        Some(StringMatch { exact: Some(_), regex: None, prefix: None }) => Ok(()),
        Some(_) => {
            let why = "SetHeaderRoute match value invalid. ALB supports 'exact' value only";
            Err(Invalid::value(field, &written, why))
        }
    }
}
