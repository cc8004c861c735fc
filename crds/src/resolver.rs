//! Resolvers (`getambassador.io`): how the name in `service` becomes addresses.
//!
//! Manifests often give a resolver no spec at all. kube's derive would then refuse the object, so the spec is an
//! ordinary field here, `settings`, that may be absent.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shapes::{Extra, StringOrList};

/// Requests go to the pods behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "KubernetesEndpointResolver",
    plural = "kubernetesendpointresolvers",
    category = "ambassador-crds",
    namespaced,
    no_spec,
    derive = "Default",
    derive = "PartialEq",
    doc = "Requests go to the pods behind a Service."
)]
pub struct KubernetesEndpointResolverObject {
    /// The object's spec.
    #[serde(rename = "spec", default)]
    pub settings: ResolverSettings,
}

/// Requests go to the cluster address of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "KubernetesServiceResolver",
    plural = "kubernetesserviceresolvers",
    category = "ambassador-crds",
    namespaced,
    no_spec,
    derive = "Default",
    derive = "PartialEq",
    doc = "Requests go to the cluster address of a Service."
)]
pub struct KubernetesServiceResolverObject {
    /// The object's spec.
    #[serde(rename = "spec", default)]
    pub settings: ResolverSettings,
}

/// Requests go to the endpoints that Consul names.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "ConsulResolver",
    plural = "consulresolvers",
    category = "ambassador-crds",
    namespaced,
    no_spec,
    derive = "Default",
    derive = "PartialEq",
    doc = "Requests go to the endpoints that Consul names."
)]
pub struct ConsulResolverObject {
    /// The object's spec.
    #[serde(rename = "spec", default)]
    pub settings: ConsulSettings,
}

/// Spec of a resolver for Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ResolverSettings {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Spec of a resolver for Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ConsulSettings {
    /// Ids of the installations that use this object; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<StringOrList>,
    /// Address of Consul; absent = `127.0.0.1:8500`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Name of the data center; absent = `dc1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// Fields of other versions and tools, kept as they were written.
    #[serde(flatten)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resolver_needs_no_spec() {
        let object = json!({
            "apiVersion": "getambassador.io/v2",
            "kind": "KubernetesEndpointResolver",
            "metadata": {"name": "endpoint"},
        });
        let resolver: KubernetesEndpointResolver = serde_json::from_value(object).unwrap();
        assert_eq!(resolver.spec.settings, ResolverSettings::default());
        assert_eq!(resolver.metadata.name.as_deref(), Some("endpoint"));
    }

    #[test]
    fn a_spec_is_read_and_written_at_its_place() {
        let object = json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "ConsulResolver",
            "metadata": {"name": "consul"},
            "spec": {"address": "consul:8500", "ambassador_id": ["a"], "new": 1},
        });
        let resolver: ConsulResolver = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(resolver.spec.settings.address.as_deref(), Some("consul:8500"));
        assert_eq!(serde_json::to_value(&resolver).unwrap(), object);
    }
}
