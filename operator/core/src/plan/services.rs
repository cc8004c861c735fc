//! Points a Service at one version. A Service that is right is not written.

use super::draft::Draft;
use super::scene::Scene;
use crate::effect::{Effect, Target};
use crate::world::{ReplicaSet, Service};

/// Points the Service of that name at this ReplicaSet.
pub(super) fn point(scene: &Scene<'_>, name: &str, set: &ReplicaSet, draft: &mut Draft) {
    let Some(service) = scene.world.service(name) else { return };
    if service.hash() == Some(set.hash.as_str()) {
        return;
    }
    let from = service.hash().map(str::to_owned);
    draft.normal(
        "SwitchService",
        format!(
            "Switched selector for service '{name}' from '{}' to '{}'",
            from.as_deref().unwrap_or_default(),
            set.hash
        ),
    );
    draft.effect(Effect::SetServiceSelector {
        target: Target {
            name: name.to_owned(),
            uid: service.uid.clone(),
            resource_version: service.resource_version.clone(),
        },
        from,
        to: set.hash.clone(),
        managed_by: (service.managed_by.as_deref() != Some(scene.spec.name.as_str()))
            .then(|| scene.spec.name.clone()),
    });
}

/// A Service that no Rollout has switched yet selects all pods; it is taken over only by a version that has all of
/// its pods available (reference §2.12).
pub(super) fn may_adopt(service: Option<&Service>, set: &ReplicaSet, wanted: i32) -> bool {
    service.is_some_and(|service| service.hash().is_some() || set.lasting() >= wanted)
}
