//! The ReplicaSet of the spec's template: found, adopted or created; and the revision it is (reference §2.3).

use crds::contract::{
    DESIRED_REPLICAS_ANNOTATION, EPHEMERAL_METADATA_ANNOTATION, LAST_APPLIED_ANNOTATION, NOTIFIED_ANNOTATION,
    POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION, REVISION_HISTORY_ANNOTATION,
    TEMPLATE_FINGERPRINT_ANNOTATION,
};
use serde_json::{Map, Value, json};

use super::draft::{Draft, target_of};
use super::scene::{Scene, rollout_of};
use super::{affinity, metadata};
use crate::effect::Effect;
use crate::why::Why;
use crate::world::{Owner, ReplicaSet, World};

/// Gives autoscalers a base where `spec.replicas` is not set.
pub(super) fn default_replicas(scene: &Scene<'_>, draft: &mut Draft) {
    if scene.world.rollout.spec.replicas.is_none() {
        draft.effect(Effect::DefaultReplicas { target: scene.rollout() });
    }
}

/// The ReplicaSet of the template. `None` if there is none yet: then it is created or adopted, or its name is taken
/// and the hash has to be computed anew, and nothing else is decided before that is done.
pub(super) fn new_replica_set<'w>(scene: &Scene<'w>, draft: &mut Draft) -> Option<&'w ReplicaSet> {
    let name = format!("{}-{}", scene.spec.name, scene.hash);
    if let Some(new) = scene.new {
        if holds_another_template(scene, new) {
            return collide(&new.name, draft);
        }
        if new.annotations.fingerprint.is_none() {
            // Of Argo's ReplicaSets the template is known now, whatever hash function comes later.
            draft.annotate(new, TEMPLATE_FINGERPRINT_ANNOTATION, fingerprint(scene));
        }
        return Some(new);
    }
    match scene.world.replica_sets.iter().find(|set| set.name == name) {
        None => create(scene, name, draft),
        Some(set) if set.owner == Owner::Nobody && set.hash == scene.hash => {
            draft.because(Why::Creating { replica_set: name });
            draft.effect(Effect::AdoptReplicaSet {
                target: target_of(set),
                owner: owner_reference(scene.world),
            });
        }
        Some(_) => {
            collide(&name, draft);
        }
    }
    None
}

/// Numbers the ReplicaSet, one more than all others, and the Rollout after it. A ReplicaSet that comes back gets a new
/// number and remembers the old one. Returns the number.
pub(super) fn number(scene: &Scene<'_>, new: &ReplicaSet, draft: &mut Draft) -> i64 {
    let held = new.annotations.revision;
    let revision = next(scene).max(held.unwrap_or(0));
    if held != Some(revision) {
        draft.set_revision(new, revision);
        draft.annotate(new, REVISION_ANNOTATION, Some(revision.to_string()));
        if let Some(held) = held {
            let history = match new.annotations.revision_history.as_deref() {
                Some(earlier) if !earlier.is_empty() => format!("{earlier},{held}"),
                Some(_) | None => held.to_string(),
            };
            draft.annotate(new, REVISION_HISTORY_ANNOTATION, Some(history));
        }
    }
    number_rollout(scene, revision, draft);
    revision
}

fn number_rollout(scene: &Scene<'_>, revision: i64, draft: &mut Draft) {
    let annotations = scene.world.rollout.metadata.annotations.as_ref();
    let held = annotations.and_then(|annotations| annotations.get(REVISION_ANNOTATION)).cloned();
    if held.as_deref() == Some(revision.to_string().as_str()) {
        return;
    }
    draft.effect(Effect::SetRolloutRevision { target: scene.rollout(), from: held, to: revision });
    draft.normal("RolloutUpdated", format!("Rollout updated to revision {revision}"));
}

/// One more than every other ReplicaSet.
fn next(scene: &Scene<'_>) -> i64 {
    let others = scene.all().filter(|set| set.hash != scene.hash);
    others.filter_map(|set| set.annotations.revision).max().unwrap_or(0) + 1
}

/// The same hash for another template: a field that the hash does not see, or a real collision.
fn holds_another_template(scene: &Scene<'_>, new: &ReplicaSet) -> bool {
    let held = new.annotations.fingerprint.as_deref();
    held.is_some_and(|held| fingerprint(scene).is_some_and(|wanted| wanted != held))
}

