//! `trafficRouting`, and what depends on whether and by whom traffic is routed.

use crds::rollout::{CanaryStrategy, Confirm, PingPong, TrafficRouting};
use serde_json::Value;

use super::{Checked, not_negative};
use crate::spec::Invalid;

const TRAFFIC_ROUTING: &str = "spec.strategy.trafficRouting";

/// One of the two Services is missing although traffic is routed.
pub(in crate::spec) fn service_missing(field: &str) -> Invalid {
    let why = "Canary service and Stable service must to be set to use Traffic Routing";
    Invalid::value(format!("spec.strategy.{field}"), "", why)
}

pub(super) fn validate(canary: &CanaryStrategy) -> Checked {
    let routing = canary.traffic_routing.as_ref();
    if let Some(services) = &canary.ping_pong {
        ping_pong(services, routing)?;
    }
    if routing.is_some_and(|routing| needs_services(canary, routing)) {
        for (field, service) in
            [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)]
        {
            service.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| service_missing(field))?;
        }
    }
    match routing {
        None => unrouted(canary),
        Some(routing) => routed(canary, routing),
    }
}

fn ping_pong(
    PingPong { ping_service, pong_service }: &PingPong,
    routing: Option<&TrafficRouting>,
) -> Checked {
    const PING: &str = "spec.strategy.pingPong.pingService";
    const PONG: &str = "spec.strategy.pingPong.pongService";
    let swaps = |it: &TrafficRouting| {
        it.ambassador.is_some()
            || it.gateway_api.is_some()
            || it.alb.is_some()
            || it.istio.is_some()
            || !it.plugins.is_empty()
    };
    if routing.is_some_and(|it| !swaps(it)) {
        let why = "Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only";
        return Err(Invalid::value(format!("{TRAFFIC_ROUTING}.alb"), &Value::Null, why));
    }
    for (field, service) in [(PING, ping_service), (PONG, pong_service)] {
        if service.is_empty() {
            let why = "Ping service and Pong service must to be set to use Ping-Pong feature";
            return Err(Invalid::value(field, service, why));
        }
    }
    if ping_service == pong_service {
        let why = "This rollout uses the same service for the ping and pong services, but two different services are \
                   required.";
        return Err(Invalid::value(PING, ping_service, why));
    }
    let alb = routing.and_then(|routing| routing.alb.as_ref());
    if alb.is_some_and(|alb| text(alb, "rootService").is_empty()) {
        let why =
            "Root service field is required for the configuration with ALB and ping-pong feature enabled";
        return Err(Invalid::value(format!("{TRAFFIC_ROUTING}.alb.rootService"), "", why));
    }
    Ok(())
}

/// Routers that send to two Services. Mappings, ALB and Istio can do with others: ping and pong, or the subsets of a
/// `DestinationRule`. Plugins know for themselves.
fn needs_services(canary: &CanaryStrategy, routing: &TrafficRouting) -> bool {
    let by_host =
        routing.istio.as_ref().is_some_and(|istio| istio.get("destinationRule").is_none_or(Value::is_null));
    (by_host || routing.alb.is_some() || routing.ambassador.is_some() || routing.gateway_api.is_some())
        && canary.ping_pong.is_none()
        || routing.nginx.is_some()
        || [&routing.smi, &routing.app_mesh, &routing.traefik, &routing.apisix].iter().any(|it| it.is_some())
}

fn unrouted(canary: &CanaryStrategy) -> Checked {
    if let Some(seconds) = canary.scale_down_delay_seconds {
        let why = "Canary scaleDownDelaySeconds can only be used with traffic routing";
        return Err(Invalid::value("spec.strategy.scaleDownDelaySeconds", &seconds, why));
    }
    if canary.dynamic_stable_scale {
        let why = "Canary dynamicStableScale can only be used with traffic routing";
        return Err(Invalid::value("spec.strategy.dynamicStableScale", &true, why));
    }
    Ok(())
}

fn routed(canary: &CanaryStrategy, routing: &TrafficRouting) -> Checked {
    if canary.scale_down_delay_seconds.is_some() && canary.dynamic_stable_scale {
        let why = "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds";
        return Err(Invalid::value("spec.strategy.dynamicStableScale", &true, why));
    }
    if routing.max_traffic_weight.is_some() && routing.nginx.is_none() && routing.plugins.is_empty() {
        let why = "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins";
        let field = format!("{TRAFFIC_ROUTING}.maxTrafficWeight");
        return Err(Invalid::value(field, &routing.max_traffic_weight, why));
    }
    let Confirm { settle_seconds, warn_after_seconds, drain_deadline_seconds } =
        routing.confirm.unwrap_or_default();
    let field = |name: &str| format!("{TRAFFIC_ROUTING}.confirm.{name}");
    not_negative(field("settleSeconds"), settle_seconds.unwrap_or_default())?;
    not_negative(field("warnAfterSeconds"), warn_after_seconds.unwrap_or_default())?;
    not_negative(field("drainDeadlineSeconds"), drain_deadline_seconds.unwrap_or_default())
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
