//! Points the Services at their versions. A Service that is right is not written.

use super::super::draft::Draft;
use super::super::services::{may_adopt, point};
use super::Scene;
use super::routed::Routed;
use crate::spec::Routing;
use crate::world::ReplicaSet;

/// Points the stable Service at this ReplicaSet, as soon as it has a pod.
pub(super) fn point_stable(scene: &Scene<'_>, routed: &Routed<'_>, set: &ReplicaSet, draft: &mut Draft) {
    let wanted = scene.spec.replicas;
    if set.lasting() >= wanted.min(1) && may_adopt(routed.stable_service, set, wanted) {
        point(scene, &routed.routing.stable_service, set, draft);
    }
}

/// Points the canary Service at this ReplicaSet.
pub(super) fn point_canary(scene: &Scene<'_>, routed: &Routed<'_>, set: &ReplicaSet, draft: &mut Draft) {
    point(scene, &routed.routing.canary_service, set, draft);
}

/// Keeps the Services of a basic canary at their versions; after an abort both select the stable one.
pub(super) fn follow(scene: &Scene<'_>, draft: &mut Draft) {
    let Routing::Replicas { stable_service, canary_service } = &scene.canary.routing else { return };
    let newest = if draft.status.abort { scene.stable } else { scene.new };
    for (name, set) in [(stable_service, scene.stable), (canary_service, newest)] {
        let (Some(name), Some(set)) = (name, set) else { continue };
        if set.lasting() >= 1 && may_adopt(scene.world.service(name), set, set.replicas) {
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
