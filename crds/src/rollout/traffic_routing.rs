//! `spec.strategy.canary.trafficRouting`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::go_json;

/// Who splits the traffic. Several routers may be named at once.
///
/// Routers that Sluice does not drive are kept as JSON, so that a manifest that names one is understood well
/// enough to say so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRouting {
    /// Mappings (`getambassador.io`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador: Option<AmbassadorTrafficRouting>,

    /// When a weight counts as served. A field of Sluice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,

    /// Routes of the Gateway API. A field of Sluice; `plugins["argoproj-labs/gatewayAPI"]` says the same.
    #[serde(rename = "gatewayAPI", skip_serializing_if = "Option::is_none")]
    pub gateway_api: Option<GatewayApiTrafficRouting>,

    /// Header and mirror routes that steps may use, in order of precedence.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub managed_routes: Vec<ManagedRoute>,

    /// What a weight is a share of; absent = 100. Only with nginx or plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_traffic_weight: Option<i32>,

    /// Routers by plugin name, such as `argoproj-labs/gatewayAPI`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub plugins: BTreeMap<String, Value>,

    /// AWS load balancers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub alb: Option<Value>,

    /// Apache APISIX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub apisix: Option<Value>,

    /// AWS App Mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub app_mesh: Option<Value>,

    /// Istio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub istio: Option<Value>,

    /// ingress-nginx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxTrafficRouting>,

    /// Service Mesh Interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub smi: Option<Value>,

    /// Traefik.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub traefik: Option<Value>,
}

/// The base Mappings whose traffic is split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmbassadorTrafficRouting {
    /// Names of Mappings in the Rollout's namespace. At least one; they send to the stable Service, and a
    /// `<name>-canary` is made beside each.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub mappings: Vec<String>,
}

/// The routes of the Gateway API whose backends are weighted: as Argo's plugin `argoproj-labs/gatewayAPI` is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApiTrafficRouting {
    /// Name of the one HTTPRoute.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub http_route: Option<String>,
    /// Several HTTPRoutes.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub http_routes: Vec<GatewayRoute>,
    /// Name of the one GRPCRoute.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<String>,
    /// Several GRPCRoutes.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub grpc_routes: Vec<GatewayRoute>,
    /// Namespace of the routes; absent = the Rollout's.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Do not label the routes while an update goes on. Only Argo's plugin labels them.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "std::ops::Not::not")]
    pub disable_in_progress_label: bool,
    /// Key of that label; absent = `rollouts.argoproj.io/gatewayapi-canary`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub in_progress_label_key: Option<String>,
    /// Value of that label; absent = `in-progress`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub in_progress_label_value: Option<String>,
}

/// One route of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRoute {
    /// Its name.
    pub name: String,
    /// The header routes of the steps are made for it. Without it, only weights.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "std::ops::Not::not")]
    pub use_header_routes: bool,
}

/// When a weight counts as served, and how long draining may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Confirm {
    /// Seconds to wait after a write when the data plane cannot acknowledge (not ours); absent = 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub settle_seconds: Option<i32>,
    /// Seconds without an acknowledgement from a proxy before a Warning names it; absent = 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub warn_after_seconds: Option<i32>,
    /// Longest time in seconds that a pod waits for its requests to end before it is scaled down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub drain_deadline_seconds: Option<i32>,
}

/// Name of a header or mirror route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedRoute {
    /// Name that steps refer to.
    pub name: String,
}

/// The Ingresses whose traffic is split by ingress-nginx annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NginxTrafficRouting {
    /// Prefix of the annotations; absent = `nginx.ingress.kubernetes.io`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub annotation_prefix: Option<String>,
    /// Name of the one Ingress.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub stable_ingress: Option<String>,
    /// Names of several Ingresses.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "Vec::is_empty")]
    pub stable_ingresses: Vec<String>,
    /// Annotations for the canary Ingress, without prefix.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_ingress_annotations: BTreeMap<String, String>,
    /// Annotations for the canary Ingress, as they are.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    pub canary_ingress_annotations: BTreeMap<String, String>,
}
