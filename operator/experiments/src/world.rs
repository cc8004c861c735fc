//! Everything one decision may look at.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use crds::Experiment;
use operator_core::effect::Target;
use operator_core::traffic::Traffic;
use operator_core::world::{AnalysisRun, ReplicaSetStatus, Templates};

/// One moment of the cluster, as far as one Experiment is concerned. All objects are in its namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The only clock. UTC; sub-second digits are dropped wherever a time is written.
    pub now: DateTime<Utc>,
    /// The Experiment as it is stored: metadata, spec with raw pod templates, and our own last status.
    pub experiment: Experiment,
    /// The ReplicaSets that it controls, and any that carries the name which it would give to one.
    pub replica_sets: Vec<ReplicaSet>,
    /// The Services that it controls, and any that carries the name which it would give to one.
    pub services: Vec<Service>,
    /// The runs that it controls, and any that carries a name which it would give to one, by name. `owned` says whose
    /// they are; they play no role in an update.
    pub runs: BTreeMap<String, AnalysisRun>,
    /// The templates that its analyses name, and those that they name.
    pub templates: Templates,
    /// What the proxies serve. Only looked at where the templates have shares of the requests.
    pub traffic: Traffic,
    /// Hashes of ReplicaSets that others control. Only looked at while a ReplicaSet is to be created.
    pub taken_hashes: BTreeSet<String>,
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
    /// The template that it was made from; `None`: it is not this Experiment's.
    pub template: Option<String>,
    /// Label `rollouts-pod-template-hash`.
    pub hash: String,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Annotation `scale-down-deadline`: not scaled down before this moment.
    pub scale_down_deadline: Option<DateTime<Utc>>,
    /// The counts of its status.
    pub status: ReplicaSetStatus,
}

impl ReplicaSet {
    /// As an effect names it.
    pub(crate) fn target(&self) -> Target {
        target(&self.name, &self.uid, &self.resource_version)
    }
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// The template that it was made for; `None`: it is not this Experiment's.
    pub template: Option<String>,
    /// It has a `deletionTimestamp`.
    pub deleting: bool,
}

impl Service {
    /// As an effect names it.
    pub(crate) fn target(&self) -> Target {
        target(&self.name, &self.uid, &self.resource_version)
    }
}

fn target(name: &str, uid: &str, resource_version: &str) -> Target {
    Target { name: name.to_owned(), uid: uid.to_owned(), resource_version: resource_version.to_owned() }
}
