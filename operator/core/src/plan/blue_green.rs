//! The strategy `blueGreen`: the new version runs in full beside the old one, and the active Service moves once.
//!
//! Requests to the active Service never meet a version that is not complete, and the old version stays complete until
//! every proxy has left it (design §2.2).
//!
//! | file | idea |
//! |---|---|
//! | `stage` | first deploy, update, abort, rest |
//! | `update` | preview, pause, check point, switch, commit |
//! | `verify` | whether the switch is served |
//! | `services` | when a Service may be pointed at a version |
//! | `replica_sets` | sizes, and how versions go |

mod replica_sets;
mod services;
mod stage;
mod update;
mod verify;

use std::collections::BTreeSet;
use std::ops::Deref;

use crds::rollout::status::BlueGreenStatus;

use self::services::Services;
use super::canary;
use super::draft::Draft;
use super::fleet::Fleet;
use super::leftovers;
use super::scene;
use crate::conditions::{self, Kind};
use crate::spec::BlueGreen;
use crate::traffic::Route;
use crate::world::{ReplicaSet, Service};

/// What a decision about blue-green reads.
#[derive(Debug)]
pub(super) struct Scene<'w> {
    common: &'w scene::Scene<'w>,
    blue_green: &'w BlueGreen,
    services: Services<'w>,
    fleet: Fleet<'w>,
}

impl<'w> Scene<'w> {
    pub(super) fn new(common: &'w scene::Scene<'w>, blue_green: &'w BlueGreen) -> Self {
        let services = Services::new(common.world, blue_green);
        let fleet = Fleet::new(common.world, route(common, blue_green), blue_green.confirm);
        Self { common, blue_green, services, fleet }
    }
}

impl<'w> Deref for Scene<'w> {
    type Target = scene::Scene<'w>;

    fn deref(&self) -> &Self::Target {
        self.common
    }
}

/// Moves Services and pods.
pub(super) fn act(scene: &Scene<'_>, new: &ReplicaSet, revision: i64, draft: &mut Draft) {
    // Canary Mappings of a time when the strategy was another one.
    leftovers::delete_all(scene.world, draft);
    if !scene.is_active(new) {
        verify::forget_unserved(draft);
    }
    stage::act(scene, new, revision, draft);
}

/// Forgets what was recorded: the strategy is another one now.
pub(super) fn forget(draft: &mut Draft) {
    draft.status.blue_green = BlueGreenStatus::default();
    conditions::remove(&mut draft.status, Kind::ActiveServiceVerified);
}

/// Records what the Services select once the plan is carried out.
pub(super) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let selected = |service: Option<&Service>, name: &str, draft: &Draft| {
        draft.switched(name).or_else(|| service.and_then(Service::hash)).map(str::to_owned)
    };
    let (active, preview) = (&scene.blue_green.active_service, scene.blue_green.preview_service.as_deref());
    let active = selected(scene.services.active, active, draft);
    let preview = preview.and_then(|name| selected(scene.services.preview, name, draft));
    draft.status.blue_green.active_selector = active;
    draft.status.blue_green.preview_selector = preview;
    canary::forget(draft);
}

fn route(scene: &scene::Scene<'_>, blue_green: &BlueGreen) -> Route {
    let services: BTreeSet<String> =
        blue_green.preview_service.iter().chain([&blue_green.active_service]).cloned().collect();
    let version = |name: &String| {
        let service = scene.world.service(name)?;
        Some((("Service", name.clone()), service.resource_version.clone()))
    };
    Route {
        namespace: scene.world.rollout.metadata.namespace.clone().unwrap_or_default(),
        versions: services.iter().filter_map(version).collect(),
        services,
        ..Route::default()
    }
}
