//! A pod, as far as restarts, metadata of roles and draining ask for it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// A pod of one of the Rollout's ReplicaSets that has not come to its end (`Succeeded` or `Failed`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Uid of the ReplicaSet that controls it.
    pub replica_set: String,
    /// Label `rollouts-pod-template-hash`.
    pub hash: String,
    /// `metadata.creationTimestamp`, in whole seconds.
    pub created: DateTime<Utc>,
    /// Since when it is ready; `None` while it is not.
    pub ready_since: Option<DateTime<Utc>>,
    /// It has a `deletionTimestamp`. A pod whose eviction was accepted is not in the world at all.
    pub deleting: bool,
    /// Labels, as far as the engine may ask for them: those of `canaryMetadata` and its siblings, those that the
    /// ReplicaSet's annotation [`crds::contract::EPHEMERAL_METADATA_ANNOTATION`] names, and
    /// [`crds::contract::DRAINING_LABEL`].
    pub labels: BTreeMap<String, String>,
    /// Annotations, as far as the engine may ask for them: as the labels, and
    /// [`crds::contract::POD_DELETION_COST_ANNOTATION`] and [`crds::contract::DRAIN_UNTIL_ANNOTATION`].
    pub annotations: BTreeMap<String, String>,
}

impl Pod {
    /// It is ready for `minReadySeconds`, and stays.
    #[must_use]
    pub fn is_available(&self, min_ready_seconds: i32, now: DateTime<Utc>) -> bool {
        let least = TimeDelta::seconds(min_ready_seconds.into());
        !self.deleting && self.ready_since.is_some_and(|since| since + least <= now)
    }
}
