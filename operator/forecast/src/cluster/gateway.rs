//! Routes of the Gateway API: what the proxy makes of their rules, and writes of their weights.

use operator_core::effect::{LabelChange, Target};
use operator_core::gateway_route::WeightChange;
use operator_core::key;
use operator_core::traffic::{Arm, Served};
use operator_core::world::Mapping;
use serde_json::{Value, json};

use super::Cluster;

impl Cluster {
    /// The content of each rule of a route, by the route's key and the rule's number.
    pub(crate) fn rules(&self, key: &str, route: &Mapping) -> Vec<(String, Served)> {
        let rules = route.object["spec"]["rules"].as_array().into_iter().flatten().enumerate();
        rules.map(|(index, rule)| (format!("{key} {index}"), self.rule(key, route, rule))).collect()
    }

    fn rule(&self, key: &str, route: &Mapping, rule: &Value) -> Served {
        let (kind, name) = key::parse(key);
        let mut versions = vec![self.version(kind.text(), name, &route.resource_version)];
        let all: i64 = backends(rule).map(|(_, weight)| weight).sum();
        let mut arms = Vec::new();
        for (service, weight) in backends(rule) {
            if let Some(found) = self.services.get(service) {
                versions.push(self.version("Service", service, &found.resource_version));
            }
            arms.push(Arm {
                id: service.to_owned(),
                mapping: self.object(key),
                endpoints: self.endpoints_of(service),
                service: self.object(service),
                written: i32::try_from(weight).ok(),
                share: u32::try_from(10_000 * weight / all.max(1)).unwrap_or_default(),
            });
        }
        Served { arms, versions }
    }

    /// Writes weights, and perhaps a label, into a route.
    pub(super) fn set_route_weights(
        &mut self,
        target: &Target,
        weights: &[WeightChange],
        label: Option<&LabelChange>,
    ) {
        let version = self.next_version();
        let Some(route) = self.mappings.get_mut(&target.name) else { return };
        for WeightChange { backend, to, .. } in weights {
            if let Some(backend) = route.object.pointer_mut(backend) {
                backend["weight"] = json!(to);
            }
        }
        if let Some(LabelChange { key, to, .. }) = label {
            if let Some(to) = to {
                route.object["metadata"]["labels"][key] = json!(to);
            } else if let Some(labels) = route.object["metadata"]["labels"].as_object_mut() {
                labels.remove(key);
            }
        }
        route.object["metadata"]["resourceVersion"] = json!(version);
        route.resource_version = version;
    }
}

/// The Services of a rule with their weights, up to the API's million.
fn backends(rule: &Value) -> impl Iterator<Item = (&str, i64)> {
    let backends = rule["backendRefs"].as_array().into_iter().flatten();
    backends
        .filter_map(|it| Some((it["name"].as_str()?, it["weight"].as_i64().unwrap_or(1).clamp(0, 1_000_000))))
}
