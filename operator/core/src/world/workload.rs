//! What `spec.workloadRef` names: the object whose pod template a Rollout uses.

use crds::rollout::{PodTemplate, WorkloadRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The kinds that a Rollout can take its template from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `apps` Deployment.
    Deployment,
    /// `apps` ReplicaSet.
    ReplicaSet,
    /// PodTemplate of the core group.
    PodTemplate,
}

impl WorkloadKind {
    /// The kind that a reference names; `None` if it is none of these. The version does not matter.
    #[must_use]
    pub fn of(reference: &WorkloadRef) -> Option<Self> {
        match (group_of(reference), reference.kind.as_deref().unwrap_or_default()) {
            ("apps", "Deployment") => Some(Self::Deployment),
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("", "PodTemplate") => Some(Self::PodTemplate),
            _ => None,
        }
    }

    /// The kind as objects name it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::PodTemplate => "PodTemplate",
        }
    }

    /// The API group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::ReplicaSet => "apps",
            Self::PodTemplate => "",
        }
    }

    /// The name in URLs and roles.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::ReplicaSet => "replicasets",
            Self::PodTemplate => "podtemplates",
        }
    }

    /// The resource with its group, as in `deployments.apps "shop" not found`.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments.apps",
            Self::ReplicaSet => "replicasets.apps",
            Self::PodTemplate => "podtemplates",
        }
    }
}

/// The API group that a reference names.
pub(crate) fn group_of(reference: &WorkloadRef) -> &str {
    let version = reference.api_version.as_deref().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

/// An object with a pod template.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.generation`; 0 if the API server does not count (a PodTemplate's).
    pub generation: i64,
    /// `spec.replicas`, 1 if it is not set; `None` for a PodTemplate, which has no pods.
    pub replicas: Option<i32>,
    /// `spec.selector`; `None` for a PodTemplate.
    pub selector: Option<LabelSelector>,
    /// Its pod template, as it is stored.
    pub template: PodTemplate,
}
