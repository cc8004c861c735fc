//! What is in the file, and what is assumed to exist beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::Rollout;
use crds::analysis::AnalysisTemplateSpec;
use crds::contract::GUARD_ANNOTATION;
use operator_core::key::{self, Kind};
use operator_core::references::services::named;
use operator_core::spec::{Guard, MappingRouting, Routing, Spec, Strategy};
use operator_core::world::{Lookup, Mapping, Service, Templates};
use serde_json::{Value, json};

/// The kinds of objects that are split.
const SPLIT: [Kind; 4] = [Kind::Mapping, Kind::Ingress, Kind::HttpRoute, Kind::GrpcRoute];

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no Rollout, or more than one.
    #[error("the file must hold one Rollout, it holds {0}")]
    Rollouts(usize),
    /// An object cannot be read.
    #[error("failed to read {kind} \"{name}\": {why}")]
    Unreadable {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The Rollout takes its template from an object that is not in the file.
    #[error("the file must hold {kind} \"{name}\", from which the Rollout takes its template")]
    NoWorkload {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The engine would not act on it: the message of the condition `InvalidSpec`.
    #[error("{0}")]
    Invalid(String),
    /// The update does not come to an end.
    #[error("after {seconds} s the update goes no further: {why}")]
    Stuck {
        /// When it stops, in seconds after its start.
        seconds: i64,
        /// What it waits for.
        why: String,
    },
}

/// A Rollout and what belongs to it.
#[derive(Clone, Debug)]
pub struct Manifests {
    pub(crate) rollout: Rollout,
    pub(crate) services: BTreeMap<String, Service>,
    /// Mappings, Ingresses and routes of the Gateway API by their [keys](key).
    pub(crate) mappings: BTreeMap<String, Mapping>,
    pub(crate) templates: Templates,
    /// What was assumed to exist, one sentence each.
    pub(crate) assumed: Vec<String>,
    guard: Option<Guard>,
}

impl Manifests {
    /// Takes the objects of a file. Kinds that play no part are left out.
    pub fn read(objects: &[Value]) -> Result<Self, Refused> {
        let of_kind = |kind: &'static str| objects.iter().filter(move |it| it["kind"] == kind);
        let rollouts: Vec<_> = of_kind("Rollout").collect();
        let [object] = rollouts[..] else { return Err(Refused::Rollouts(rollouts.len())) };
        let mut assumed = Vec::new();
        let rollout = rollout(object, objects, &mut assumed)?;
        let mut manifests = Self {
            services: of_kind("Service").map(service).collect(),
            mappings: SPLIT
                .into_iter()
                .flat_map(|kind| of_kind(kind.text()).map(move |it| mapping(kind, it)))
                .collect(),
            templates: Templates {
                of_namespace: of_kind("AnalysisTemplate").map(template).collect(),
                of_cluster: of_kind("ClusterAnalysisTemplate").map(template).collect(),
            },
            rollout,
            assumed,
            guard: None,
        };
        manifests.assume_what_is_named()?;
        Ok(manifests)
    }

    /// The guard of the Rollout, which the plan itself does without.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// Makes up the objects that the Rollout names and the file does not hold, and says so.
    fn assume_what_is_named(&mut self) -> Result<(), Refused> {
        let spec = Spec::parse(&self.rollout)
            .map_err(|invalid| Refused::Invalid(invalid.message(&name_of(&self.rollout))))?;
        // It would look every second, at requests that nobody sends.
        let canary = self.rollout.spec.strategy.canary.as_mut();
        let field = canary.and_then(|it| it.guard.take()).is_some();
        let annotations = self.rollout.metadata.annotations.as_mut();
        let annotated = annotations.and_then(|it| it.remove(GUARD_ANNOTATION)).is_some();
        if let Strategy::Canary(canary) = &spec.strategy {
            self.guard.clone_from(&canary.guard);
        }
        if field || annotated {
            self.assumed.push("strategy.canary.guard finds nothing wrong".to_owned());
        }
        let mut missing = Vec::new();
        let selector = self.rollout.spec.selector.as_ref().and_then(|it| it.match_labels.clone());
        for (_, name) in named(&self.rollout.spec.strategy) {
            if !self.services.contains_key(name) {
                missing.push(format!("Service {name}"));
                let service = service_with(name, selector.clone().unwrap_or_default());
                self.services.insert(name.to_owned(), service);
            }
        }
        if let Strategy::Canary(canary) = &spec.strategy
            && let Routing::Mappings(routing) = &canary.routing
        {
            for name in &routing.names {
                if !self.mappings.contains_key(name) {
                    missing.push(key::show(name));
                    let (name, made) = mapping(key::parse(name).0, &assumed(name, routing));
                    self.mappings.insert(name, made);
                }
            }
        }
        missing.extend(self.assume_templates());
        if !missing.is_empty() {
            self.assumed.push(format!("{} exist, as they are not in the file", missing.join(", ")));
        }
        Ok(())
    }

    /// The templates of analyses that the Rollout names anywhere.
    fn assume_templates(&mut self) -> Vec<String> {
        let mut missing = Vec::new();
        let strategy = serde_json::to_value(&self.rollout.spec.strategy).unwrap_or_default();
        for (name, of_cluster) in template_names(&strategy) {
            let known =
                if of_cluster { &mut self.templates.of_cluster } else { &mut self.templates.of_namespace };
            if !known.contains_key(&name) {
                missing.push(format!(
                    "{} {name}",
                    if of_cluster { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" }
                ));
                let metric =
                    json!({"name": "assumed", "count": 1, "provider": {"web": {"url": "http://assumed"}}});
                let object = json!({"metadata": {"name": name}, "spec": {"metrics": [metric]}});
                let (name, made) = template(&object);
                known.insert(name, made);
            }
        }
        missing
    }
}

/// The Rollout, with the template of the workload that it refers to, and as if nobody had paused it.
fn rollout(object: &Value, objects: &[Value], assumed: &mut Vec<String>) -> Result<Rollout, Refused> {
    let mut object = object.clone();
    object.as_object_mut().map(|fields| fields.remove("status"));
    let reference = object["spec"]["workloadRef"].clone();
    if let (Some(kind), Some(name)) = (reference["kind"].as_str(), reference["name"].as_str()) {
        let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        let missing = || Refused::NoWorkload { kind: kind.to_owned(), name: name.to_owned() };
        let workload = found.ok_or_else(missing)?;
        let at = if kind == "PodTemplate" { "/template" } else { "/spec/template" };
        object["spec"]["template"] = workload.pointer(at).cloned().unwrap_or_default();
        if object["spec"]["selector"].is_null() {
            object["spec"]["selector"] = workload["spec"]["selector"].clone();
        }
        object["spec"].as_object_mut().map(|fields| fields.remove("workloadRef"));
        assumed.push(format!("the pods of {kind} {name} itself are not counted"));
    }
    for (field, sentence) in [("paused", "spec.paused is not set"), ("restartAt", "no restart is under way")]
    {
        let written = object["spec"].as_object_mut().and_then(|fields| fields.remove(field));
        if written.is_some_and(|it| it != false) {
            assumed.push(sentence.to_owned());
        }
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let metadata = &mut object["metadata"];
    if metadata["namespace"].is_null() {
        metadata["namespace"] = json!("default");
    }
    let unreadable = |why: String| Refused::Unreadable { kind: "Rollout".to_owned(), name, why };
    crds::read(&object).map_err(|error| unreadable(error.to_string()))
}

fn name_of(rollout: &Rollout) -> String {
    rollout.metadata.name.clone().unwrap_or_default()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn service(object: &Value) -> (String, Service) {
    let name = name(object);
    let selector = serde_json::from_value(object["spec"]["selector"].clone()).unwrap_or_default();
    (name.clone(), service_with(&name, selector))
}

fn service_with(name: &str, selector: BTreeMap<String, String>) -> Service {
    Service {
        uid: format!("service-{name}"),
        resource_version: "1".to_owned(),
        selector,
        managed_by: None,
        ports: Vec::new(),
    }
}

/// What stands for an object that is split and that the file does not hold.
fn assumed(key: &str, routing: &MappingRouting) -> Value {
    let (kind, name) = key::parse(key);
    let service = routing.base_service();
    let (version, spec) = match kind {
        Kind::Mapping => (
            "getambassador.io/v3alpha1",
            json!({"hostname": "*", "prefix": format!("/{name}/"), "service": service}),
        ),
        Kind::Ingress => {
            let backend = json!({"service": {"name": service, "port": {"number": 80}}});
            let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
            ("networking.k8s.io/v1", json!({"rules": [{"http": {"paths": [path]}}]}))
        }
        Kind::HttpRoute | Kind::GrpcRoute => {
            let backend = |name: &str, weight: i32| json!({"name": name, "port": 80, "weight": weight});
            let backends = [backend(&routing.stable_service, 100), backend(&routing.canary_service, 0)];
            ("gateway.networking.k8s.io/v1", json!({"rules": [{"backendRefs": backends}]}))
        }
    };
    json!({"apiVersion": version, "kind": kind.text(), "metadata": {"name": name}, "spec": spec})
}

/// An object of a kind that is split, by its key.
fn mapping(kind: Kind, object: &Value) -> (String, Mapping) {
    let name = key::of(kind, &name(object));
    let mut object = object.clone();
    let uid = format!("mapping-{name}");
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!("1");
    let mapping = Mapping {
        uid,
        resource_version: "1".to_owned(),
        owned: false,
        deleting: false,
        changed_by: None,
        object,
    };
    (name, mapping)
}

fn template(object: &Value) -> (String, Lookup<Result<Arc<AnalysisTemplateSpec>, String>>) {
    let spec = serde_json::from_value(object["spec"].clone());
    (name(object), Lookup::Found(spec.map(Arc::new).map_err(|error| error.to_string())))
}

/// Every `templateName` in a strategy, and whether it is one of the cluster.
fn template_names(value: &Value) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("templateName").and_then(Value::as_str) {
                names.push((name.to_owned(), fields.get("clusterScope") == Some(&json!(true))));
            }
            names.extend(fields.values().flat_map(template_names));
        }
        Value::Array(items) => names.extend(items.iter().flat_map(template_names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    names
}
