//! One template: its ReplicaSet is created, scaled and released, and its status says how it stands.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use crds::contract::SCALE_DOWN_DEADLINE_ANNOTATION;
use crds::experiment::{ExperimentTemplate, TemplatePhase, TemplateStatus};
use crds::go_json::rfc3339_seconds;
use operator_core::effect::{Changes, Effect, EventKind};

use super::draft::Draft;
use super::{Scene, manifest, service};
use crate::world::ReplicaSet;

/// How long pods are waited for that still have requests: as long as a version of a Rollout where nothing else is said.
const LONGEST_DRAIN: TimeDelta = TimeDelta::minutes(5);

/// How often these are looked at. What proxies do wakes nobody.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(1);

pub(super) fn act(scene: &Scene<'_>, template: &ExperimentTemplate, draft: &mut Draft) {
    let held = scene.before.template_statuses.iter().find(|it| it.name == template.name).cloned();
    let before =
        held.unwrap_or_else(|| TemplateStatus { name: template.name.clone(), ..TemplateStatus::default() });
    let mut status = before.clone();
    let wanted = scene.wanted(template, &status);
    let set = scene.replica_set(&template.name);
    service::act(scene, template, wanted, &mut status, draft);
    match set {
        Some(set) => resize(scene, set, wanted, &mut status, draft),
        // What is over needs none.
        None if scene.terminating || is_completed(&status) => {}
        None => create(scene, template, &mut status, draft),
    }
    if count(set, &mut status) {
        status.last_transition_time = Some(scene.start());
    }
    if !is_completed(&status) {
        progress(scene, wanted, &mut status, draft);
    }
    tell(&before, &status, draft);
    draft.note_template(status);
}

/// A change of how a template stands.
pub(super) fn tell(before: &TemplateStatus, after: &TemplateStatus, draft: &mut Draft) {
    let Some(phase) = after.status.filter(|phase| Some(*phase) != before.status) else { return };
    let kind = match phase {
        TemplatePhase::Failed | TemplatePhase::Error => EventKind::Warning,
        TemplatePhase::Progressing | TemplatePhase::Running | TemplatePhase::Successful => EventKind::Normal,
    };
    let from = before.status.map_or("", TemplatePhase::as_str);
    let reason = after.message.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    let message = format!("Template '{}' transitioned from {from} -> {}{reason}", after.name, phase.as_str());
    draft.tell(kind, format!("Template{}", phase.as_str()), message);
}

/// Ends a template that cannot go on.
pub(super) fn fail(status: &mut TemplateStatus, message: String) {
    status.status = Some(TemplatePhase::Error);
    status.message = Some(message);
}

fn is_completed(status: &TemplateStatus) -> bool {
    status.status.is_some_and(TemplatePhase::is_completed)
}

/// A ReplicaSet without pods. A name that somebody else has is an error, because another name would not be found by who
/// looks for it; Argo tries the same name again for ever.
fn create(scene: &Scene<'_>, template: &ExperimentTemplate, status: &mut TemplateStatus, draft: &mut Draft) {
    let name = scene.replica_set_name(&template.name);
    if scene.world.replica_sets.iter().any(|set| set.name == name) {
        let why = format!("replicasets.apps \"{name}\" already exists");
        fail(status, format!("Failed to create ReplicaSet for template '{}': {why}", template.name));
        return;
    }
    let Some(hash) = free_hash(scene, template, status) else { return };
    let manifest = manifest::replica_set(scene, template, &name, &hash);
    draft.effect(Effect::CreateReplicaSet { name, manifest });
    status.last_transition_time = Some(scene.start());
}

/// The hash of the pod template, computed anew with a higher collision count as long as another's ReplicaSet has it:
/// what selects these pods by their hash must select no others.
fn free_hash(
    scene: &Scene<'_>,
    template: &ExperimentTemplate,
    status: &mut TemplateStatus,
) -> Option<String> {
    let taken = &scene.world.taken_hashes;
    let counts =
        (0..=i32::try_from(taken.len()).unwrap_or(i32::MAX)).map(|count| (count > 0).then_some(count));
    for count in counts {
        let hash = manifest::hash(&template.template.0, count)?;
        if !taken.contains(&hash) {
            status.collision_count = count;
            return Some(hash);
        }
    }
    None
}

