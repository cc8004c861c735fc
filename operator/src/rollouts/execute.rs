//! Third verb, of Rollouts and Experiments: carries out a plan's effects in order and stops at the first that fails.
//! The world is planned again then.

pub(super) mod request;

use std::{fmt, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, core::DynamicObject};
use operator_core::{
    effect::Effect,
    key::{self, Kind},
    traffic::ObjectName,
    world::{WorkloadKind, World},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tracing::{debug, info};

use self::request::{Call, Scope, Subject, Verb};
use super::{Change, Stores, Worklists, mappings::Served, objects, routes::trim_route, triggers};
use crate::{
    errors::chain,
    events::{Recorder, Subject as EventSubject},
    experiments::{self, StoredExperiment},
    lease::Tenure,
};

/// How long one request may take, and never longer than the lease is held: the time between the end of our tenure and
/// the beginning of another one's is for what the API server has received by then. After that its outcome is unknown;
/// the watch tells, and preconditions keep the next plan from doing harm.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// This process does not hold the lease any more.
    #[error("failed to go on: another process may hold the lease")]
    NotHolder,
    /// The cluster is not as the plan saw it.
    #[error("failed to {effect}: the cluster has changed in between")]
    Precondition {
        /// What was tried.
        effect: Attempt,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// The API server refused, or could not be reached.
    #[error("failed to {effect}")]
    Api {
        /// What was tried.
        effect: Attempt,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// No answer in time.
    #[error("failed to {effect}: no answer within {} s, or before the lease had to be renewed", PATIENCE.as_secs())]
    Timeout {
        /// What was tried.
        effect: Attempt,
    },
    /// No request can be made of the effect.
    #[error("failed to {effect}")]
    Request {
        /// What was tried.
        effect: Attempt,
        /// Why not.
        #[source]
        source: request::Error,
    },
    /// A ReplicaSet whose pod template is needed is another one now, or has none.
    #[error("failed to {effect}: ReplicaSet {replica_set} has changed in between")]
    Replaced {
        /// What was tried.
        effect: Attempt,
        /// The ReplicaSet.
        replica_set: String,
    },
}

impl Error {
    /// Whether planning again is all that is needed.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Self::NotHolder | Self::Precondition { .. } | Self::Replaced { .. } => true,
            Self::Api { .. } | Self::Timeout { .. } | Self::Request { .. } => false,
        }
    }

    /// Whether the API server says "not now": a PodDisruptionBudget, or too many requests.
    fn is_not_now(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 429)
    }

    /// The reason of a condition if the API server has refused an effect and will again: the request is not allowed
    /// or not valid. `None` for all that may pass by itself.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Api { effect, source: kube::Error::Api(status) } => {
                matches!(status.code, 400 | 403 | 405 | 413 | 422).then_some(effect.reason)
            }
            Self::Request { effect, .. } => Some(effect.reason),
            Self::Api { .. }
            | Self::NotHolder
            | Self::Precondition { .. }
            | Self::Timeout { .. }
            | Self::Replaced { .. } => None,
        }
    }
}

#[cfg(test)]
impl Executor {
    /// One in a cluster that knows no Mappings.
    pub(crate) fn without_mappings(
        client: Client,
        stores: Arc<Stores>,
        tenure: watch::Receiver<Tenure>,
        recorder: Recorder,
    ) -> Self {
        let (_, mappings) = watch::channel(Served::default());
        Self::new(client, stores, Worklists::default(), tenure, mappings, recorder)
    }
}

#[cfg(test)]
impl Error {
    /// The API server's answer to the creation of a ReplicaSet.
    pub(super) fn creating(name: &str, source: kube::Error) -> Self {
        let effect = Effect::CreateReplicaSet { name: name.to_owned(), manifest: Value::Null };
        Self::Api { effect: Attempt::of(&effect), source }
    }
}

/// What was tried, in words after "failed to".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    words: String,
    /// The reason of the condition that tells of its refusal: Argo's.
    reason: &'static str,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// What a plan has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    /// The Rollout's `resourceVersion` after it: the world's, unless an effect wrote to the Rollout.
    pub(crate) version: String,
    /// Something was written that a next plan can see: neither events nor evictions that are not allowed now count.
    pub(crate) changed: bool,
}

/// Carries out effects.
#[derive(Clone)]
pub(crate) struct Executor {
    client: Client,
    stores: Arc<Stores>,
    lists: Worklists,
    tenure: watch::Receiver<Tenure>,
    mappings: watch::Receiver<Served>,
    recorder: Recorder,
}

impl Executor {
    /// One that acts while `tenure` holds.
    pub(super) fn new(
        client: Client,
        stores: Arc<Stores>,
        lists: Worklists,
        tenure: watch::Receiver<Tenure>,
        mappings: watch::Receiver<Served>,
        recorder: Recorder,
    ) -> Self {
        Self { client, stores, lists, tenure, mappings, recorder }
    }

