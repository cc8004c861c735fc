//! The two Services, and when they may be pointed at a version.

use super::super::draft::Draft;
use super::super::services::point;
use super::Scene;
use crate::spec::BlueGreen;
use crate::world::{ReplicaSet, Service, World};

/// The Services of a blue-green Rollout.
#[derive(Debug)]
pub(super) struct Services<'w> {
    pub(super) active: Option<&'w Service>,
    pub(super) preview: Option<&'w Service>,
}

impl<'w> Services<'w> {
    pub(super) fn new(world: &'w World, blue_green: &BlueGreen) -> Self {
        Self {
            active: world.service(&blue_green.active_service),
            preview: blue_green.preview_service.as_deref().and_then(|name| world.service(name)),
        }
    }

    /// Hash that the active Service selects.
    pub(super) fn active_hash(&self) -> Option<&'w str> {
        self.active.and_then(Service::hash)
    }

    /// Hash that the preview Service selects.
    pub(super) fn preview_hash(&self) -> Option<&'w str> {
        self.preview.and_then(Service::hash)
    }
}

impl<'w> Scene<'w> {
    /// The version that the active Service selects.
    pub(super) fn active(&self) -> Option<&'w ReplicaSet> {
        self.services.active_hash().and_then(|hash| self.by_hash().get(hash).copied())
    }

    /// The active Service selects this version.
    pub(super) fn is_active(&self, set: &ReplicaSet) -> bool {
        self.services.active_hash() == Some(set.hash.as_str())
    }
}

/// Points the active Service at a version. The caller knows that it can take the requests.
pub(super) fn activate(scene: &Scene<'_>, set: &ReplicaSet, draft: &mut Draft) {
    point(scene, &scene.blue_green.active_service, set, draft);
}

/// Points the preview Service at a version, whether it has pods or not, as Argo does.
pub(super) fn preview(scene: &Scene<'_>, set: &ReplicaSet, draft: &mut Draft) {
    if let Some(name) = &scene.blue_green.preview_service {
        point(scene, name, set, draft);
    }
}

/// All pods of a version are there and available.
pub(super) fn is_full(scene: &Scene<'_>, set: &ReplicaSet) -> bool {
    set.replicas >= scene.spec.replicas && set.lasting() >= scene.spec.replicas
}

/// Whether the stable version can take the requests back. A pod or two that are not ready do not hold up the way back
/// from a version that nobody wants: as many may be missing as in a restart, and any number if the version that has
/// the requests now has no more.
pub(super) fn can_take_back(scene: &Scene<'_>, stable: &ReplicaSet) -> bool {
    let wanted = scene.spec.replicas;
    let missing = scene.blue_green.max_unavailable.rounded_down(wanted).max(1);
    let serving = scene.active().map_or(0, ReplicaSet::lasting);
    let available = stable.lasting();
    wanted == 0 || (available > 0 && available >= serving.min(wanted.saturating_sub(missing)))
}