/// Scales the ReplicaSet. What is not wanted any more goes once the delay is over, which begins now.
fn resize(scene: &Scene<'_>, set: &ReplicaSet, wanted: i32, status: &mut TemplateStatus, draft: &mut Draft) {
    if set.replicas == wanted {
        return;
    }
    if wanted == 0 {
        match (scene.scale_down_delay(), set.scale_down_deadline) {
            (delay, None) if delay > TimeDelta::zero() => {
                let deadline = scene.start() + delay;
                let annotations = annotation(Some(deadline));
                draft.effect(Effect::AnnotateReplicaSet { target: set.target(), annotations });
                draft.wake_at(deadline);
                return;
            }
            (delay, Some(deadline)) if delay > TimeDelta::zero() && deadline > scene.now() => {
                draft.wake_at(deadline);
                return;
            }
            _ => {}
        }
        if !scene.is_idle(set) && !drained(scene, set, draft) {
            return;
        }
    }
    // One that comes back is not to go by an old deadline; Argo leaves it.
    let comes_back = wanted > 0 && set.scale_down_deadline.is_some();
    let annotations = if comes_back { annotation(None) } else { Changes::new() };
    let (from, to) = (set.replicas, wanted);
    draft.effect(Effect::ScaleReplicaSet { target: set.target(), from, to, annotations });
    let direction = if to > from { "up" } else { "down" };
    draft
        .done("ScalingReplicaSet", format!("Scaled {direction} ReplicaSet {} from {from} to {to}", set.name));
    status.last_transition_time = Some(scene.start());
}

/// Pods that still have requests, or may get some, are waited for, but not for ever: from the end of the delay on, which is
/// noted also where there is none.
fn drained(scene: &Scene<'_>, set: &ReplicaSet, draft: &mut Draft) -> bool {
    match set.scale_down_deadline {
        Some(since) if since + LONGEST_DRAIN <= scene.now() => return true,
        Some(_) => {}
        None => {
            let annotations = annotation(Some(scene.start()));
            draft.effect(Effect::AnnotateReplicaSet { target: set.target(), annotations });
        }
    }
    draft.wake_at(scene.start() + LOOK_EVERY);
    false
}

fn annotation(deadline: Option<DateTime<Utc>>) -> Changes {
    BTreeMap::from([(SCALE_DOWN_DEADLINE_ANNOTATION.to_owned(), deadline.map(rfc3339_seconds))])
}

/// Counts the pods. True if another number came out.
fn count(set: Option<&ReplicaSet>, status: &mut TemplateStatus) -> bool {
    let counted = set.map(|set| &set.status);
    let (replicas, ready, available) = counted.map_or((0, 0, 0), |it| (it.replicas, it.ready, it.available));
    let before = (status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas);
    status.replicas = replicas;
    status.updated_replicas = replicas;
    status.ready_replicas = ready;
    status.available_replicas = available;
    before != (replicas, replicas, ready, available)
}

/// How a template stands that is not over. One that is told to end ends well, whatever its pods do; Argo first asks
/// whether they are late.
fn progress(scene: &Scene<'_>, wanted: i32, status: &mut TemplateStatus, draft: &mut Draft) {
    let complete = wanted == status.available_replicas;
    if scene.terminating || (complete && scene.time_is_over()) {
        status.status = Some(TemplatePhase::Successful);
        return;
    }
    if complete {
        status.status = Some(TemplatePhase::Running);
        if let Some(end) = scene.ends_at() {
            draft.wake_at(end);
        }
        return;
    }
    let seconds = scene.progress_deadline_seconds();
    let since = *status.last_transition_time.get_or_insert_with(|| scene.start());
    let deadline = since + TimeDelta::seconds(seconds.into());
    if deadline < scene.now() {
        status.status = Some(TemplatePhase::Failed);
        status.message =
            Some(format!("Template '{}' exceeded its progressDeadlineSeconds ({seconds})", status.name));
        return;
    }
    draft.wake_at(deadline + TimeDelta::seconds(1));
    status.status = Some(TemplatePhase::Progressing);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use operator_core::traffic::Traffic;
    use operator_core::world::Templates;
    use serde_json::json;

    use crate::plan::{Plan, plan};
    use crate::world::World;

    use super::*;

    /// What is planned for a new Experiment, and the hash of its pods.
    fn begin(taken_hashes: BTreeSet<String>) -> (Plan, String) {
        let template = json!({
            "name": "a", "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}},
        });
        let experiment = json!({"metadata": {"name": "trial"}, "spec": {"templates": [template]}});
        let planned = plan(&World {
            now: DateTime::default(),
            experiment: serde_json::from_value(experiment).unwrap(),
            replica_sets: Vec::new(),
            services: Vec::new(),
            runs: BTreeMap::new(),
            traffic: Traffic::NotConfigured,
            templates: Templates::default(),
            taken_hashes,
        });
        let [Effect::CreateReplicaSet { manifest, .. }] = planned.effects.as_slice() else {
            panic!("one ReplicaSet is created: {:?}", planned.effects)
        };
        let hash = &manifest["spec"]["selector"]["matchLabels"]["rollouts-pod-template-hash"];
        let hash = hash.as_str().unwrap().to_owned();
        (planned, hash)
    }

    #[test]
    fn pods_never_have_the_hash_of_others() {
        let (first, hash) = begin(BTreeSet::new());
        assert_eq!(first.status.template_statuses[0].collision_count, None);
        let (second, another) = begin(BTreeSet::from([hash.clone()]));
        assert_ne!(hash, another);
        assert_eq!(second.status.template_statuses[0].collision_count, Some(1));
        let (third, _) = begin(BTreeSet::from([hash, another]));
        assert_eq!(third.status.template_statuses[0].collision_count, Some(2));
    }
}
