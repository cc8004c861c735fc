//! The state of the simulated cluster. Namespace `default` throughout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use crds::Experiment;
use crds::analysis::{AnalysisPhase, AnalysisTemplateSpec};
use crds::contract::{
    EXPERIMENT_TEMPLATE_NAME_ANNOTATION, POD_TEMPLATE_HASH_LABEL, RUN_FINGERPRINT_ANNOTATION,
    SCALE_DOWN_DEADLINE_ANNOTATION,
};
use crds::experiment::{ExperimentStatus, TemplatePhase};
use operator_core::effect::{Changes, Effect, Target};
use operator_core::traffic::{Facts, Load, ObjectName, Proxy, Traffic};
use operator_core::world::{AnalysisRun, Lookup, Readable, ReplicaSetStatus, Templates};
use operator_experiments::World;
use operator_experiments::world::{ReplicaSet, Service};
use serde_json::{Value, json};

/// The API server does not allow it.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Everything that exists.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: DateTime<Utc>,
    pub(crate) experiment: Option<Value>,
    pub(crate) replica_sets: BTreeMap<String, Value>,
    pub(crate) services: BTreeMap<String, Value>,
    pub(crate) runs: BTreeMap<String, Value>,
    pub(crate) templates: BTreeMap<String, Value>,
    pub(crate) global_templates: BTreeMap<String, Value>,
    /// When each pod came, by ReplicaSet.
    pods: BTreeMap<String, Vec<DateTime<Utc>>>,
    /// Images whose pods never become ready.
    pub(crate) bad_images: BTreeSet<String>,
    /// Kinds that may not be created, with what the API server says.
    pub(crate) forbidden: BTreeMap<String, String>,
    /// What the operator knows of the proxies.
    pub(crate) proxies: Proxies,
    /// The hash that each template got, for transcripts.
    hashes: BTreeMap<String, String>,
    version: u64,
}

/// What the operator knows of the proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proxies {
    /// There are none to be known.
    NotConfigured,
    /// They cannot be asked.
    Unknown,
    /// They send nothing anywhere.
    Idle,
    /// They send requests to the pods of a template.
    Send(String),
}

/// How long a pod takes to become ready.
const POD_START: TimeDelta = TimeDelta::seconds(5);

