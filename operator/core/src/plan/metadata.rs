//! Labels and annotations that pods carry for the role they play: `canaryMetadata` and `stableMetadata`,
//! `previewMetadata` and `activeMetadata` (reference §2.19).
//!
//! First the ReplicaSet, so that pods created meanwhile have them, then every pod. The ReplicaSet's annotation
//! `rollout.argoproj.io/ephemeral-metadata` holds what may be on its pods: what is no longer wanted stays in it until
//! no pod has it any more, so that it is taken off also after a crash. Labels and annotations of others are not touched,
//! and the hash of the template stays.

use std::collections::BTreeMap;

use crds::rollout::PodMetadata;

use super::draft::{Draft, target_of};
use super::restart;
use super::scene::Scene;
use crate::effect::{Changes, Effect};
use crate::spec::Roles;
use crate::world::{Pod, ReplicaSet};

/// Brings the pods of every ReplicaSet to the metadata of its role.
pub(super) fn act(scene: &Scene<'_>, draft: &mut Draft) {
    let nothing = PodMetadata::default();
    for set in scene.all() {
        mark(scene, set, role(scene, set).unwrap_or(&nothing), draft);
    }
}

/// The metadata of the ReplicaSet of the template, if its pods play a role.
pub(super) fn of_new<'s>(scene: &'s Scene<'_>) -> Option<&'s PodMetadata> {
    let Roles { new, stable } = scene.spec.strategy.pod_metadata();
    match scene.before.stable_rs.as_deref() {
        Some(promoted) if promoted != scene.hash => new,
        Some(_) | None => stable,
    }
}

/// What the annotation says once this is applied.
pub(super) fn applied(metadata: &PodMetadata) -> Option<String> {
    if metadata.labels.is_empty() && metadata.annotations.is_empty() {
        return None;
    }
    // Maps of texts always serialise.
    serde_json::to_string(metadata).ok()
}

/// The pods of a version that is neither new nor stable play none.
fn role<'s>(scene: &'s Scene<'_>, set: &ReplicaSet) -> Option<&'s PodMetadata> {
    if scene.new.is_some_and(|new| new.uid == set.uid) {
        of_new(scene)
    } else if scene.stable.is_some_and(|stable| stable.uid == set.uid) {
        scene.spec.strategy.pod_metadata().stable
    } else {
        None
    }
}

fn mark(scene: &Scene<'_>, set: &ReplicaSet, wanted: &PodMetadata, draft: &mut Draft) {
    let nothing = PodMetadata::default();
    let held = set.annotations.ephemeral.as_ref().unwrap_or(&nothing);
    let labels = difference(&held.labels, &wanted.labels);
    let annotations = difference(&held.annotations, &wanted.annotations);
    if labels.is_empty() && annotations.is_empty() {
        return;
    }
    let pods = restart::pods_of(scene, set).into_iter().filter(|pod| !pod.deleting);
    let changes: Vec<(&Pod, Changes, Changes)> = pods
        .map(|pod| (pod, missing(&pod.labels, &labels), missing(&pod.annotations, &annotations)))
        .filter(|(_, labels, annotations)| !(labels.is_empty() && annotations.is_empty()))
        .collect();
    let template = |applied| Effect::SetEphemeralMetadata {
        target: target_of(set),
        labels: labels.clone(),
        annotations: annotations.clone(),
        applied,
    };
    let takes_off = changes
        .iter()
        .any(|(_, labels, annotations)| labels.values().chain(annotations.values()).any(Option::is_none));
    if held != wanted {
        let first = if takes_off { both(held, wanted) } else { wanted.clone() };
        draft.effect(template(applied(&first)));
    }
    for (pod, labels, annotations) in changes {
        draft.effect(Effect::ChangePod { target: restart::target_of(pod), labels, annotations });
    }
    if takes_off {
        draft.effect(template(applied(wanted)));
    }
}

/// What leads from one to the other; what stays is set too.
fn difference(held: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Changes {
    let removed = held.keys().map(|key| (key.clone(), None));
    let set = wanted.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
    removed.chain(set).collect()
}

/// What a pod does not have as it should.
fn missing(held: &BTreeMap<String, String>, wanted: &Changes) -> Changes {
    let differing = wanted.iter().filter(|(key, value)| held.get(*key) != value.as_ref());
    differing.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn both(held: &PodMetadata, wanted: &PodMetadata) -> PodMetadata {
    let mut both = held.clone();
    both.labels.extend(wanted.labels.clone());
    both.annotations.extend(wanted.annotations.clone());
    both
}
