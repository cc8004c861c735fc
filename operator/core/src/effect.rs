//! What a plan asks the shell to do, for a Rollout or for an Experiment.
//!
//! Every effect holds all that is needed to carry it out, and the values the plan relied on. The shell sends these
//! as preconditions (a JSON patch with `test`, or a PUT or DELETE with `resourceVersion` where a role grants no patch);
//! when one fails, the rest of the plan is dropped and a new `World` is observed.

use std::collections::BTreeMap;

#[cfg(doc)]
use crds::contract::{
    EPHEMERAL_METADATA_ANNOTATION, MANAGED_BY_ANNOTATION, POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION,
    WORKLOAD_GENERATION_ANNOTATION,
};
use serde_json::Value;

use crate::experiment::Blueprint;
use crate::gateway_route::WeightChange;
use crate::world::WorkloadKind;

/// Labels or annotations to set (`Some`) or remove (`None`). What is not named stays.
pub type Changes = BTreeMap<String, Option<String>>;

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
        annotations: Changes,
    },
    /// Sets or removes annotations. The precondition is the uid.
    AnnotateReplicaSet {
        /// The ReplicaSet.
        target: Target,
        /// Annotations to set (`Some`) or remove (`None`).
        annotations: Changes,
    },
    /// Sets or removes metadata of the pods that a ReplicaSet creates from now on, and records what is applied. The
    /// hash of its template stays. The precondition is the uid.
    SetEphemeralMetadata {
        /// The ReplicaSet.
        target: Target,
        /// Labels of its pod template.
        labels: Changes,
        /// Annotations of its pod template.
        annotations: Changes,
        /// Value to write to annotation [`EPHEMERAL_METADATA_ANNOTATION`]; `None`: to be removed.
        applied: Option<String>,
    },
    /// Sets or removes metadata of one pod. The precondition is the uid.
    ChangePod {
        /// The pod.
        target: Target,
        /// Labels.
        labels: Changes,
        /// Annotations.
        annotations: Changes,
    },
    /// POST of an Eviction; the precondition is the uid. A refusal because a PodDisruptionBudget does not allow it now
    /// is no failure: the plan goes on, and its `wake` says when it is tried again.
    EvictPod {
        /// The pod.
        target: Target,
    },
    /// Sets `spec.replicas` of the workload that `spec.workloadRef` names.
    ScaleWorkload {
        /// Its kind, one that has replicas.
        kind: WorkloadKind,
        /// The workload; preconditions are its uid and `from`.
        target: Target,
        /// `spec.replicas` the plan saw.
        from: i32,
        /// `spec.replicas` to write.
        to: i32,
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
    /// POST of a canary Mapping, a canary Ingress, or the route of a header route.
    CreateMapping {
        /// The [key](crate::key) of the object.
        name: String,
        /// The complete object.
        manifest: Value,
    },
    /// PUT of one. `metadata.resourceVersion` in the manifest is the precondition.
    UpdateMapping {
        /// The object by its key.
        target: Target,
        /// The complete object with uid and resourceVersion.
        manifest: Value,
    },
    /// DELETE with uid and resourceVersion preconditions.
    DeleteMapping {
        /// The object by its key.
        target: Target,
    },
    /// Sets weights in a route of the Gateway API by a JSON patch, and nothing else of it. Preconditions are its uid, and
    /// the name and weight of each backend as the plan saw them.
    SetRouteWeights {
        /// The route by its key.
        target: Target,
        /// The weights to write.
        weights: Vec<WeightChange>,
        /// A label to set or remove with them.
        label: Option<LabelChange>,
        /// The route has labels.
        labelled: bool,
    },
    /// POST of an `AnalysisRun`. `AlreadyExists` is a failed precondition: the next `World` shows that the name is taken.
    CreateAnalysisRun {
        /// `metadata.name`, for logs.
        name: String,
        /// The complete object.
        manifest: Value,
    },
    /// Sets `spec.terminate` of an `AnalysisRun`. The precondition is the uid: its status changes all the time.
    TerminateAnalysisRun {
        /// The run.
        target: Target,
    },
    /// DELETE with uid and resourceVersion preconditions: a finished run past the limits of history, or one whose
    /// version is gone.
    DeleteAnalysisRun {
        /// The run.
        target: Target,
    },
    /// POST of the Experiment of a step. `AlreadyExists` is a failed precondition: the next `World` shows that the name is
    /// taken.
    CreateExperiment {
        /// `metadata.name`, for logs.
        name: String,
        /// The object, but for the pod templates that it takes from ReplicaSets; the uids of these are preconditions.
        blueprint: Box<Blueprint>,
    },
    /// Sets annotation [`crds::contract::WEIGHTS_ANNOTATION`] of an Experiment: every proxy serves its weights. The
    /// precondition is the uid: its status changes all the time.
    BeginExperiment {
        /// The Experiment.
        target: Target,
    },
    /// Sets `spec.terminate` of an Experiment. The precondition is the uid: its status changes all the time.
    TerminateExperiment {
        /// The Experiment.
        target: Target,
    },
    /// DELETE with uid and resourceVersion preconditions: a finished Experiment past the limits of history, or one whose
    /// version is gone.
    DeleteExperiment {
        /// The Experiment.
        target: Target,
    },
    /// POST of the Service of one of an Experiment's ReplicaSets. `AlreadyExists` is a failed precondition: the next
    /// world shows whose it is.
    CreateService {
        /// `metadata.name`, for logs.
        name: String,
        /// The complete object.
        manifest: Value,
    },
    /// DELETE with uid and resourceVersion preconditions: the Service of an Experiment that is over.
    DeleteService {
        /// The Service.
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
    /// Sets annotation [`WORKLOAD_GENERATION_ANNOTATION`] of the Rollout: which generation of the workload it has seen.
    SetWorkloadGeneration {
        /// The Rollout; preconditions are its uid and version.
        target: Target,
        /// Value to write; `None`: to be removed, because the Rollout refers to no workload any more.
        to: Option<i64>,
    },
    /// Writes `spec.replicas: 1` where it is not set, so that an autoscaler has a base. The precondition is its
    /// absence.
    DefaultReplicas {
        /// The Rollout.
        target: Target,
    },
    /// Records an Event on the Rollout, or on the Experiment that the plan is about.
    Event(Event),
}

/// A label that is set or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelChange {
    /// Its key.
    pub key: String,
    /// The value the plan saw; `None`: it has none.
    pub from: Option<String>,
    /// The value to write; `None`: it goes.
    pub to: Option<String>,
}

/// The object an effect is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// `metadata.name`; the namespace is that of what the plan is about.
    pub name: String,
    /// `metadata.uid`: always a precondition.
    pub uid: String,
    /// `metadata.resourceVersion` of the version the plan saw: a precondition where the effect says so.
    pub resource_version: String,
}

/// A Kubernetes Event.
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
