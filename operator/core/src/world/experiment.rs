//! The Experiments of a Rollout.

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;

/// An Experiment without what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
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
    /// Label `step-index`: the step that made it; Experiments of Argo have none.
    pub step: Option<usize>,
    /// [`crds::contract::RUN_FINGERPRINT_ANNOTATION`]: what it was made of; Experiments of Argo have none.
    pub fingerprint: Option<String>,
    /// `spec.terminate`: it was told to end.
    pub terminate: bool,
    /// `status.phase`; `None`: it has not begun.
    pub phase: Option<AnalysisPhase>,
    /// `status.message`.
    pub message: Option<String>,
}

impl Experiment {
    /// Its verdict is there, and stays.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.phase.is_some_and(AnalysisPhase::is_completed)
    }
}
