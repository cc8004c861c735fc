//! The Experiments of a Rollout.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;
use crds::contract::WEIGHTS_AWAITED;

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
    /// [`crds::contract::WEIGHTS_ANNOTATION`]: whether its time may begin.
    pub shares: Shares,
    /// The pods of its templates, by the templates' names.
    pub pods: BTreeMap<String, TrialPods>,
}

/// Whether every proxy serves the shares of the requests that the templates of an [`Experiment`] have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shares {
    /// It does, or there are none.
    #[default]
    Served,
    /// Some proxy does not, as far as it is known.
    Awaited,
}

impl Shares {
    /// As the annotation says it.
    #[must_use]
    pub fn of(annotation: Option<&str>) -> Self {
        if annotation == Some(WEIGHTS_AWAITED) { Self::Awaited } else { Self::Served }
    }
}

/// The pods of one template of an [`Experiment`], by its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialPods {
    /// Their Service, if there is one.
    pub service: Option<String>,
    /// The hash of their pod template, if that is known.
    pub hash: Option<String>,
    /// How many are available.
    pub available: i32,
}

impl Experiment {
    /// Its verdict is there, and stays.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.phase.is_some_and(AnalysisPhase::is_completed)
    }
}
