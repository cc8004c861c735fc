//! `trafficRouting.gatewayAPI`, and the same as the configuration of Argo's plugin.

use std::collections::BTreeSet;

use crds::rollout::{GatewayApiTrafficRouting, GatewayRoute, TrafficRouting};
use serde_json::Value;

use super::Invalid;
use crate::key::{self, Kind};

/// The name under which Argo's plugin is configured.
pub const PLUGIN: &str = "argoproj-labs/gatewayAPI";
/// The label that Argo's plugin puts on routes.
const LABEL: (&str, &str) = ("rollouts.argoproj.io/gatewayapi-canary", "in-progress");
const NATIVE: &str = "spec.strategy.canary.trafficRouting.gatewayAPI";
/// What the plugin knows and this engine does not act on, with what to do instead.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("httpRouteSelector", "name the routes in httpRoutes"),
    ("grpcRouteSelector", "name the routes in grpcRoutes"),
    ("tcpRoute", "name an HTTPRoute or a GRPCRoute"),
    ("tcpRoutes", "name HTTPRoutes or GRPCRoutes"),
    ("tcpRouteSelector", "name HTTPRoutes or GRPCRoutes"),
    ("tlsRoute", "name an HTTPRoute or a GRPCRoute"),
    ("tlsRoutes", "name HTTPRoutes or GRPCRoutes"),
    ("tlsRouteSelector", "name HTTPRoutes or GRPCRoutes"),
];

/// Routes of the Gateway API whose backends get the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRouting {
    /// The [keys](crate::key) of the routes that the header routes of the steps are made for.
    pub with_header_routes: BTreeSet<String>,
    /// The label that a route carries while its canary has a weight; `None`: the routes are not labelled.
    pub in_progress: Option<(String, String)>,
    /// Where the routes are; `None`: in the Rollout's namespace.
    pub namespace: Option<String>,
    /// Path of the field that names them, for messages.
    pub field: String,
}

impl GatewayRouting {
    /// With the keys of the routes in the order written; `None` if the spec names no such router.
    pub(super) fn read(routing: &TrafficRouting) -> Result<Option<(Self, Vec<String>)>, Invalid> {
        let (written, field) = match (&routing.gateway_api, routing.plugins.get(PLUGIN)) {
            (Some(written), _) => (written.clone(), NATIVE.to_owned()),
            (None, Some(config)) => {
                let field = plugin_field();
                (read_plugin(config, &field)?, field)
            }
            (None, None) => return Ok(None),
        };
        let label = (
            written.in_progress_label_key.as_deref().unwrap_or(LABEL.0).to_owned(),
            written.in_progress_label_value.as_deref().unwrap_or(LABEL.1).to_owned(),
        );
        let native = routing.gateway_api.is_some();
        let routes = routes(&written);
        let gateway = Self {
            with_header_routes: routes
                .iter()
                .filter(|(_, headers)| native || *headers)
                .map(|(key, _)| key.clone())
                .collect(),
            in_progress: (!native && !written.disable_in_progress_label).then_some(label),
            namespace: written.namespace,
            field,
        };
        Ok(Some((gateway, routes.into_iter().map(|(key, _)| key).collect())))
    }
}

/// The keys of the routes that a spec names, whether or not it is valid.
pub(super) fn named(routing: &TrafficRouting) -> Vec<String> {
    let gateway = GatewayRouting::read(routing).ok().flatten();
    gateway.map(|(_, names)| names).unwrap_or_default()
}

/// Reads what the plugin is told. What it knows and this engine does not is refused by name.
fn read_plugin(config: &Value, field: &str) -> Result<GatewayApiTrafficRouting, Invalid> {
    for (name, instead) in UNSUPPORTED {
        if config.get(name).is_some_and(|value| !value.is_null()) {
            let why = format!("this version of Sluice does not act on it yet; {instead}");
            return Err(Invalid::forbidden(format!("{field}.{name}"), why));
        }
    }
    serde_json::from_value(config.clone())
        .map_err(|error| Invalid::value(field, config, format!("cannot be read: {error}")))
}

/// Keys of the routes without repetition, and whether header routes are made for them. The form for one route implies it.
fn routes(written: &GatewayApiTrafficRouting) -> Vec<(String, bool)> {
    let mut routes: Vec<(String, bool)> = Vec::new();
    let kinds = [
        (Kind::HttpRoute, &written.http_route, &written.http_routes),
        (Kind::GrpcRoute, &written.grpc_route, &written.grpc_routes),
    ];
    for (kind, one, several) in kinds {
        let several =
            several.iter().map(|GatewayRoute { name, use_header_routes }| (name, *use_header_routes));
        for (name, headers) in one.iter().map(|name| (name, true)).chain(several) {
            let key = key::of(kind, name);
            match routes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known |= headers,
                None => routes.push((key, headers)),
            }
        }
    }
    routes
}

fn plugin_field() -> String {
    format!("spec.strategy.canary.trafficRouting.plugins.{PLUGIN}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(routing: Value) -> Result<Option<(GatewayRouting, Vec<String>)>, Invalid> {
        GatewayRouting::read(&serde_json::from_value(routing).unwrap())
    }

    #[test]
    fn the_plugins_words_are_understood() {
        let config = json!({
            "httpRoute": "shop",
            "httpRoutes": [{"name": "shop"}, {"name": "api"}],
            "grpcRoutes": [{"name": "rpc", "useHeaderRoutes": true}],
            "namespace": "prod",
        });
        let (gateway, names) = read(json!({"plugins": {PLUGIN: config}})).unwrap().unwrap();
        assert_eq!(names, ["httproute/shop", "httproute/api", "grpcroute/rpc"]);
        let with_headers = ["httproute/shop", "grpcroute/rpc"].map(str::to_owned);
        assert_eq!(gateway.with_header_routes, with_headers.into());
        let (key, value) = gateway.in_progress.unwrap();
        assert_eq!((key.as_str(), value.as_str()), LABEL);
        let quiet = json!({"httpRoute": "shop", "disableInProgressLabel": true});
        assert_eq!(read(json!({"plugins": {PLUGIN: quiet}})).unwrap().unwrap().0.in_progress, None);
    }

    #[test]
    fn our_own_field_labels_nothing_and_makes_header_routes_for_all() {
        let (gateway, names) =
            read(json!({"gatewayAPI": {"httpRoutes": [{"name": "a"}, {"name": "b"}]}})).unwrap().unwrap();
        assert_eq!(names, ["httproute/a", "httproute/b"]);
        assert_eq!((gateway.with_header_routes.len(), gateway.in_progress), (2, None));
    }

    #[test]
    fn what_is_not_acted_on_is_refused_by_name() {
        let refusal = |config: Value| read(json!({"plugins": {PLUGIN: config}})).unwrap_err().to_string();
        assert!(refusal(json!({"tcpRoute": "db"})).contains("gatewayAPI.tcpRoute: Forbidden"));
        assert!(refusal(json!({"httpRoute": 5})).contains("cannot be read"));
        assert_eq!(read(json!({"plugins": {"other/plugin": {}}})).unwrap(), None);
    }
}
