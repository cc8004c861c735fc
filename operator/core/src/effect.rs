//! What a plan asks the shell to do.
//!
//! Every effect holds all that is needed to carry it out, and the values the plan relied on. The shell sends these
//! as preconditions (a JSON patch with `test`, or a PUT or DELETE with `resourceVersion` where a role grants no patch);
//! when one fails, the rest of the plan is dropped and a new `World` is observed.

use std::collections::BTreeMap;

#[cfg(doc)]
use crds::contract::{MANAGED_BY_ANNOTATION, POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION};
use serde_json::Value;

/// One change to the cluster. Executed in list order; the first failure ends the plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// POST. `AlreadyExists` is a failed precondition: the next `World` shows whose it is.
    CreateReplicaSet {
        /// `metadata.name`, for logs.
        name: String,
        /// The complete object, `replicas: 0`.
        manifest: Value,
    },
    /// Makes this Rollout the controller of a ReplicaSet that nobody controls.
    AdoptReplicaSet {
        /// The ReplicaSet; `resource_version` is the precondition (owner references are a list).
        target: Target,
        /// The controller reference to add to `metadata.ownerReferences`.
        owner: Value,
    },
    /// Sets `spec.replicas` and annotations in one patch.
    ScaleReplicaSet {
        /// The ReplicaSet; preconditions are its uid and `from`.
        target: Target,
        /// `spec.replicas` the plan saw.
        from: i32,
        /// `spec.replicas` to write.
        to: i32,
        /// Annotations to set (`Some`) or remove (`None`) with it.
        annotations: BTreeMap<String, Option<String>>,
    },
    /// Sets or removes annotations. The precondition is the uid.
    AnnotateReplicaSet {
        /// The ReplicaSet.
        target: Target,
        /// Annotations to set (`Some`) or remove (`None`).
        annotations: BTreeMap<String, Option<String>>,
    },
    /// DELETE with uid and resourceVersion preconditions, background propagation: an old revision past
    /// `revisionHistoryLimit`, with no pods.
    DeleteReplicaSet {
        /// The ReplicaSet.
        target: Target,
    },
    /// Points a Service at one version of pods.
    SetServiceSelector {
        /// The Service; preconditions are its uid and `from`.
        target: Target,
        /// Value of selector key [`POD_TEMPLATE_HASH_LABEL`] the plan saw; `None`: the key was absent.
        from: Option<String>,
        /// Value to write.
        to: String,
        /// Value to write to annotation [`MANAGED_BY_ANNOTATION`]; `None`: it has it already.
        managed_by: Option<String>,
    },
    /// POST of a canary Mapping.
    CreateMapping {
        /// `metadata.name`, for logs.
        name: String,
        /// The complete object.
        manifest: Value,
    },
    /// PUT of a canary Mapping. `metadata.resourceVersion` in the manifest is the precondition.
    UpdateMapping {
        /// The Mapping.
        target: Target,
        /// The complete object with uid and resourceVersion.
        manifest: Value,
    },
    /// DELETE with uid and resourceVersion preconditions.
    DeleteMapping {
        /// The Mapping.
        target: Target,
    },
    /// Sets annotation [`REVISION_ANNOTATION`] of the Rollout by a guarded JSON patch, never by a full Update.
    SetRolloutRevision {
        /// The Rollout; preconditions are its uid and `from`.
        target: Target,
        /// Value the plan saw; `None`: absent.
        from: Option<String>,
        /// Value to write.
        to: i64,
    },
    /// Writes `spec.replicas: 1` where it is not set, so that an autoscaler has a base. The precondition is its
    /// absence.
    DefaultReplicas {
        /// The Rollout.
        target: Target,
    },
    /// Records an Event on the Rollout.
    Event(Event),
}

/// The object an effect is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// `metadata.name`; the namespace is the Rollout's.
    pub name: String,
    /// `metadata.uid`: always a precondition.
    pub uid: String,
    /// `metadata.resourceVersion` of the version the plan saw: a precondition where the effect says so.
    pub resource_version: String,
}

/// A Kubernetes Event on the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub kind: EventKind,
    /// Reason, `CamelCase`: Argo's where Argo has one.
    pub reason: String,
    /// Message.
    pub message: String,
}

/// The type of a Kubernetes Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}
