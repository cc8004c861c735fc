//! The Rollout controller. `Controller::reconcile` is all of it on one screen; the verbs are one file each:
//! `observe`, `operator_core::plan`, `execute`, `record`, and the wish to wake.
//!
//! | file | what it does |
//! |---|---|
//! | `objects`, `claims` | what is kept of each kind, and what a Rollout names |
//! | `store`, `watch`, `namespaces`, `mappings`, `routes`, `workloads` | stores that watches fill |
//! | `triggers` | which Rollouts a change concerns |
//! | `queue`, `work` | when each Rollout is looked at, and by whom |
//! | `memory` | what is known of a Rollout beside its status |
//! | `complaint` | a Rollout that cannot be read, or whose plan the API server refuses |

mod claims;
mod complaint;
mod execute;
mod mappings;
mod memory;
mod namespaces;
mod objects;
mod observe;
mod queue;
mod record;
mod routes;
mod run;
mod store;
mod triggers;
mod watch;
mod work;
mod workloads;

pub use self::{
    observe::Reach,
    run::{Context, Settings, run},
    work::Worklist,
};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use crds::{contract::REVISION_ANNOTATION, rollout::RolloutStatus};
use operator_core::{
    effect::{Event, EventKind},
    key::{self, Kind},
    plan::{Wake, plan},
    traffic::ObjectName,
    world::{WorkloadKind, World},
};
use tracing::warn;

use self::{
    execute::Executed,
    memory::Memory,
    namespaces::Namespaces,
    objects::{AnalysisTemplate, Pod, SplitObject, index_pod, index_replica_set, index_rollout},
    observe::{Observed, observe},
    workloads::Workloads,
};
pub(crate) use self::{
    execute::{Error as ExecuteError, Executor},
    objects::{
        AnalysisRun, Index, ReplicaSet, Service, StoredRollout, annotation, controller, index_owned, key,
        resource, trim,
    },
    observe::{analysis_run, replica_set, templates},
    queue::QueueMeasure,
    record::{difference, guarded},
    run::instance,
    store::{Change, Store},
    watch::{follow, trimmed},
    work::{Controls, Workers, Worklists},
};
use crate::{
    events::{Recorder, Subject},
    experiments::StoredExperiment,
    telemetry::RolloutMetrics,
    traffic::TrafficStore,
};

/// All objects that Rollouts and Experiments are about.
#[derive(Debug)]
pub struct Stores {
    pub(crate) rollouts: Store<StoredRollout>,
    pub(crate) replica_sets: Store<ReplicaSet>,
    pub(crate) pods: Store<Pod>,
    pub(crate) services: Store<Service>,
    pub(crate) mappings: Store<SplitObject>,
    pub(crate) ingresses: Store<SplitObject>,
    pub(crate) http_routes: Store<SplitObject>,
    pub(crate) grpc_routes: Store<SplitObject>,
    pub(crate) analysis_runs: Store<AnalysisRun>,
    pub(crate) templates: Store<AnalysisTemplate>,
    /// Those for all namespaces, under no namespace.
    pub(crate) cluster_templates: Store<AnalysisTemplate>,
    pub(crate) experiments: Store<StoredExperiment>,
    pub(crate) workloads: Workloads,
    pub(crate) namespaces: Namespaces,
}

impl Default for Stores {
    /// Empty ones, not complete.
    fn default() -> Self {
        Self {
            rollouts: Store::new(index_rollout),
            replica_sets: Store::new(index_replica_set),
            pods: Store::new(index_pod),
            services: Store::new(index_owned),
            mappings: Store::new(SplitObject::index),
            ingresses: Store::new(SplitObject::index),
            http_routes: Store::new(SplitObject::index),
            grpc_routes: Store::new(SplitObject::index),
            analysis_runs: Store::new(index_owned),
            templates: Store::new(|_| Vec::new()),
            cluster_templates: Store::new(|_| Vec::new()),
            experiments: Store::new(index_owned),
            workloads: Workloads::default(),
            namespaces: Namespaces::default(),
        }
    }
}

impl Stores {
    /// The object of that key.
    fn split_object(&self, namespace: &str, key: &str) -> Option<Arc<SplitObject>> {
        let (kind, name) = key::parse(key);
        self.split_objects(kind).get(&ObjectName::new(namespace, name))
    }

    /// The objects of a kind that splits traffic.
    fn split_objects(&self, kind: Kind) -> &Store<SplitObject> {
        match kind {
            Kind::Mapping => &self.mappings,
            Kind::Ingress => &self.ingresses,
            Kind::HttpRoute => &self.http_routes,
            Kind::GrpcRoute => &self.grpc_routes,
        }
    }
}

/// Looks after Rollouts, one at a time for each name.
struct Controller {
    stores: Arc<Stores>,
    traffic: Arc<TrafficStore>,
    executor: Executor,
    recorder: Recorder,
    metrics: RolloutMetrics,
    /// Those that have something in them.
    memories: Mutex<BTreeMap<ObjectName, Memory>>,
}

