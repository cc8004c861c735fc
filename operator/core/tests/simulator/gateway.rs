//! Routes of the Gateway API in the simulated cluster: what a data plane makes of their rules, and writes of weights.

use operator_core::effect::{Effect, LabelChange};
use operator_core::gateway_route::WeightChange;
use operator_core::key::{self, Kind};
use operator_core::traffic::{Arm, ObjectName, Served};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::data_plane::version;
use super::execute::{Refused, check, object};

/// The key of a route; `None` for an object of another kind.
pub(crate) fn key_of(object: &Value) -> Option<String> {
    let name = object["metadata"]["name"].as_str()?;
    match object["kind"].as_str()? {
        "HTTPRoute" => Some(key::of(Kind::HttpRoute, name)),
        "GRPCRoute" => Some(key::of(Kind::GrpcRoute, name)),
        _ => None,
    }
}

/// The canary's weight in the first rule that has both Services, in 1/10 000.
pub(crate) fn share(route: &Value, stable: &str, canary: &str) -> Option<i64> {
    let find =
        |rule: &Value, name: &str| backends(rule).find_map(|(it, weight)| (it == name).then_some(weight));
    let mut rules = route["spec"]["rules"].as_array()?.iter();
    let (stable, canary) = rules.find_map(|rule| Some((find(rule, stable)?, find(rule, canary)?)))?;
    Some(10_000 * canary / (stable + canary).max(1))
}

/// The backends of each rule with their weights.
pub(crate) fn route_text(route: &Value) -> String {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let text = |rule: &Value| {
        let headers: Vec<String> = rule["matches"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|it| it["headers"].as_array().into_iter().flatten())
            .map(|header| format!("{}={} -> ", header["name"].as_str().unwrap_or_default(), header["value"]))
            .collect();
        let backends: Vec<String> = backends(rule).map(|(name, weight)| format!("{name} {weight}")).collect();
        format!("{}{}", headers.concat(), backends.join(", "))
    };
    let labels = route["metadata"]["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> = labels.map(|(key, value)| format!("; {key}={value}")).collect();
    rules.map(text).collect::<Vec<_>>().join(" | ") + &labels.concat()
}

/// What a plan writes into a route.
pub(crate) fn changes_text(weights: &[WeightChange], label: Option<&LabelChange>) -> String {
    let weights = weights.iter().map(|it| {
        let from = it.from.map_or_else(|| "none".to_owned(), |from| from.to_string());
        format!("{} {from} -> {}", it.service, it.to)
    });
    let label = label.map(|it| match &it.to {
        Some(to) => format!("label {}={to}", it.key),
        None => format!("no label {}", it.key),
    });
    weights.chain(label).collect::<Vec<_>>().join(", ")
}

pub(super) fn backends(rule: &Value) -> impl Iterator<Item = (String, i64)> {
    let backends = rule["backendRefs"].as_array().into_iter().flatten();
    backends
        .map(|it| (it["name"].as_str().unwrap_or_default().to_owned(), it["weight"].as_i64().unwrap_or(1)))
}

impl Cluster {
    /// One split for each rule of a route.
    pub(super) fn rules(&self, key: &str, route: &Value) -> Vec<(String, Served)> {
        let (kind, _) = key::parse(key);
        let rules = route["spec"]["rules"].as_array().into_iter().flatten().enumerate();
        rules
            .map(|(index, rule)| {
                let all: i64 = backends(rule).map(|(_, weight)| weight).sum();
                let mut versions = vec![version(kind.text(), route)];
                versions.extend(self.draining_pods());
                let arms = backends(rule)
                    .map(|(service, weight)| {
                        versions.extend(self.services.get(&service).map(|it| version("Service", it)));
                        Arm {
                            id: service.clone(),
                            mapping: ObjectName::new("default", key),
                            endpoints: self.endpoints(&service),
                            service: ObjectName::new("default", service),
                            written: Some(i32::try_from(weight).expect("a weight")),
                            share: u32::try_from(10_000 * weight / all.max(1)).expect("a share"),
                        }
                    })
                    .collect();
                (format!("{key} {index}"), Served { arms, versions })
            })
            .collect()
    }

    /// The API server's side of the guarded patch.
    pub(super) fn set_route_weights(&mut self, effect: &Effect) -> Result<(), Refused> {
        let Effect::SetRouteWeights { target, weights, label, labelled } = effect else {
            panic!("another effect: {effect:?}")
        };
        let version = self.next_version();
        let route = object(&mut self.mappings, target)?;
        for change in weights {
            let backend =
                route.pointer_mut(&change.backend).ok_or_else(|| Refused("no such backend".to_owned()))?;
            check(backend["name"] == change.service.as_str(), "another backend")?;
            check(backend["weight"].as_i64() == change.from, "the weight moved")?;
            backend["weight"] = json!(change.to);
        }
        if let Some(LabelChange { key, from, to }) = label {
            check(route["metadata"]["labels"].is_object() == *labelled, "the labels moved")?;
            check(route["metadata"]["labels"][key].as_str() == from.as_deref(), "the label moved")?;
            match to {
                Some(to) => route["metadata"]["labels"][key] = json!(to),
                None => drop(route["metadata"]["labels"].as_object_mut().map(|labels| labels.remove(key))),
            }
        }
        route["metadata"]["resourceVersion"] = json!(version);
        Ok(())
    }
}
