//! The Service of a template: it selects the pods of its ReplicaSet by their hash, and goes when they have gone.

use crds::experiment::{ExperimentTemplate, TemplateStatus};
use operator_core::effect::Effect;
use serde_json::Value;

use super::draft::Draft;
use super::template::fail;
use super::{Scene, manifest};
use crate::world::ReplicaSet;

pub(super) fn act(
    scene: &Scene<'_>,
    template: &ExperimentTemplate,
    wanted: i32,
    status: &mut TemplateStatus,
    draft: &mut Draft,
) {
    let set = scene.replica_set(&template.name);
    let held = scene.service(&template.name).filter(|it| !it.deleting);
    let gone = wanted == 0 && set.is_none_or(|set| set.replicas == 0 && set.status.replicas == 0);
    match (held, &template.service) {
        (Some(held), Some(_)) if !gone => {
            status.service_name = Some(held.name.clone());
            status.pod_template_hash =
                set.map(|set| set.hash.clone()).or_else(|| status.pod_template_hash.take());
            return;
        }
        (Some(held), Some(_) | None) => draft.effect(Effect::DeleteService { target: held.target() }),
        (None, Some(service)) if wanted > 0 => {
            if let Some(set) = set {
                let name = service.name.clone().unwrap_or_else(|| set.name.clone());
                create(scene, template, set, name, status, draft);
                return;
            }
        }
        (None, Some(_) | None) => {}
    }
    status.service_name = None;
    status.pod_template_hash = None;
}

/// One with the ports of the containers; without ports there is none.
fn create(
    scene: &Scene<'_>,
    template: &ExperimentTemplate,
    set: &ReplicaSet,
    name: String,
    status: &mut TemplateStatus,
    draft: &mut Draft,
) {
    let ports = manifest::ports(&template.template.0);
    if ports.as_array().is_none_or(Vec::is_empty) {
        return;
    }
    if scene.world.services.iter().any(|it| it.name == name) {
        let why = format!(
            "service {name} already exists and is not owned by experiment template {}",
            template.name
        );
        fail(status, format!("Failed to create Service {name} for template '{}': {why}", template.name));
        return;
    }
    let manifest: Value = manifest::service(scene, &template.name, &name, &set.hash, &ports);
    draft.effect(Effect::CreateService { name: name.clone(), manifest });
    status.service_name = Some(name);
    status.pod_template_hash = Some(set.hash.clone());
}
