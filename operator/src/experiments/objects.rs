//! What is kept of an Experiment.

use crds::Experiment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::rollouts::{Change, resource};

/// An Experiment as it is kept: decoded, or with the reason why it cannot be. One that cannot must not end the watch of
/// all others.
#[derive(Clone, Debug)]
pub(crate) struct StoredExperiment {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The rest.
    pub decoded: Result<Box<Experiment>, Malformed>,
}

/// An Experiment that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Malformed {
    /// What is wrong with it.
    pub error: String,
    /// The phase that is recorded.
    pub phase: Option<String>,
}

impl<'de> Deserialize<'de> for StoredExperiment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        match crds::read::read::<Experiment>(&object) {
            Ok(experiment) => {
                Ok(Self { metadata: experiment.metadata.clone(), decoded: Ok(Box::new(experiment)) })
            }
            Err(error) => {
                let metadata = object.get("metadata").cloned().unwrap_or_default();
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                let phase = object.pointer("/status/phase").and_then(Value::as_str).map(str::to_owned);
                Ok(Self { metadata, decoded: Err(Malformed { error: error.to_string(), phase }) })
            }
        }
    }
}

resource!(StoredExperiment, Experiment);

impl Change<StoredExperiment> {
    /// Nothing has changed that a Rollout is about: how many pods the Experiment has. Whether there are any matters to
    /// whoever sends requests to them.
    pub(crate) fn is_idle(&self) -> bool {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return false };
        let essence = |it: &StoredExperiment| {
            let metadata = ObjectMeta { resource_version: None, ..it.metadata.clone() };
            let said = it.decoded.as_ref().map(|it| {
                let status = it.status.as_ref();
                let message = status.and_then(|it| it.message.clone());
                let templates = status.into_iter().flat_map(|it| &it.template_statuses);
                let pods = templates.map(|it| {
                    let works = it.available_replicas > 0;
                    (it.name.clone(), it.service_name.clone(), it.pod_template_hash.clone(), works)
                });
                (it.spec.terminate, status.and_then(|it| it.phase), message, pods.collect::<Vec<_>>())
            });
            (metadata, said.map_err(Clone::clone))
        };
        essence(old) == essence(new)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn experiment(version: &str, spec: &Value, status: &Value) -> StoredExperiment {
        StoredExperiment::deserialize(json!({
            "metadata": {
                "namespace": "web", "name": "trial", "uid": "u", "resourceVersion": version,
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn one_that_cannot_be_read_says_why() {
        let stored = experiment("1", &json!({"templates": "none"}), &json!({"phase": "Error"}));
        let malformed = stored.decoded.unwrap_err();
        assert!(malformed.error.starts_with("spec.templates"), "{}", malformed.error);
        assert_eq!(malformed.phase.as_deref(), Some("Error"));
        assert_eq!(stored.metadata.managed_fields, None);
    }

    #[test]
    fn how_many_pods_it_has_concerns_no_rollout_but_whether_it_has_any() {
        let change = |after: &Value| {
            let stored = |version, status: &Value| Some(Arc::new(experiment(version, &json!({}), status)));
            let before =
                json!({"phase": "Running", "templateStatuses": [{"name": "a", "availableReplicas": 2}]});
            Change { old: stored("1", &before), new: stored("2", after) }
        };
        let pods = |available: i32| json!([{"name": "a", "replicas": 1, "availableReplicas": available}]);
        assert!(change(&json!({"phase": "Running", "templateStatuses": pods(1)})).is_idle());
        assert!(!change(&json!({"phase": "Running", "templateStatuses": pods(0)})).is_idle());
        assert!(!change(&json!({"phase": "Failed"})).is_idle());
    }
}
