//! Everything one decision may look at.
//!
//! `observe` in the shell builds a [`World`], `plan` reads it and nothing else. A `World` may be older than the
//! cluster (caches lag): every [`crate::effect::Effect`] therefore carries the values it relies on, and a plan made
//! from an old `World` fails when it is executed instead of doing harm. One thing `observe` has to see to: no object
//! is older than what our own last write to it returned, or a fact about the proxies could be taken for fresh that
//! says nothing about that write.

mod analysis;
mod experiment;
mod pod;
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use crds::rollout::status::GuardStatus;
use crds::rollout::{PodMetadata, PodTemplate, Rollout};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

pub use self::analysis::{Analyses, AnalysisRun, Readable, Templates};
pub use self::experiment::{Experiment, Shares, TrialPods};
pub use self::pod::Pod;
pub(crate) use self::workload::group_of;
pub use self::workload::{Workload, WorkloadKind};
use crate::ingress;
use crate::traffic::Traffic;
use crate::weight::Weight;

/// One moment of the cluster, as far as one Rollout is concerned. All objects are in the Rollout's namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The only clock of the engine. UTC; sub-second digits are dropped wherever a time is written.
    pub now: DateTime<Utc>,
    /// The Rollout as it is stored: metadata, the user's spec with its raw template, and our own last status.
    pub rollout: Rollout,
    /// The ReplicaSets that the Rollout's selector matches or that it controls, and any that carries the name this
    /// Rollout would give to one. Order does not matter.
    pub replica_sets: Vec<ReplicaSet>,
    /// The pods of the ReplicaSets that this Rollout controls. Order does not matter.
    pub pods: Vec<Arc<Pod>>,
    /// What `spec.workloadRef` names; `None` without a reference, or with one to a kind that has no pod template.
    pub workload: Option<Lookup<Workload>>,
    /// Every Service that the spec names, by name. A name without an entry counts as missing.
    pub services: BTreeMap<String, Lookup<Service>>,
    /// Every object whose traffic the spec splits (Mappings, stable Ingresses, routes of the Gateway API), by
    /// [key](crate::key). One without an entry counts as missing.
    pub mappings: BTreeMap<String, Lookup<Mapping>>,
    /// The canary Mappings, canary Ingresses and routes of header routes that exist, by key: all that this Rollout controls (also those of a base Mapping that
    /// the spec no longer lists) and any that carries the name of a canary Mapping this Rollout would create.
    pub canary_mappings: BTreeMap<String, Mapping>,
    /// Its `AnalysisRuns` and their templates.
    pub analysis: Analyses,
    /// The Experiments that it controls, and any that carries a name which it would give to one, by name.
    pub experiments: BTreeMap<String, Experiment>,
    /// The other Rollouts of the namespace that name one of the same Services or Mappings.
    pub rivals: Vec<Rival>,
    /// What the proxies serve.
    pub traffic: Traffic,
    /// What the last plan knew of the canary, which may be newer than the status; `None` after a start.
    pub guard: Option<GuardStatus>,
}

impl World {
    /// The Service of that name, if it exists.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).and_then(Lookup::found)
    }

    /// The base Mapping of that name, if it exists.
    #[must_use]
    pub fn mapping(&self, name: &str) -> Option<&Mapping> {
        self.mappings.get(name).and_then(Lookup::found)
    }

    /// The workload that `spec.workloadRef` names, if it exists.
    #[must_use]
    pub fn workload(&self) -> Option<&Workload> {
        self.workload.as_ref().and_then(Lookup::found)
    }

    /// The pod template: the workload's if the spec refers to one, else the spec's own.
    #[must_use]
    pub fn template(&self) -> Option<&PodTemplate> {
        let spec = &self.rollout.spec;
        match &spec.workload_ref {
            Some(_) => self.workload().map(|workload| &workload.template),
            None => spec.template.as_ref(),
        }
    }

    /// Which pods belong to the Rollout: what its spec says, else the workload's selector.
    #[must_use]
    pub fn selector(&self) -> Option<&LabelSelector> {
        let written = self.rollout.spec.selector.as_ref();
        written.or_else(|| self.workload().and_then(|workload| workload.selector.as_ref()))
    }
}

/// The answer to "is there an object of this name?", asked of a complete store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It exists.
    Found(T),
    /// The store is complete and does not have it.
    Missing,
}

impl<T> Lookup<T> {
    /// The object, if there is one.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(object) => Some(object),
            Self::Missing => None,
        }
    }
}

