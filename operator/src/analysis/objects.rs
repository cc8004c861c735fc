//! What is kept of each kind.

use std::collections::BTreeMap;

use crds::{AnalysisRun, experiment::TemplateStatus};
use k8s_openapi::{
    api::{batch::v1 as batch, core::v1 as core},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::rollouts::resource;

/// An AnalysisRun as it is kept: decoded, or with the reason why it cannot be. One that cannot must not end the watch
/// of all others.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The rest.
    pub decoded: Result<Box<AnalysisRun>, Malformed>,
}

/// An AnalysisRun that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Malformed {
    /// What is wrong with it.
    pub error: String,
    /// The phase that is recorded.
    pub phase: Option<String>,
}

impl<'de> Deserialize<'de> for StoredRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        match crds::read::read::<AnalysisRun>(&object) {
            Ok(run) => Ok(Self { metadata: run.metadata.clone(), decoded: Ok(Box::new(run)) }),
            Err(error) => {
                let metadata = object.get("metadata").cloned().unwrap_or_default();
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                let phase = object.pointer("/status/phase").and_then(Value::as_str).map(str::to_owned);
                Ok(Self { metadata, decoded: Err(Malformed { error: error.to_string(), phase }) })
            }
        }
    }
}

/// The versions of a Rollout, for what is asked about one of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RolloutVersions {
    /// What it is.
    #[serde(default)]
    pub status: RolloutHashes,
}

/// The part of a Rollout's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutHashes {
    /// The hash of its new version.
    pub current_pod_hash: Option<String>,
    /// The hash of its stable one.
    #[serde(rename = "stableRS")]
    pub stable_rs: Option<String>,
}

/// The templates of an Experiment, for what is asked about one of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ExperimentVersions {
    /// What it is.
    #[serde(default)]
    pub status: TemplateHashes,
}

/// The part of an Experiment's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateHashes {
    /// Its templates, in their order.
    #[serde(default)]
    pub template_statuses: Vec<TemplateStatus>,
}

/// A Job without its template.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Job {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it is.
    #[serde(default)]
    pub status: JobStatus,
}

/// The part of a Job's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct JobStatus {
    /// Conditions.
    #[serde(default)]
    pub conditions: Vec<JobCondition>,
}

/// A condition of a Job.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct JobCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// A pod of a Job, with what its containers wait for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobPod {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it is.
    #[serde(default)]
    pub status: JobPodStatus,
}

/// The part of a pod's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobPodStatus {
    /// Containers that run before the others.
    #[serde(default)]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The others.
    #[serde(default)]
    pub container_statuses: Vec<ContainerStatus>,
}

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ContainerStatus {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `waiting`, `running` or `terminated`.
    #[serde(default)]
    pub state: BTreeMap<String, Value>,
}

resource!(StoredRun, AnalysisRun);
resource!(Job, batch::Job);
resource!(JobPod, core::Pod);
