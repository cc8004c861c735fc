//! The `AnalysisRuns` of a Rollout, and the templates that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use crds::analysis::{AnalysisPhase, AnalysisTemplateSpec};

use super::Lookup;
use crate::analysis::Role;

/// What there is of analyses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analyses {
    /// The runs that the Rollout controls, and any that carries a name which it would give to one, by name.
    pub runs: BTreeMap<String, AnalysisRun>,
    /// The templates that its spec names, and those that they name.
    pub templates: Templates,
}

/// An `AnalysisRun` without its metrics and measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisRun {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.creationTimestamp`.
    pub created: DateTime<Utc>,
    /// Its controller reference is this Rollout's uid.
    pub owned: bool,
    /// It has a `deletionTimestamp`.
    pub deleting: bool,
    /// Label `rollouts-pod-template-hash`: the version that it is about.
    pub hash: Option<String>,
    /// What it is for, by its labels `rollout-type` and `step-index`.
    pub role: Option<Role>,
    /// [`crds::contract::RUN_FINGERPRINT_ANNOTATION`]: what it was made to do; runs of Argo have none.
    pub fingerprint: Option<String>,
    /// `spec.terminate`: it was told to end.
    pub terminate: bool,
    /// `status.phase`; `None`: it has not begun.
    pub phase: Option<AnalysisPhase>,
    /// `status.message`.
    pub message: Option<String>,
}

impl AnalysisRun {
    /// Its verdict is there, and stays.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.phase.is_some_and(AnalysisPhase::is_completed)
    }
}

/// What a template says, or why that cannot be read.
pub type Readable = Result<Arc<AnalysisTemplateSpec>, String>;

/// Templates by name. A name without an entry counts as missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Templates {
    /// `AnalysisTemplate`s of the Rollout's namespace.
    pub of_namespace: BTreeMap<String, Lookup<Readable>>,
    /// `ClusterAnalysisTemplate`s.
    pub of_cluster: BTreeMap<String, Lookup<Readable>>,
}
