//! From stored objects to the engine's.

use chrono::DateTime;
use crds::{analysis::AnalysisPhase, contract, experiment::TemplateStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use operator_core::analysis::Role;
use operator_core::world::{self, Owner, ReplicaSetAnnotations, ReplicaSetStatus};
use serde_json::{Value, json};

use crate::experiments::StoredExperiment;
use crate::rollouts::{
    execute::request::FIELD_MANAGER,
    objects::{AnalysisRun, ReplicaSet, Service, annotation, controller, created, hash},
};

/// A ReplicaSet.
pub(crate) fn replica_set(stored: &ReplicaSet, owner: Owner) -> world::ReplicaSet {
    let (metadata, status) = (&stored.metadata, &stored.status);
    let failure = status.conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    world::ReplicaSet {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        created: created(metadata),
        hash: hash(metadata).to_owned(),
        owner,
        deleting: metadata.deletion_timestamp.is_some(),
        annotations: annotations(metadata),
        replicas: stored.spec.replicas.unwrap_or(1),
        min_ready_seconds: stored.spec.min_ready_seconds,
        status: ReplicaSetStatus {
            replicas: status.replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            failure: failure.map(|it| it.message.clone()),
        },
    }
}

/// A Service.
pub(super) fn service(stored: &Service) -> world::Service {
    let metadata = &stored.metadata;
    world::Service {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        selector: stored.spec.selector.clone().unwrap_or_default(),
        managed_by: annotation(metadata, contract::MANAGED_BY_ANNOTATION).map(str::to_owned),
        ports: stored.spec.ports.iter().map(|it| (it.port, it.target_port.clone())).collect(),
    }
}

/// An `AnalysisRun`; `owner_uid`: of the Rollout or Experiment that asks.
pub(crate) fn analysis_run(stored: &AnalysisRun, owner_uid: &str) -> world::AnalysisRun {
    let metadata = &stored.metadata;
    let label = |name: &str| metadata.labels.as_ref().and_then(|it| it.get(name)).map(String::as_str);
    let kind = label(contract::ROLLOUT_TYPE_LABEL);
    world::AnalysisRun {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        created: created(metadata),
        owned: controller(metadata).is_some_and(|it| it.uid == owner_uid),
        deleting: metadata.deletion_timestamp.is_some(),
        hash: label(contract::POD_TEMPLATE_HASH_LABEL).map(str::to_owned),
        role: kind.and_then(|kind| Role::of_labels(kind, label(contract::STEP_INDEX_LABEL))),
        fingerprint: annotation(metadata, contract::RUN_FINGERPRINT_ANNOTATION).map(str::to_owned),
        terminate: stored.terminate,
        phase: stored.phase,
        message: stored.message.clone(),
    }
}

/// An Experiment; one that cannot be read is only in the way.
pub(super) fn experiment(stored: &StoredExperiment, rollout_uid: &str) -> world::Experiment {
    let metadata = &stored.metadata;
    let label = |name: &str| metadata.labels.as_ref().and_then(|it| it.get(name)).map(String::as_str);
    let status = stored.decoded.as_ref().ok().and_then(|it| it.status.as_ref());
    let (phase, message) = match &stored.decoded {
        Ok(_) => (status.and_then(|it| it.phase), status.and_then(|it| it.message.clone())),
        Err(malformed) => (Some(AnalysisPhase::Error), Some(malformed.error.clone())),
    };
    world::Experiment {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        created: created(metadata),
        owned: controller(metadata).is_some_and(|it| it.uid == rollout_uid),
        deleting: metadata.deletion_timestamp.is_some(),
        hash: label(contract::POD_TEMPLATE_HASH_LABEL).map(str::to_owned),
        step: label(contract::STEP_INDEX_LABEL).and_then(|it| it.parse().ok()),
        fingerprint: annotation(metadata, contract::RUN_FINGERPRINT_ANNOTATION).map(str::to_owned),
        terminate: stored.decoded.as_ref().is_ok_and(|it| it.spec.terminate),
        phase,
        message,
        shares: world::Shares::of(annotation(metadata, contract::WEIGHTS_ANNOTATION)),
        pods: status.into_iter().flat_map(|it| &it.template_statuses).map(trial_pods).collect(),
    }
}

fn trial_pods(status: &TemplateStatus) -> (String, world::TrialPods) {
    let pods = world::TrialPods {
        service: status.service_name.clone(),
        hash: status.pod_template_hash.clone(),
        available: status.available_replicas,
    };
    (status.name.clone(), pods)
}

/// A Mapping, whole.
pub(super) fn mapping(stored: &DynamicObject, rollout_uid: &str) -> world::Mapping {
    let metadata = &stored.metadata;
    world::Mapping {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        owned: controller(metadata).is_some_and(|it| it.uid == rollout_uid),
        deleting: metadata.deletion_timestamp.is_some(),
        changed_by: last_manager(metadata).filter(|it| *it != FIELD_MANAGER).map(str::to_owned),
        object: object(stored),
    }
}

/// The field manager that is kept of a Mapping.
fn last_manager(metadata: &ObjectMeta) -> Option<&str> {
    metadata.managed_fields.as_ref()?.first()?.manager.as_deref()
}

fn object(stored: &DynamicObject) -> Value {
    let mut object = stored.data.clone();
    if let (Value::Object(fields), Some(types)) = (&mut object, &stored.types) {
        fields.insert("apiVersion".to_owned(), json!(types.api_version));
        fields.insert("kind".to_owned(), json!(types.kind));
    }
    if let Value::Object(fields) = &mut object {
        // Metadata is text, numbers and maps with text as keys: it always serialises.
        let metadata = ObjectMeta { managed_fields: None, ..stored.metadata.clone() };
        fields.insert("metadata".to_owned(), serde_json::to_value(metadata).unwrap_or_default());
    }
    object
}

fn annotations(metadata: &ObjectMeta) -> ReplicaSetAnnotations {
    let get = |name| annotation(metadata, name);
    ReplicaSetAnnotations {
        revision: get(contract::REVISION_ANNOTATION).and_then(|it| it.parse().ok()),
        revision_history: get(contract::REVISION_HISTORY_ANNOTATION).map(str::to_owned),
        desired_replicas: get(contract::DESIRED_REPLICAS_ANNOTATION).and_then(|it| it.parse().ok()),
        scale_down_deadline: get(contract::SCALE_DOWN_DEADLINE_ANNOTATION)
            .and_then(|it| DateTime::parse_from_rfc3339(it).ok())
            .map(|it| it.to_utc()),
        fingerprint: get(contract::TEMPLATE_FINGERPRINT_ANNOTATION).map(str::to_owned),
        ephemeral: get(contract::EPHEMERAL_METADATA_ANNOTATION).and_then(|it| serde_json::from_str(it).ok()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn a_replica_set_of_argos_is_read() {
        let stored = ReplicaSet::deserialize(json!({
            "metadata": {
                "name": "app-6b56c8cdb4", "namespace": "web", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-11-20T10:00:00Z",
                "labels": {"rollouts-pod-template-hash": "6b56c8cdb4"},
                "annotations": {
                    "rollout.argoproj.io/revision": "3",
                    "rollout.argoproj.io/revision-history": "1",
                    "rollout.argoproj.io/desired-replicas": "5",
                    "scale-down-deadline": "2026-11-20T10:00:30Z",
                },
            },
            "spec": {"replicas": 5, "minReadySeconds": 2, "template": {"spec": {}}},
            "status": {"replicas": 5, "readyReplicas": 4, "availableReplicas": 3, "conditions": [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
            ]},
        }))
        .unwrap();
        let read = replica_set(&stored, Owner::ThisRollout);
        assert_eq!(read.hash, "6b56c8cdb4");
        assert_eq!(read.annotations.revision, Some(3));
        assert_eq!(read.annotations.desired_replicas, Some(5));
        assert_eq!(read.annotations.scale_down_deadline, DateTime::from_timestamp(1_795_168_830, 0));
        assert_eq!((read.status.replicas, read.status.ready, read.status.available), (5, 4, 3));
        assert_eq!(read.status.failure.as_deref(), Some("quota"));
    }

    #[test]
    fn unreadable_annotations_count_as_absent() {
        let stored = ReplicaSet::deserialize(json!({
            "metadata": {"annotations": {"rollout.argoproj.io/revision": "x", "scale-down-deadline": "soon"}},
        }))
        .unwrap();
        let read = replica_set(&stored, Owner::Nobody);
        assert_eq!(read.annotations, ReplicaSetAnnotations::default());
        assert_eq!(read.replicas, 1);
    }

    #[test]
    fn a_mapping_stays_whole() {
        let written = json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "Mapping",
            "metadata": {"name": "m", "uid": "1", "resourceVersion": "4"},
            "spec": {"prefix": "/", "unknown": {"kept": true}},
        });
        let stored: DynamicObject = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(mapping(&stored, "r").object, written);
    }

    #[test]
    fn who_changed_a_mapping_is_told_and_is_no_part_of_it() {
        for (manager, told) in [("kubectl-edit", Some("kubectl-edit")), (FIELD_MANAGER, None)] {
            let metadata = json!({"name": "m", "managedFields": [{"manager": manager}]});
            let stored = serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap();
            let read = mapping(&stored, "r");
            assert_eq!(read.changed_by.as_deref(), told);
            assert_eq!(read.object, json!({"metadata": {"name": "m"}, "spec": {}}));
        }
    }
}