/// When every simulation begins.
pub(crate) fn start() -> DateTime<Utc> {
    "2030-01-01T00:00:00Z".parse().expect("a time")
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            now: start(),
            experiment: None,
            replica_sets: BTreeMap::new(),
            services: BTreeMap::new(),
            runs: BTreeMap::new(),
            templates: BTreeMap::new(),
            global_templates: BTreeMap::new(),
            pods: BTreeMap::new(),
            bad_images: BTreeSet::from(["bad".to_owned()]),
            forbidden: BTreeMap::new(),
            proxies: Proxies::NotConfigured,
            hashes: BTreeMap::new(),
            version: 100,
        }
    }

    pub(crate) fn apply(&mut self, mut object: Value) {
        let name = text(&object["metadata"]["name"]);
        let kind = text(&object["kind"]);
        match kind.as_str() {
            "Experiment" => {
                self.stamp(&mut object);
                if let Some(held) = &self.experiment {
                    object["metadata"]["uid"] = held["metadata"]["uid"].clone();
                    object["status"] = held["status"].clone();
                }
                self.experiment = Some(object);
            }
            "AnalysisTemplate" => drop(self.templates.insert(name, object)),
            "ClusterAnalysisTemplate" => drop(self.global_templates.insert(name, object)),
            "ReplicaSet" => {
                self.stamp(&mut object);
                self.replica_sets.insert(name, object);
            }
            "Service" => {
                self.stamp(&mut object);
                self.services.insert(name, object);
            }
            other => panic!("no such kind in the simulator: {other}"),
        }
    }

    /// What users do to the Experiment: a merge of one level below `spec`, or the end of its status.
    pub(crate) fn patch(&mut self, patch: &Value) {
        let version = self.next_version();
        let experiment = self.experiment.as_mut().expect("an Experiment");
        for (field, value) in patch["spec"].as_object().into_iter().flatten() {
            experiment["spec"][field] = value.clone();
        }
        for (name, value) in patch["metadata"]["annotations"].as_object().into_iter().flatten() {
            experiment["metadata"]["annotations"][name] = value.clone();
        }
        if patch.get("status").is_some_and(Value::is_null) {
            experiment["status"] = Value::Null;
        }
        experiment["metadata"]["resourceVersion"] = json!(version);
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn stamp(&mut self, object: &mut Value) {
        let version = self.next_version();
        let metadata = &mut object["metadata"];
        let uid = format!("{}-{version}", text(&metadata["name"]));
        metadata["namespace"] = json!("default");
        metadata["uid"] = json!(uid);
        metadata["resourceVersion"] = json!(version);
        metadata["creationTimestamp"] = json!(self.now);
    }

    /// Makes pods match `spec.replicas`, and ends runs that are told to.
    pub(crate) fn run_controllers(&mut self) {
        self.pods.retain(|name, _| self.replica_sets.contains_key(name));
        for (name, set) in &self.replica_sets {
            let wanted = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(0)).unwrap_or(0);
            let pods = self.pods.entry(name.clone()).or_default();
            pods.resize(wanted, self.now);
        }
        let ending: Vec<String> = self.runs.keys().filter(|name| self.is_ending(name)).cloned().collect();
        for name in ending {
            self.judge(&name, "Successful");
        }
    }

    fn is_ending(&self, name: &str) -> bool {
        self.runs[name]["spec"]["terminate"] == true && !self.is_completed(name)
    }

    pub(crate) fn is_completed(&self, name: &str) -> bool {
        phase(&self.runs[name]).is_some_and(AnalysisPhase::is_completed)
    }

    /// Gives a run a phase.
    pub(crate) fn judge(&mut self, name: &str, phase: &str) {
        let version = self.next_version();
        let run = self.runs.get_mut(name).unwrap_or_else(|| panic!("no AnalysisRun {name}"));
        run["status"] = json!({"phase": phase});
        if matches!(phase, "Failed" | "Error" | "Inconclusive") {
            run["status"]["message"] = json!(format!("Metric \"m\" assessed {phase}"));
        }
        run["metadata"]["resourceVersion"] = json!(version);
    }

    /// The next moment at which a pod becomes ready.
    pub(crate) fn next_pod_change(&self) -> Option<DateTime<Utc>> {
        let moments = self.pods.values().flatten().map(|created| *created + POD_START);
        moments.filter(|moment| *moment > self.now).min()
    }

    pub(crate) fn counts(&self, name: &str) -> ReplicaSetStatus {
        let set = &self.replica_sets[name];
        let image = text(&set["spec"]["template"]["spec"]["containers"][0]["image"]);
        let pods = self.pods.get(name).map(Vec::as_slice).unwrap_or_default();
        let ready =
            pods.iter().filter(|it| **it + POD_START <= self.now && !self.bad_images.contains(&image));
        let count = |number: usize| i32::try_from(number).expect("few pods");
        let ready = count(ready.count());
        ReplicaSetStatus { replicas: count(pods.len()), ready, available: ready, failure: None }
    }

    /// `None` if there is no Experiment.
    pub(crate) fn observe(&self) -> Option<World> {
        let experiment = self.experiment.clone()?;
        let uid = text(&experiment["metadata"]["uid"]);
        let own = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"] == uid.as_str();
        let template = |object: &Value| {
            own(object).then(|| text(&object["metadata"]["annotations"][EXPERIMENT_TEMPLATE_NAME_ANNOTATION]))
        };
        let meta = |object: &Value, field: &str| text(&object["metadata"][field]);
        let replica_sets = self.replica_sets.values().map(|it| ReplicaSet {
            name: meta(it, "name"),
            uid: meta(it, "uid"),
            resource_version: meta(it, "resourceVersion"),
            template: template(it),
            hash: text(&it["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL]),
            replicas: i32::try_from(it["spec"]["replicas"].as_i64().unwrap_or(1)).expect("few pods"),
            scale_down_deadline: it["metadata"]["annotations"][SCALE_DOWN_DEADLINE_ANNOTATION]
                .as_str()
                .and_then(|it| it.parse().ok()),
            status: self.counts(&meta(it, "name")),
        });
        let services = self.services.values().map(|it| Service {
            name: meta(it, "name"),
            uid: meta(it, "uid"),
            resource_version: meta(it, "resourceVersion"),
            template: template(it),
            deleting: false,
        });
        let replica_sets: Vec<ReplicaSet> = replica_sets.collect();
        let others = replica_sets.iter().filter(|set| set.template.is_none());
        Some(World {
            now: self.now,
            taken_hashes: others.map(|set| set.hash.clone()).collect(),
            replica_sets,
            services: services.collect(),
            runs: self.runs.iter().map(|(name, it)| (name.clone(), run(it, own(it)))).collect(),
            templates: Templates {
                of_namespace: self.templates.iter().map(analysis_template).collect(),
                of_cluster: self.global_templates.iter().map(analysis_template).collect(),
            },
            traffic: self.traffic(),
            experiment: serde_json::from_value::<Experiment>(experiment).expect("a readable Experiment"),
        })
    }

    fn traffic(&self) -> Traffic {
        let sends = |template: &str| {
            let of = |set: &&Value| {
                set["metadata"]["annotations"][EXPERIMENT_TEMPLATE_NAME_ANNOTATION].as_str() == Some(template)
            };
            let set = self.replica_sets.values().find(of);
            let hash = set.and_then(|set| set["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL].as_str());
            let load = Load { in_flight: 3, routable: true, settled: false };
            hash.map(|hash| (hash.to_owned(), load)).into_iter().collect()
        };
        let loads = match &self.proxies {
            Proxies::NotConfigured => return Traffic::NotConfigured,
            Proxies::Unknown => {
                return Traffic::Unknown { reason: "the traffic server cannot be reached".to_owned() };
            }
            Proxies::Idle => BTreeMap::new(),
            Proxies::Send(template) => sends(template),
        };
        let pod = ObjectName::new("sluice", "proxy");
        let proxy = Proxy { id: "proxy-boot".to_owned(), pod, known: true, scope: String::new() };
        Traffic::Ready(Facts { proxies: vec![proxy], loads, ..Facts::default() })
    }

    pub(crate) fn status(&self) -> ExperimentStatus {
        let status = self.experiment.as_ref().map(|it| it["status"].clone()).unwrap_or_default();
        serde_json::from_value::<Option<ExperimentStatus>>(status).expect("a status").unwrap_or_default()
    }

    pub(crate) fn differs(&self, status: &ExperimentStatus) -> bool {
        self.status() != *status
    }

    /// Through JSON, as the API server stores it.
    pub(crate) fn record(&mut self, status: &ExperimentStatus) {
        let version = self.next_version();
        let experiment = self.experiment.as_mut().expect("an Experiment");
        experiment["status"] = serde_json::to_value(status).expect("a status is JSON");
        experiment["metadata"]["resourceVersion"] = json!(version);
        assert_eq!(self.status(), *status, "a status reads back as it was written");
    }

    /// Carries out an effect with its preconditions, and says what it was.
    pub(crate) fn execute(&mut self, effect: &Effect) -> Result<String, Refused> {
        let told = match effect {
            Effect::CreateReplicaSet { name, manifest } => {
                let hash = text(&manifest["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL]);
                let spec = &manifest["spec"];
                assert_eq!(spec["selector"]["matchLabels"][POD_TEMPLATE_HASH_LABEL], hash.as_str());
                assert_eq!(spec["template"]["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL], hash.as_str());
                assert_eq!(spec["replicas"], 0, "created with no pods");
                self.hashes.insert(
                    hash,
                    text(&manifest["metadata"]["annotations"][EXPERIMENT_TEMPLATE_NAME_ANNOTATION]),
                );
                self.create("ReplicaSet", name, manifest)?;
                let selector = &spec["selector"]["matchLabels"];
                format!("create  ReplicaSet {name} for the pods with {selector}")
            }
            Effect::ScaleReplicaSet { target, from, to, annotations } => {
                let set = object(&mut self.replica_sets, target);
                assert_eq!(set["spec"]["replicas"], *from, "spec.replicas moved");
                set["spec"]["replicas"] = json!(to);
                annotate(set, annotations);
                format!("scale   {} {from} -> {to}{}", target.name, changes(annotations))
            }
            Effect::AnnotateReplicaSet { target, annotations } => {
                annotate(object(&mut self.replica_sets, target), annotations);
                format!("note    {}{}", target.name, changes(annotations))
            }
            Effect::CreateService { name, manifest } => {
                self.create("Service", name, manifest)?;
                format!("create  Service {name} {}", manifest["spec"])
            }
            Effect::DeleteService { target } => {
                object(&mut self.services, target);
                self.services.remove(&target.name);
                format!("delete  Service {}", target.name)
            }
            Effect::CreateAnalysisRun { name, manifest } => {
                self.create("AnalysisRun", name, manifest)?;
                format!("create  AnalysisRun {name} {}", manifest["spec"])
            }
            Effect::TerminateAnalysisRun { target } => {
                assert!(!self.is_completed(&target.name), "{} has ended already", target.name);
                let run = object(&mut self.runs, target);
                assert_ne!(run["spec"]["terminate"], true, "{} was told already", target.name);
                run["spec"]["terminate"] = json!(true);
                format!("end     AnalysisRun {}", target.name)
            }
            other => panic!("no effect of an Experiment: {other:?}"),
        };
        self.run_controllers();
        Ok(told)
    }

    fn create(&mut self, kind: &str, name: &str, manifest: &Value) -> Result<(), Refused> {
        if let Some(why) = self.forbidden.get(kind) {
            return Err(Refused(why.clone()));
        }
        let mut object = manifest.clone();
        self.stamp(&mut object);
        let objects = match kind {
            "ReplicaSet" => &mut self.replica_sets,
            "Service" => &mut self.services,
            _ => &mut self.runs,
        };
        assert!(objects.insert(name.to_owned(), object).is_none(), "{kind} {name} exists");
        Ok(())
    }

    /// Puts `<a>` where the pod-template hash of template `a` stands.
    pub(crate) fn readable(&self, line: &str) -> String {
        self.hashes.iter().fold(line.to_owned(), |line, (hash, template)| {
            line.replace(hash.as_str(), &format!("<{template}>"))
        })
    }

    /// The part of the status that tells the story.
    pub(crate) fn summary(&self) -> String {
        let status = self.status();
        let mut parts = vec![status.phase.map_or("-", AnalysisPhase::as_str).to_owned()];
        parts.extend(status.message.map(|message| format!("({message})")));
        for it in &status.template_statuses {
            let phase = it.status.map_or("-", TemplatePhase::as_str);
            parts.push(format!("{}: {phase} {}/{}", it.name, it.available_replicas, it.replicas));
        }
        for it in &status.analysis_runs {
            parts.push(format!("{}: {}", it.name, it.phase.map_or("-", AnalysisPhase::as_str)));
        }
        parts.join(", ")
    }
}

fn analysis_template((name, object): (&String, &Value)) -> (String, Lookup<Readable>) {
    let spec = serde_json::from_value::<AnalysisTemplateSpec>(object["spec"].clone());
    (name.clone(), Lookup::Found(spec.map(Arc::new).map_err(|error| error.to_string())))
}

fn run(object: &Value, owned: bool) -> AnalysisRun {
    let metadata = &object["metadata"];
    AnalysisRun {
        uid: text(&metadata["uid"]),
        resource_version: text(&metadata["resourceVersion"]),
        created: start(),
        owned,
        deleting: false,
        hash: None,
        role: None,
        fingerprint: metadata["annotations"][RUN_FINGERPRINT_ANNOTATION].as_str().map(str::to_owned),
        terminate: object["spec"]["terminate"] == true,
        phase: phase(object),
        message: object["status"]["message"].as_str().map(str::to_owned),
    }
}

fn phase(run: &Value) -> Option<AnalysisPhase> {
    serde_json::from_value(run["status"]["phase"].clone()).ok()
}

fn object<'a>(objects: &'a mut BTreeMap<String, Value>, target: &Target) -> &'a mut Value {
    let object = objects.get_mut(&target.name).unwrap_or_else(|| panic!("{} is not found", target.name));
    assert_eq!(object["metadata"]["uid"], target.uid.as_str(), "another uid");
    object
}

fn annotate(object: &mut Value, annotations: &Changes) {
    let held = object["metadata"]["annotations"].as_object_mut().expect("annotations");
    for (key, value) in annotations {
        match value {
            Some(value) => drop(held.insert(key.clone(), json!(value))),
            None => drop(held.remove(key)),
        }
    }
}

/// ` key=value` for what is set, ` key-` for what is removed.
fn changes(changes: &Changes) -> String {
    let words = changes.iter().map(|(key, value)| match value {
        Some(value) => format!(" {key}={value}"),
        None => format!(" {key}-"),
    });
    words.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
