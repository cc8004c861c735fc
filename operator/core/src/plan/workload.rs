//! `spec.workloadRef`: the pod template is another object's, whose own pods go as the Rollout's come (reference §2.13).

use std::borrow::Cow;

use crds::contract::WORKLOAD_GENERATION_ANNOTATION;
use crds::rollout::Rollout;

use super::draft::Draft;
use super::scene::Scene;
use crate::effect::{Effect, Target};
use crate::spec::ScaleDown;
use crate::world::{WorkloadKind, World, group_of};

/// The Rollout as if the template and the selector that it refers to were written in it.
///
/// The error says in Argo's words why they cannot be read.
pub(super) fn resolve(world: &World) -> Result<Cow<'_, Rollout>, String> {
    let Some(reference) = &world.rollout.spec.workload_ref else { return Ok(Cow::Borrowed(&world.rollout)) };
    if world.rollout.spec.template.as_ref().is_some_and(|template| !template.is_empty()) {
        return Err("template must be empty for workload reference rollout".to_owned());
    }
    let Some(kind) = WorkloadKind::of(reference) else {
        let (group, kind) = (group_of(reference), reference.kind.as_deref().unwrap_or_default());
        return Err(format!("workload of type {group}/{kind} is not supported"));
    };
    let Some(workload) = world.workload() else {
        let namespace = world.rollout.metadata.namespace.as_deref().unwrap_or_default();
        let name = reference.name.as_deref().unwrap_or_default();
        return Err(format!("{} \"{namespace}/{name}\" not found", kind.resource()));
    };
    ScaleDown::read(reference).map_err(|invalid| invalid.to_string())?;
    let mut rollout = world.rollout.clone();
    rollout.spec.template = Some(workload.template.clone());
    rollout.spec.selector = world.selector().cloned();
    rollout.spec.workload_ref = None;
    Ok(Cow::Owned(rollout))
}

/// Notes which generation of the workload the status is about.
pub(super) fn observe(scene: &Scene<'_>, draft: &mut Draft) {
    let generation = scene.world.workload().map(|workload| workload.generation);
    let observed = generation.map(|generation| generation.to_string());
    let annotations = scene.world.rollout.metadata.annotations.as_ref();
    if annotations.and_then(|it| it.get(WORKLOAD_GENERATION_ANNOTATION)) != observed.as_ref() {
        draft.effect(Effect::SetWorkloadGeneration { target: scene.rollout(), to: generation });
    }
    draft.status.workload_observed_generation = observed;
}

/// Takes the workload's pods away as the Rollout's come, until the first version is promoted: the last time in the
/// plan that promotes it. What is done with the workload later, also to go back to it, is the user's.
///
/// A first version that fails and is followed by a better one changes nothing; Argo then stops scaling down.
pub(super) fn scale_down(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(reference) = &scene.world.rollout.spec.workload_ref else { return };
    let (Some(workload), Ok(mode)) = (scene.world.workload(), ScaleDown::read(reference)) else { return };
    let Some(from) = workload.replicas else { return };
    if scene.before.stable_rs.is_some() {
        return;
    }
    let promoted = draft.status.stable_rs.is_some();
    let to = match mode {
        ScaleDown::OnSuccess | ScaleDown::Progressively if promoted => 0,
        ScaleDown::Progressively if !scene.spec.paused => {
            let available: i32 = scene.all().map(|set| set.status.available).sum();
            (scene.spec.replicas - available).max(0)
        }
        ScaleDown::Never | ScaleDown::OnSuccess | ScaleDown::Progressively => return,
    };
    if to == from {
        return;
    }
    let direction = if to > from { "up" } else { "down" };
    let kind = workload.kind;
    draft.normal(
        "ScalingWorkload",
        format!("Scaled {direction} {} {} from {from} to {to}", kind.kind(), workload.name),
    );
    let target = Target {
        name: workload.name.clone(),
        uid: workload.uid.clone(),
        resource_version: workload.resource_version.clone(),
    };
    draft.afterwards(Effect::ScaleWorkload { kind, target, from, to });
}
