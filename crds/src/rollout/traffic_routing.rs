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
