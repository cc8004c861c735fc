//! What an effect changes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::contract::{DESIRED_REPLICAS_ANNOTATION, REVISION_ANNOTATION, SCALE_DOWN_DEADLINE_ANNOTATION};
use operator_core::effect::Effect;
use serde_json::Value;

use super::simulator::cluster::Cluster;
use super::story::Change;

/// What an effect changes in the cluster as it was before the pass.
pub(crate) fn of(effect: &Effect, before: &Cluster) -> Vec<Change> {
    let weight = |manifest: &Value| manifest["spec"]["weight"].as_i64().unwrap_or_default();
    match effect {
        Effect::CreateReplicaSet { name, manifest } => {
            vec![Change::Created { set: name.clone(), manifest: manifest.clone() }]
        }
        // Which pods go when a ReplicaSet shrinks is for Argo the ReplicaSet controller's choice.
        Effect::ChangePod { .. } => Vec::new(),
        Effect::AdoptReplicaSet { .. }
        | Effect::SetEphemeralMetadata { .. }
        | Effect::EvictPod { .. }
        | Effect::ScaleWorkload { .. }
        | Effect::DeleteAnalysisRun { .. }
        | Effect::CreateExperiment { .. }
        | Effect::BeginExperiment { .. }
        | Effect::TerminateExperiment { .. }
        | Effect::DeleteExperiment { .. }
        | Effect::CreateService { .. }
        | Effect::DeleteService { .. }
        | Effect::SetRouteWeights { .. }
        | Effect::SetWorkloadGeneration { .. } => panic!("no row is about this: {effect:?}"),
        Effect::ScaleReplicaSet { target, from, to, annotations } => {
            let held = &before.replica_sets[&target.name].annotations;
            let after = |key: &str| {
                let written = annotations.get(key).cloned().unwrap_or_else(|| held.get(key).cloned());
                written.unwrap_or_default()
            };
            let mut changes = annotated(&target.name, annotations, before.now);
            changes.push(Change::Scaled {
                set: target.name.clone(),
                revision: after(REVISION_ANNOTATION),
                desired: after(DESIRED_REPLICAS_ANNOTATION),
                from: (*from).into(),
                to: (*to).into(),
            });
            changes
        }
        Effect::AnnotateReplicaSet { target, annotations } => {
            annotated(&target.name, annotations, before.now)
        }
        Effect::DeleteReplicaSet { target } => vec![Change::Deleted { set: target.name.clone() }],
        Effect::SetServiceSelector { target, from, to, managed_by } => vec![Change::Switched {
            service: target.name.clone(),
            from: from.clone().unwrap_or_default(),
            to: to.clone(),
            taken_over: managed_by.is_some(),
        }],
        Effect::CreateMapping { name, manifest } => {
            vec![Change::Mapped { mapping: name.clone(), weight: weight(manifest) }]
        }
        Effect::UpdateMapping { target, manifest } => {
            vec![Change::Reweighted { mapping: target.name.clone(), weight: weight(manifest) }]
        }
        Effect::DeleteMapping { target } => vec![Change::Unmapped { mapping: target.name.clone() }],
        Effect::CreateAnalysisRun { name, manifest } => {
            vec![Change::Analysed { run: name.clone(), manifest: manifest.clone() }]
        }
        Effect::TerminateAnalysisRun { target } => vec![Change::Ended { run: target.name.clone() }],
        Effect::SetRolloutRevision { to, .. } => vec![Change::Revision { to: to.to_string() }],
        Effect::DefaultReplicas { .. } => vec![Change::DefaultReplicas],
        Effect::Event(event) => {
            vec![Change::Event { reason: event.reason.clone(), message: event.message.clone() }]
        }
    }
}

fn annotated(set: &str, annotations: &BTreeMap<String, Option<String>>, now: DateTime<Utc>) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(Some(revision)) = annotations.get(REVISION_ANNOTATION) {
        changes.push(Change::Numbered { set: set.to_owned(), revision: revision.clone() });
    }
    if let Some(deadline) = annotations.get(SCALE_DOWN_DEADLINE_ANNOTATION) {
        let deadline: Option<DateTime<Utc>> = deadline.as_ref().map(|it| it.parse().expect("a time"));
        let seconds = deadline.map(|deadline| (deadline - now).num_seconds());
        changes.push(Change::Deadline { set: set.to_owned(), seconds });
    }
    changes
}
