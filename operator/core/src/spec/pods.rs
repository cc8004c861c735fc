//! What a spec says about pods beyond their template: metadata of their role, placement, and the pods of the workload
//! that the template is taken from.

use crds::rollout::{self, PodMetadata, WorkloadRef};

use super::Invalid;

/// The metadata of the roles that pods play in an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles<'s> {
    /// Of the pods of a new version: `canaryMetadata`, `previewMetadata`.
    pub new: Option<&'s PodMetadata>,
    /// Of the pods of the stable version: `stableMetadata`, `activeMetadata`.
    pub stable: Option<&'s PodMetadata>,
}

/// `antiAffinity`: how strictly a new version stays off the nodes of the stable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiAffinity {
    /// `preferredDuringSchedulingIgnoredDuringExecution`.
    Preferred {
        /// 1 to 100.
        weight: i32,
    },
    /// `requiredDuringSchedulingIgnoredDuringExecution`.
    Required,
}

impl AntiAffinity {
    /// Neither of the two is none, as in Argo; of both the wish counts.
    pub(super) fn read(written: &rollout::AntiAffinity) -> Option<Self> {
        if let Some(preferred) = written.preferred_during_scheduling_ignored_during_execution {
            return Some(Self::Preferred { weight: preferred.weight });
        }
        written.required_during_scheduling_ignored_during_execution.map(|_| Self::Required)
    }
}

/// `workloadRef.scaleDown`: when the workload's own pods go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDown {
    /// `never`, or not set: they are the user's.
    Never,
    /// `onsuccess`: all at once, when the first version is promoted.
    OnSuccess,
    /// `progressively`: one for each pod of the Rollout that becomes available.
    Progressively,
}

impl ScaleDown {
    /// Reads what is written. Argo takes other words for `never`; here they are an error, so that nobody waits in vain.
    pub(crate) fn read(reference: &WorkloadRef) -> Result<Self, Invalid> {
        match reference.scale_down.as_deref() {
            None | Some("never") => Ok(Self::Never),
            Some("onsuccess") => Ok(Self::OnSuccess),
            Some("progressively") => Ok(Self::Progressively),
            Some(other) => {
                let why = "must be never, onsuccess or progressively";
                Err(Invalid::value("spec.workloadRef.scaleDown", other, why))
            }
        }
    }
}