fn collide<'w>(name: &str, draft: &mut Draft) -> Option<&'w ReplicaSet> {
    let count = draft.status.collision_count.unwrap_or(0);
    draft.status.collision_count = Some(count.saturating_add(1));
    draft.because(Why::HashCollision { replica_set: name.to_owned() });
    None
}

fn create(scene: &Scene<'_>, name: String, draft: &mut Draft) {
    let revision = next(scene);
    number_rollout(scene, revision, draft);
    draft.normal("NewReplicaSetCreated", format!("Created ReplicaSet {name} (revision {revision})"));
    draft.because(Why::Creating { replica_set: name.clone() });
    draft.effect(Effect::CreateReplicaSet { manifest: manifest(scene, &name, revision), name });
}

/// The ReplicaSet as Argo creates it: no pods yet, the hash in labels, selector and template.
fn manifest(scene: &Scene<'_>, name: &str, revision: i64) -> Value {
    let mut template = raw_template(scene.world);
    let (pod_labels, pod_annotations) = (["metadata", "labels"], ["metadata", "annotations"]);
    insert(&mut template, &pod_labels, POD_TEMPLATE_HASH_LABEL, &scene.hash);
    let labels = template.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    for (key, value) in metadata::of_new(scene).iter().flat_map(|it| &it.labels) {
        insert(&mut template, &pod_labels, key, value);
    }
    for (key, value) in metadata::of_new(scene).iter().flat_map(|it| &it.annotations) {
        insert(&mut template, &pod_annotations, key, value);
    }
    affinity::inject(scene, &mut template);
    let mut selector = serde_json::to_value(scene.spec.selector.written()).unwrap_or_else(|_| json!({}));
    insert(&mut selector, &["matchLabels"], POD_TEMPLATE_HASH_LABEL, &scene.hash);
    let mut spec = json!({"replicas": 0, "selector": selector});
    if scene.spec.min_ready_seconds > 0 {
        spec["minReadySeconds"] = json!(scene.spec.min_ready_seconds);
    }
    spec["template"] = template;
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": scene.world.rollout.metadata.namespace,
            "labels": labels,
            "annotations": annotations(scene, revision),
            "ownerReferences": [owner_reference(scene.world)],
        },
        "spec": spec,
    })
}

/// The Rollout's annotations, except those that are about the Rollout itself, and the ReplicaSet's own.
fn annotations(scene: &Scene<'_>, revision: i64) -> Map<String, Value> {
    const NOT_COPIED: [&str; 5] = [
        LAST_APPLIED_ANNOTATION,
        REVISION_ANNOTATION,
        REVISION_HISTORY_ANNOTATION,
        DESIRED_REPLICAS_ANNOTATION,
        NOTIFIED_ANNOTATION,
    ];
    let copied = scene.world.rollout.metadata.annotations.iter().flatten();
    let mut annotations: Map<String, Value> = copied
        .filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    annotations.insert(REVISION_ANNOTATION.to_owned(), json!(revision.to_string()));
    annotations.insert(DESIRED_REPLICAS_ANNOTATION.to_owned(), json!(scene.spec.replicas.to_string()));
    if let Some(applied) = metadata::of_new(scene).and_then(metadata::applied) {
        annotations.insert(EPHEMERAL_METADATA_ANNOTATION.to_owned(), json!(applied));
    }
    if let Some(fingerprint) = fingerprint(scene) {
        annotations.insert(TEMPLATE_FINGERPRINT_ANNOTATION.to_owned(), json!(fingerprint));
    }
    annotations
}

/// The controller reference to a Rollout.
pub(super) fn owner_reference(world: &World) -> Value {
    let rollout = rollout_of(world);
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": rollout.name,
        "uid": rollout.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn fingerprint(scene: &Scene<'_>) -> Option<String> {
    crate::hash::fingerprint(&raw_template(scene.world)).ok().map(|it| it.as_str().to_owned())
}

fn raw_template(world: &World) -> Value {
    world.template().cloned().unwrap_or_default().0
}

/// Puts a text at a path of objects, making those that are missing.
fn insert(value: &mut Value, path: &[&str], key: &str, text: &str) {
    let object = path.iter().fold(value, |value, key| {
        if !value[*key].is_object() {
            value[*key] = json!({});
        }
        &mut value[*key]
    });
    object[key] = json!(text);
}
