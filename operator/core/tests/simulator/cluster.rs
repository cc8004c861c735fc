//! The state of the simulated cluster, and what users do to it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::Rollout;
use crds::rollout::status::GuardStatus;
use operator_core::ingress;
use operator_core::key::{self, Kind};
use operator_core::world::Rival;
use serde_json::{Value, json};

use super::data_plane::DataPlane;
use super::gateway;
use super::pods::ReplicaSet;

/// Everything that exists. Namespace `default` throughout.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: DateTime<Utc>,
    pub(crate) rollout: Option<Rollout>,
    pub(crate) replica_sets: BTreeMap<String, ReplicaSet>,
    pub(crate) services: BTreeMap<String, Value>,
    pub(crate) mappings: BTreeMap<String, Value>,
    pub(crate) analysis_runs: BTreeMap<String, Value>,
    pub(crate) experiments: BTreeMap<String, Value>,
    pub(crate) templates: BTreeMap<String, Value>,
    pub(crate) global_templates: BTreeMap<String, Value>,
    /// The Deployment that the Rollout may refer to.
    pub(crate) workload: Option<Value>,
    /// A PodDisruptionBudget refuses every eviction.
    pub(crate) evictions_refused: bool,
    /// The ReplicaSet controller does nothing.
    pub(crate) replica_sets_stall: bool,
    pub(crate) rivals: Vec<Rival>,
    pub(crate) data_plane: DataPlane,
    /// What the operator remembers of the canary.
    pub(crate) guard: Option<GuardStatus>,
    /// Images whose pods never become ready.
    pub(crate) bad_images: BTreeSet<String>,
    /// How long a pod takes to become ready.
    pub(crate) pod_start: TimeDelta,
    /// The least time between the starts of two pods of a ReplicaSet.
    pub(crate) pod_interval: TimeDelta,
    /// The hash each image got, for transcripts.
    pub(crate) images: BTreeMap<String, String>,
    version: u64,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            now: start(),
            rollout: None,
            replica_sets: BTreeMap::new(),
            services: BTreeMap::new(),
            mappings: BTreeMap::new(),
            analysis_runs: BTreeMap::new(),
            experiments: BTreeMap::new(),
            templates: BTreeMap::new(),
            global_templates: BTreeMap::new(),
            workload: None,
            evictions_refused: false,
            replica_sets_stall: false,
            rivals: Vec::new(),
            data_plane: DataPlane::new(),
            guard: None,
            bad_images: BTreeSet::from(["bad".to_owned()]),
            pod_start: TimeDelta::seconds(5),
            pod_interval: TimeDelta::zero(),
            images: BTreeMap::new(),
            version: 100,
        }
    }

    /// The next resource version; every write takes one.
    pub(crate) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// A server-side create or replace of the user's part of an object: status and identity stay.
    pub(crate) fn apply(&mut self, mut object: Value) {
        let name = object["metadata"]["name"].as_str().expect("metadata.name").to_owned();
        let version = self.next_version();
        match object["kind"].as_str().expect("kind") {
            "Rollout" => self.apply_rollout(object, &version),
            "Service" => {
                let old = self.services.get(&name);
                stamp(&mut object, old, "service", &version);
                if let Some(hash) =
                    old.and_then(|old| old.pointer("/spec/selector/rollouts-pod-template-hash"))
                {
                    object["spec"]["selector"]["rollouts-pod-template-hash"] = hash.clone();
                }
                self.services.insert(name, object);
            }
            "Mapping" => {
                let old = self.mappings.get(&name);
                stamp(&mut object, old, "mapping", &version);
                self.mappings.insert(name, object);
            }
            "Ingress" => {
                let key = ingress::key(&name);
                stamp(&mut object, self.mappings.get(&key), "ingress", &version);
                self.mappings.insert(key, object);
            }
            "HTTPRoute" | "GRPCRoute" => {
                let key = gateway::key_of(&object).expect("a route");
                object["metadata"]["namespace"] = json!("default");
                stamp(&mut object, self.mappings.get(&key), "route", &version);
                self.mappings.insert(key, object);
            }
            "Deployment" => self.apply_workload(object, &version),
            "AnalysisTemplate" => drop(self.templates.insert(name, object)),
            "ClusterAnalysisTemplate" => drop(self.global_templates.insert(name, object)),
            other => panic!("no such kind in the simulator: {other}"),
        }
    }

    fn apply_workload(&mut self, mut object: Value, version: &str) {
        let old = self.workload.take();
        let generation = match &old {
            Some(old) if old["spec"] == object["spec"] => old["metadata"]["generation"].as_i64().unwrap_or(1),
            Some(old) => old["metadata"]["generation"].as_i64().unwrap_or(1) + 1,
            None => 1,
        };
        stamp(&mut object, old.as_ref(), "deployment", version);
        object["metadata"]["generation"] = json!(generation);
        self.workload = Some(object);
    }

    fn apply_rollout(&mut self, mut object: Value, version: &str) {
        let old = self.rollout.as_ref().map(|old| serde_json::to_value(old).expect("a Rollout is JSON"));
        let generation = match &old {
            Some(old) if old["spec"] == object["spec"] => old["metadata"]["generation"].as_i64().unwrap_or(1),
            Some(old) => old["metadata"]["generation"].as_i64().unwrap_or(1) + 1,
            None => 1,
        };
        stamp(&mut object, old.as_ref(), "rollout", version);
        object["metadata"]["generation"] = json!(generation);
        if let Some(old) = &old {
            object["status"] = old["status"].clone();
            if object["metadata"].get("annotations").is_none() {
                object["metadata"]["annotations"] = old["metadata"]["annotations"].clone();
            }
        }
        self.rollout = Some(serde_json::from_value(object).expect("a readable Rollout"));
    }

    /// Applies a JSON merge patch to the spec side of an object.
    pub(crate) fn patch(&mut self, kind: &str, name: &str, patch: &Value) {
        if kind == "service" {
            let version = self.next_version();
            let service = self.services.get_mut(name).expect("a Service");
            merge(service, patch);
            service["metadata"]["resourceVersion"] = json!(version);
            return;
        }
        let mut object = match kind {
            "rollout" => serde_json::to_value(self.rollout.as_ref().expect("a Rollout")).expect("JSON"),
            "mapping" => self.mappings[name].clone(),
            "ingress" => self.mappings[&ingress::key(name)].clone(),
            "httproute" => self.mappings[&key::of(Kind::HttpRoute, name)].clone(),
            "deployment" => self.workload.clone().expect("a Deployment"),
            other => panic!("cannot patch a {other}"),
        };
        merge(&mut object, patch);
        self.apply(object);
    }

    /// Applies a JSON merge patch to the Rollout's status, as the kubectl plugin does.
    pub(crate) fn patch_status(&mut self, patch: &Value) {
        let version = self.next_version();
        let mut object = serde_json::to_value(self.rollout.as_ref().expect("a Rollout")).expect("JSON");
        if object.get("status").is_none_or(Value::is_null) {
            object["status"] = json!({});
        }
        merge(&mut object["status"], patch);
        object["metadata"]["resourceVersion"] = json!(version);
        self.rollout = Some(serde_json::from_value(object).expect("a readable Rollout"));
    }

    pub(crate) fn rollout(&self) -> &Rollout {
        self.rollout.as_ref().expect("a Rollout was applied")
    }

    /// Renames a version, in all objects, as another hash function would have named it, and takes our marks off.
    pub(crate) fn rehash(&mut self, image: &str, hash: &str) {
        let old = self.hash_of(image);
        let renamed = |text: String| text.replace(&old, hash);
        for object in self.services.values_mut().chain(self.mappings.values_mut()) {
            *object = serde_json::from_str(&renamed(object.to_string())).expect("JSON");
        }
        let rollout = serde_json::to_string(&self.rollout).expect("JSON");
        self.rollout = serde_json::from_str(&renamed(rollout)).expect("a readable Rollout");
        self.replica_sets = std::mem::take(&mut self.replica_sets)
            .into_iter()
            .map(|(name, mut set)| {
                set.name = renamed(set.name);
                set.hash = renamed(set.hash);
                set.annotations.remove(crds::contract::TEMPLATE_FINGERPRINT_ANNOTATION);
                (renamed(name), set)
            })
            .collect();
        self.images.remove(&old);
        self.images.insert(hash.to_owned(), image.to_owned());
    }

    /// Puts `{v1}` where the pod-template hash of image `v1` stands.
    pub(crate) fn readable(&self, text: &str) -> String {
        self.images
            .iter()
            .fold(text.to_owned(), |text, (hash, image)| text.replace(hash.as_str(), &format!("<{image}>")))
    }

    /// Puts the pod-template hash of image `v1` where `{v1}` stands.
    pub(crate) fn hashed(&self, text: &str) -> String {
        self.images
            .iter()
            .fold(text.to_owned(), |text, (hash, image)| text.replace(&format!("{{{image}}}"), hash))
    }

    /// The hash of the ReplicaSet that runs an image.
    pub(crate) fn hash_of(&self, image: &str) -> String {
        let found = self.images.iter().find(|(_, it)| *it == image);
        found.unwrap_or_else(|| panic!("no ReplicaSet runs {image}")).0.clone()
    }
}

/// When every simulation begins.
pub(crate) fn start() -> DateTime<Utc> {
    "2030-01-01T00:00:00Z".parse().expect("a time")
}

/// Gives an object its server-side metadata.
pub(crate) fn stamp(object: &mut Value, old: Option<&Value>, kind: &str, version: &str) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let uid =
        old.map_or_else(|| json!(format!("{kind}-{name}-{version}")), |old| old["metadata"]["uid"].clone());
    let created = old.map_or_else(|| json!(start()), |old| old["metadata"]["creationTimestamp"].clone());
    object["metadata"]["namespace"] = json!("default");
    object["metadata"]["uid"] = uid;
    object["metadata"]["creationTimestamp"] = created;
    object["metadata"]["resourceVersion"] = json!(version);
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("an object");
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
