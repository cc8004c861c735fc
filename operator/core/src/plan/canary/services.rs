//! Points the Services at their versions. A Service that is right is not written.

use super::super::draft::Draft;
use super::Scene;
use super::routed::Routed;
use crate::effect::{Effect, Target};
use crate::spec::Routing;
use crate::world::{ReplicaSet, Service};

/// Points the stable Service at this ReplicaSet, as soon as it has a pod.
pub(super) fn point_stable(scene: &Scene<'_>, routed: &Routed<'_>, set: &ReplicaSet, draft: &mut Draft) {
    let wanted = scene.spec.replicas;
    if set.status.available >= wanted.min(1) && may_adopt(routed.stable_service, set, wanted) {
        point(scene, &routed.routing.stable_service, set, draft);
    }
}

/// Points the canary Service at this ReplicaSet.
pub(super) fn point_canary(scene: &Scene<'_>, routed: &Routed<'_>, set: &ReplicaSet, draft: &mut Draft) {
    point(scene, &routed.routing.canary_service, set, draft);
}

/// A Service that no Rollout has switched yet selects all pods; it is taken over only by a version that has all of
/// its pods available (reference §2.12).
pub(super) fn may_adopt(service: Option<&Service>, set: &ReplicaSet, wanted: i32) -> bool {
    service.is_some_and(|service| service.hash().is_some() || set.status.available >= wanted)
}

/// Keeps the Services of a basic canary at their versions; after an abort both select the stable one.
pub(super) fn follow(scene: &Scene<'_>, draft: &mut Draft) {
    let Routing::Replicas { stable_service, canary_service } = &scene.canary.routing else { return };
    let newest = if draft.status.abort { scene.stable } else { scene.new };
    for (name, set) in [(stable_service, scene.stable), (canary_service, newest)] {
        let (Some(name), Some(set)) = (name, set) else { continue };
        if set.status.available >= 1 && may_adopt(scene.world.service(name), set, set.replicas) {
            point(scene, name, set, draft);
        }
    }
}

/// Points both Services at the first version.
pub(super) fn point_both(scene: &Scene<'_>, set: &ReplicaSet, draft: &mut Draft) {
    let routing = &scene.canary.routing;
    for name in [routing.stable_service(), routing.canary_service()].into_iter().flatten() {
        point(scene, name, set, draft);
    }
}

fn point(scene: &Scene<'_>, name: &str, set: &ReplicaSet, draft: &mut Draft) {
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