/// How a pass over an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing was to be done; look again at this time or when something changes.
    Settled(Wake),
    /// Something was written: the next pass sees it.
    Moved,
    /// There is no such object.
    Gone,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Execute(#[from] execute::Error),
    #[error("failed to compare the status with the recorded one")]
    Status(#[source] serde_json::Error),
}

impl Controller {
    fn new(
        stores: Arc<Stores>,
        traffic: Arc<TrafficStore>,
        executor: Executor,
        recorder: Recorder,
        metrics: RolloutMetrics,
    ) -> Self {
        Self { stores, traffic, executor, recorder, metrics, memories: Mutex::default() }
    }

    /// One pass: observe, plan, execute, record, wake. Why it was called does not matter.
    async fn reconcile(&self, name: &ObjectName, now: DateTime<Utc>) -> Result<Pass, Error> {
        // observe (no client: stores)
        let mut world = match observe(&self.stores, &self.traffic, name, now) {
            Observed::World(world) => world,
            Observed::Malformed { metadata, malformed } => {
                return self.refuse(name, &metadata, &malformed, now).await;
            }
            Observed::Unread { kind, workload } => return self.read(kind, &workload).await,
            Observed::Unlisted => {
                self.stores.covered(&name.namespace).await;
                return Ok(Pass::Moved);
            }
            Observed::Contested { until } => return Ok(Self::hold(name, until)),
            Observed::Gone => return Ok(self.forget(name)),
        };
        self.greet(&world);
        let recorded = world.rollout.status.clone().unwrap_or_default();
        let mut memory = self.memories().get(name).cloned().unwrap_or_default();
        memory.complete(&mut world);
        // plan (no client: pure)
        let plan = plan(&world);
        self.metrics.planned(name, &plan.why);
        memory.guard.clone_from(&plan.guard);
        self.remember(name, &memory);
        // execute (client)
        let Executed { version, changed } = self.executor.execute(&world, &plan.effects).await?;
        // record (client)
        let known = world.rollout.status.as_ref().unwrap_or(&recorded);
        let patch = record::status_patch(&recorded, known, &plan.status, &version).map_err(Error::Status)?;
        let writes = patch.is_some();
        if let Some(patch) = patch {
            self.executor.write_status(name, patch).await?;
            self.metrics.recorded(known.duration.as_ref(), plan.status.duration.as_ref());
        }
        let recorded = if writes { self.status(name).unwrap_or_default() } else { recorded };
        memory.compare(&plan.status, &recorded);
        self.remember(name, &memory);
        // wake
        Ok(if writes || changed { Pass::Moved } else { Pass::Settled(plan.wake) })
    }

    /// A Rollout without a status has not been seen by anyone yet: Argo's first event. (With a revision it has, and its
    /// status is on the way.)
    fn greet(&self, world: &World) {
        let annotations = world.rollout.metadata.annotations.as_ref();
        let numbered = annotations.is_some_and(|held| held.contains_key(REVISION_ANNOTATION));
        if world.rollout.status.is_none() && !numbered {
            let name = key(&world.rollout.metadata);
            let event = Event {
                kind: EventKind::Normal,
                reason: "RolloutAddedToInformer".to_owned(),
                message: format!("Rollout resource added to informer: {name}"),
            };
            self.recorder.record(&Subject::of(&world.rollout.metadata), &event);
        }
    }

    /// Argo's controller is at work on it, under another lease than ours.
    fn hold(name: &ObjectName, until: DateTime<Utc>) -> Pass {
        warn!(rollout = %name, %until, "Argo Rollouts' controller has just written this Rollout; not acting on it");
        Pass::Settled(Wake::At(until))
    }

    /// Asks for a workload that a Rollout refers to; the next pass sees the answer.
    async fn read(&self, kind: WorkloadKind, workload: &ObjectName) -> Result<Pass, Error> {
        self.stores.workloads.want(kind, workload);
        let found = self.executor.read_workload(kind, workload).await?;
        self.stores.workloads.answered(kind, workload, found);
        Ok(Pass::Moved)
    }

    /// The status as the API server has it, as far as we know.
    fn status(&self, name: &ObjectName) -> Option<RolloutStatus> {
        self.stores.rollouts.get(name)?.decoded.as_ref().ok()?.status.clone()
    }

    fn remember(&self, name: &ObjectName, memory: &Memory) {
        let mut memories = self.memories();
        if memory.is_empty() {
            memories.remove(name);
        } else {
            memories.insert(name.clone(), memory.clone());
        }
    }

    fn memories(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, name: &ObjectName) -> Pass {
        self.memories().remove(name);
        self.metrics.forget(name);
        Pass::Gone
    }
}

#[cfg(test)]
mod tests;