/// A ReplicaSet without its pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.creationTimestamp`.
    pub created: DateTime<Utc>,
    /// Label `rollouts-pod-template-hash`; empty if it has none.
    pub hash: String,
    /// Who controls it.
    pub owner: Owner,
    /// It has a `deletionTimestamp`.
    pub deleting: bool,
    /// The annotations the engine reads.
    pub annotations: ReplicaSetAnnotations,
    /// `spec.replicas`; 1 if it is not set, as the API server defaults it.
    pub replicas: i32,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: i32,
    /// The counts of its status.
    pub status: ReplicaSetStatus,
}

impl ReplicaSet {
    /// Available pods that stay. The status counts those beyond `spec.replicas` until the ReplicaSet controller has told
    /// them to go.
    #[must_use]
    pub fn lasting(&self) -> i32 {
        self.status.available.min(self.replicas)
    }

    /// Pods that it was told to lose are still there, and nobody knows which of them will go.
    #[must_use]
    pub fn is_shrinking(&self) -> bool {
        self.status.replicas > self.replicas
    }
}

/// The counts of a ReplicaSet's status. A count that is not set is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetStatus {
    /// `status.replicas`: pods that exist and are not terminated.
    pub replicas: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// `status.availableReplicas`: ready for `minReadySeconds`.
    pub available: i32,
    /// Message of the condition `ReplicaFailure` while it is True: why pods cannot be created.
    pub failure: Option<String>,
}

/// The annotations of a ReplicaSet that the engine reads. Unreadable values count as absent and are written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetAnnotations {
    /// `rollout.argoproj.io/revision`.
    pub revision: Option<i64>,
    /// `rollout.argoproj.io/revision-history`: earlier revisions of the same ReplicaSet, comma separated.
    pub revision_history: Option<String>,
    /// `rollout.argoproj.io/desired-replicas`: the Rollout's `spec.replicas` at the last scaling.
    pub desired_replicas: Option<i32>,
    /// `scale-down-deadline`: not scaled down before this moment.
    pub scale_down_deadline: Option<DateTime<Utc>>,
    /// [`crds::contract::TEMPLATE_FINGERPRINT_ANNOTATION`]: what the hash does not see of the template.
    pub fingerprint: Option<String>,
    /// `rollout.argoproj.io/ephemeral-metadata`: what was put onto its pods for the role they play.
    pub ephemeral: Option<PodMetadata>,
}

/// Who controls a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Its controller reference is this Rollout's uid.
    ThisRollout,
    /// Nobody, and the Rollout's selector matches its labels: it may be adopted.
    Nobody,
    /// Somebody else. It is only here because it holds a name that this Rollout wants.
    Other,
}

/// What the engine reads of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.selector`; empty if it has none.
    pub selector: BTreeMap<String, String>,
    /// Annotation `argo-rollouts.argoproj.io/managed-by-rollouts`.
    pub managed_by: Option<String>,
    /// `spec.ports`: the number of each, and to which port of the pods it leads.
    pub ports: Vec<(i32, Option<IntOrString>)>,
}

impl Service {
    /// The pod-template hash the Service selects; `None` while no Rollout has set one.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.selector.get(crds::contract::POD_TEMPLATE_HASH_LABEL).map(String::as_str)
    }
}

/// A `getambassador.io` Mapping, whole: fields this version does not know are copied to the canary Mapping too. Or an
/// Ingress or a route of the Gateway API, which is split as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Its controller reference is this Rollout's uid.
    pub owned: bool,
    /// It has a `deletionTimestamp`.
    pub deleting: bool,
    /// The field manager that wrote it last, if that is known and is not this operator.
    pub changed_by: Option<String>,
    /// The object as JSON: `apiVersion`, `kind`, `metadata`, `spec`.
    pub object: Value,
}

impl Mapping {
    /// `spec.weight` as a whole percentage, or that of a canary Ingress; `None` if it has none or one that is not a number.
    ///
    /// Fractions are rounded up so that no written weight is taken for 0.
    #[must_use]
    pub fn weight(&self) -> Option<Weight> {
        if let Some(weight) = ingress::weight(&self.object) {
            return weight;
        }
        let weight = self.object.pointer("/spec/weight")?;
        let whole = weight.as_i64().or_else(|| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`as` saturates, and the value is clamped below"
            )]
            weight.as_f64().map(|it| it.ceil() as i64)
        })?;
        i32::try_from(whole.clamp(0, 100)).ok().map(Weight::of_percent)
    }
}

/// Another Rollout that names one of our objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its name.
    pub rollout: String,
    /// Its creation; the older Rollout keeps what both claim.
    pub created: DateTime<Utc>,
    /// What it names.
    pub claim: Claim,
}

/// What two Rollouts name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// A stable, canary, active, preview, ping or pong Service of that name.
    Service(String),
    /// The object of that [key](crate::key), whose traffic is split.
    Mapping(String),
}