    /// Carries out the effects of a plan for a Rollout.
    pub(super) async fn execute(&self, world: &World, effects: &[Effect]) -> Result<Executed, Error> {
        let metadata = &world.rollout.metadata;
        self.carry_out(&EventSubject::of(metadata), metadata, effects).await
    }

    /// Carries out effects of a plan for the object with this metadata.
    pub(crate) async fn carry_out(
        &self,
        subject: &EventSubject,
        metadata: &ObjectMeta,
        effects: &[Effect],
    ) -> Result<Executed, Error> {
        let name = objects::key(metadata);
        let mut version = metadata.resource_version.clone().unwrap_or_default();
        let mut changed = false;
        for effect in effects {
            if let Effect::Event(event) = effect {
                self.recorder.record(subject, event);
                continue;
            }
            let described = Attempt::of(effect);
            let pod_templates = self.pod_templates(&name.namespace, effect, &described).await?;
            let mappings = self.mappings.borrow().clone();
            let scope = Scope {
                namespace: &name.namespace,
                mappings: mappings.resource(),
                rollout_version: &version,
                annotated: self.annotated(&name.namespace, effect),
                pod_templates: &pod_templates,
            };
            let call = request::request(effect, &scope);
            let call = call.map_err(|source| Error::Request { effect: described.clone(), source })?;
            let Some(call) = call else { continue };
            debug!(object = %name, effect = %described, "executing");
            match self.call(&name, call, described).await {
                Ok(written) => {
                    changed = true;
                    version = written.unwrap_or(version);
                }
                Err(error) if matches!(effect, Effect::EvictPod { .. }) && error.is_not_now() => {
                    info!(rollout = %name, error = chain(&error), "a pod cannot be evicted now; trying again later");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Executed { version, changed })
    }

    /// Reads a workload that the watch may have passed over; `None` if there is none of that name.
    pub(super) async fn read_workload(
        &self,
        kind: WorkloadKind,
        name: &ObjectName,
    ) -> Result<Option<objects::Workload>, Error> {
        let reading = Attempt::other(format!("read {} {name}", kind.kind()));
        let request = request::get_workload(kind, name)
            .map_err(|source| Error::Request { effect: reading.clone(), source })?;
        match self.send::<objects::WatchedWorkload>(request, &reading).await {
            Ok(found) => Ok(Some(objects::Workload::of(kind, found))),
            Err(Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the status. The plan's world is the precondition: the patch holds its `resourceVersion`.
    pub(super) async fn write_status(&self, name: &ObjectName, patch: Value) -> Result<(), Error> {
        let effect = Attempt::other("record the status");
        let request = request::status(&name.namespace, &name.name, patch)
            .map_err(|source| Error::Request { effect: effect.clone(), source })?;
        let call = Call { request, subject: Subject::Rollout(name.name.clone()), verb: Verb::Change };
        self.call(name, call, effect).await.map(drop)
    }

    /// Writes the status of an Experiment. The patch holds the version that it relies on.
    pub(crate) async fn write_experiment(&self, name: &ObjectName, patch: Value) -> Result<(), Error> {
        let effect = Attempt::other("record the status");
        let request = request::experiment(&name.namespace, &name.name, patch)
            .map_err(|source| Error::Request { effect: effect.clone(), source })?;
        let call = Call { request, subject: Subject::Experiment(name.name.clone()), verb: Verb::Change };
        self.call(name, call, effect).await.map(drop)
    }

    /// The pod templates that an Experiment takes from ReplicaSets, which the stores do not keep.
    async fn pod_templates(
        &self,
        namespace: &str,
        effect: &Effect,
        attempt: &Attempt,
    ) -> Result<Vec<Value>, Error> {
        let Effect::CreateExperiment { blueprint, .. } = effect else { return Ok(Vec::new()) };
        let mut templates = Vec::new();
        for target in blueprint.replica_sets() {
            let request = request::get_replica_set(namespace, &target.name)
                .map_err(|source| Error::Request { effect: attempt.clone(), source })?;
            let mut found: Value = self.send(request, attempt).await?;
            let same = found.pointer("/metadata/uid").and_then(Value::as_str) == Some(target.uid.as_str());
            match found.pointer_mut("/spec/template").map(Value::take) {
                Some(template) if same => templates.push(template),
                Some(_) | None => {
                    let replica_set = target.name.clone();
                    return Err(Error::Replaced { effect: attempt.clone(), replica_set });
                }
            }
        }
        Ok(templates)
    }

    /// Sends one request and puts the answer into the stores. The result is the Rollout's new version if it is the
    /// Rollout that was written.
    async fn call(&self, rollout: &ObjectName, call: Call, effect: Attempt) -> Result<Option<String>, Error> {
        let Call { request, subject, verb } = call;
        match self.send::<Value>(request, &effect).await {
            Ok(answer) => Ok(self.note(&rollout.namespace, &subject, &verb, answer)),
            Err(error) => {
                if let (Error::Precondition { .. }, Verb::Create, Subject::ReplicaSet(name)) =
                    (&error, &verb, &subject)
                {
                    self.look_at_replica_set(&rollout.namespace, name).await;
                }
                Err(error)
            }
        }
    }

    /// Something has the name of a ReplicaSet that we want to create. The watch sees only sets with a hash label, so
    /// it is fetched: the next world shows whose it is.
    async fn look_at_replica_set(&self, namespace: &str, name: &str) {
        let Ok(request) = request::get_replica_set(namespace, name) else { return };
        let reading = Attempt::other("read a ReplicaSet");
        if let Ok(found) = self.send::<objects::ReplicaSet>(request, &reading).await {
            self.stores.replica_sets.written(found);
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: http::Request<Vec<u8>>,
        effect: &Attempt,
    ) -> Result<T, Error> {
        let effect = || effect.clone();
        let now = Instant::now();
        let Some(until) = self.tenure.borrow().until(now) else { return Err(Error::NotHolder) };
        match tokio::time::timeout_at(until.min(now + PATIENCE), self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) if is_stale(&source) => Err(Error::Precondition { effect: effect(), source }),
            Ok(Err(source)) => Err(Error::Api { effect: effect(), source }),
            Err(_) => Err(Error::Timeout { effect: effect() }),
        }
    }

    /// Puts the answer to a write into the stores. An answer that cannot be read is left to the watch.
    fn note(&self, namespace: &str, subject: &Subject, verb: &Verb, answer: Value) -> Option<String> {
        let stores = &self.stores;
        match (subject, verb) {
            (Subject::ReplicaSet(name), Verb::Delete { uid }) => {
                stores.replica_sets.erased(&ObjectName::new(namespace, name), uid);
            }
            (Subject::Mapping(name), Verb::Delete { uid }) => {
                let (kind, name) = key::parse(name);
                stores.split_objects(kind).erased(&ObjectName::new(namespace, name), uid);
            }
            (Subject::Pod(name), Verb::Delete { uid }) => {
                stores.pods.erased(&ObjectName::new(namespace, name), uid);
            }
            (Subject::AnalysisRun(name), Verb::Delete { uid }) => {
                stores.analysis_runs.erased(&ObjectName::new(namespace, name), uid);
            }
            (Subject::Service(name), Verb::Delete { uid }) => {
                stores.services.erased(&ObjectName::new(namespace, name), uid);
            }
            (Subject::Experiment(name), Verb::Delete { uid }) => {
                self.tell(&stores.experiments.erased(&ObjectName::new(namespace, name), uid));
            }
            (Subject::Rollout(_) | Subject::Workload(_), Verb::Delete { .. }) => {}
            (Subject::ReplicaSet(_), Verb::Create | Verb::Change) => {
                if let Ok(mut object) = objects::ReplicaSet::deserialize(answer) {
                    objects::trim(&mut object);
                    stores.replica_sets.written(object);
                }
            }
            (Subject::Service(_), Verb::Create | Verb::Change) => {
                if let Ok(mut object) = objects::Service::deserialize(answer) {
                    objects::trim_service(&mut object);
                    stores.services.written(object);
                }
            }
            (Subject::Mapping(name), Verb::Create | Verb::Change) => {
                if let Ok(mut object) = DynamicObject::deserialize(answer) {
                    let (kind, _) = key::parse(name);
                    match kind {
                        Kind::Mapping => objects::trim_mapping(&mut object),
                        Kind::Ingress => objects::trim_ingress(&mut object),
                        Kind::HttpRoute | Kind::GrpcRoute => object = trim_route(kind, object),
                    }
                    stores.split_objects(kind).written(objects::SplitObject::fold(object));
                }
            }
            (Subject::AnalysisRun(_), Verb::Create | Verb::Change) => {
                if let Ok(mut object) = objects::AnalysisRun::deserialize(answer) {
                    objects::trim_run(&mut object);
                    stores.analysis_runs.written(object);
                }
            }
            (Subject::Experiment(_), Verb::Create | Verb::Change) => {
                if let Ok(object) = StoredExperiment::deserialize(answer) {
                    self.tell(&stores.experiments.written(object));
                }
            }
            (Subject::Pod(_), Verb::Create | Verb::Change) => {
                if let Ok(object) = objects::WatchedPod::deserialize(answer) {
                    stores.pods.written(objects::Pod::of(&object, stores));
                }
            }
            (Subject::Workload(kind), Verb::Create | Verb::Change) => {
                if let Ok(object) = objects::WatchedWorkload::deserialize(answer) {
                    stores.workloads.written(*kind, objects::Workload::of(*kind, object));
                }
            }
            (Subject::Rollout(_), Verb::Create | Verb::Change) => {
                if let Ok(object) = objects::StoredRollout::deserialize(answer) {
                    let version = object.metadata.resource_version.clone();
                    stores.rollouts.written(object);
                    return version;
                }
            }
        }
        None
    }

    /// An Experiment concerns two controllers, of which one has written it.
    fn tell(&self, changes: &[Change<StoredExperiment>]) {
        for change in changes {
            self.lists.rollouts.add(triggers::of_experiment(change));
            self.lists.experiments.add(experiments::triggers::of_experiment(change));
        }
    }

    fn annotated(&self, namespace: &str, effect: &Effect) -> bool {
        let Effect::ScaleReplicaSet { target, .. } = effect else { return true };
        let set = self.stores.replica_sets.get(&ObjectName::new(namespace, target.name.clone()));
        set.and_then(|it| it.metadata.annotations.as_ref().map(|it| !it.is_empty())).unwrap_or(false)
    }
}

/// Whether the API server has refused because the cluster is not as the plan saw it: 409 for versions, uids and names,
/// 404 for what is gone, 422 for a JSON patch whose `test` fails.
fn is_stale(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match status.code {
        409 | 404 => true,
        // What does not validate names its fields; a patch that does not apply has only this sentence.
        422 => status.message.contains("the server rejected our request"),
        _ => false,
    }
}

impl Attempt {
    fn other(words: impl Into<String>) -> Self {
        Self { words: words.into(), reason: "ReconciliationError" }
    }

    fn of(effect: &Effect) -> Self {
        Self::other(match effect {
            Effect::CreateReplicaSet { name, .. } => {
                let words = format!("create ReplicaSet {name}");
                return Self { words, reason: "ReplicaSetCreateError" };
            }
            Effect::AdoptReplicaSet { target, .. } => format!("adopt ReplicaSet {}", target.name),
            Effect::ScaleReplicaSet { target, from, to, .. } => {
                format!("scale ReplicaSet {} from {from} to {to}", target.name)
            }
            Effect::AnnotateReplicaSet { target, .. } => format!("annotate ReplicaSet {}", target.name),
            Effect::SetEphemeralMetadata { target, .. } => {
                format!("set the metadata of the pods of ReplicaSet {}", target.name)
            }
            Effect::ChangePod { target, .. } => format!("set metadata of pod {}", target.name),
            Effect::EvictPod { target } => format!("evict pod {}", target.name),
            Effect::ScaleWorkload { kind, target, from, to } => {
                format!("scale {} {} from {from} to {to}", kind.kind(), target.name)
            }
            Effect::DeleteReplicaSet { target } => format!("delete ReplicaSet {}", target.name),
            Effect::SetServiceSelector { target, to, .. } => {
                format!("point Service {} at version {to}", target.name)
            }
            Effect::CreateMapping { name, .. } => format!("create {}", key::show(name)),
            Effect::UpdateMapping { target, .. } => format!("update {}", key::show(&target.name)),
            Effect::DeleteMapping { target } => format!("delete {}", key::show(&target.name)),
            Effect::SetRouteWeights { target, .. } => {
                format!("set the weights of {}", key::show(&target.name))
            }
            Effect::CreateAnalysisRun { name, .. } => format!("create AnalysisRun {name}"),
            Effect::TerminateAnalysisRun { target } => format!("end AnalysisRun {}", target.name),
            Effect::DeleteAnalysisRun { target } => format!("delete AnalysisRun {}", target.name),
            Effect::CreateExperiment { name, .. } => format!("create Experiment {name}"),
            Effect::BeginExperiment { target } => format!("let the time of Experiment {} begin", target.name),
            Effect::TerminateExperiment { target } => format!("end Experiment {}", target.name),
            Effect::DeleteExperiment { target } => format!("delete Experiment {}", target.name),
            Effect::CreateService { name, .. } => format!("create Service {name}"),
            Effect::DeleteService { target } => format!("delete Service {}", target.name),
            Effect::SetRolloutRevision { to, .. } => format!("write revision {to} to the Rollout"),
            Effect::SetWorkloadGeneration { .. } => {
                "write the workload's generation to the Rollout".to_owned()
            }
            Effect::DefaultReplicas { .. } => "write replicas: 1 to the Rollout".to_owned(),
            Effect::Event(event) => format!("record the event {}", event.reason),
        })
    }
}

#[cfg(test)]
mod tests;
