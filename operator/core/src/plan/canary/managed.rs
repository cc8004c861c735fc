//! The managed routes of the steps: Mappings beside each base Mapping, for requests with certain headers and for
//! mirrors.
//!
//! They exist while the step that is in force says so and the canary Service selects a version with a pod; whatever
//! route Mapping of this Rollout is not wanted goes as a leftover (`mappings::delete_leftovers`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::Draft;
use super::super::fleet::{Blind, waiting};
use super::Scene;
use super::mappings;
use super::routed::Routed;
use super::verify::Confirmation;
use crate::mapping::Part;
use crate::spec::{Action, Canary, MappingRouting, beside};
use crate::weight::{Position, managed_routes};
use crate::why::Why;
use crate::world::{Mapping, World};

/// A Mapping of a managed route.
#[derive(Debug)]
pub(super) struct RouteMapping<'w> {
    /// The listed base Mapping it is a copy of.
    pub(super) base: &'w str,
    /// What of the route it is.
    pub(super) part: Part<'w>,
    /// The object, if it exists.
    pub(super) existing: Option<&'w Mapping>,
}

/// The Mappings of all managed routes that the steps ask for now, by name.
pub(super) fn wanted<'w>(
    world: &'w World,
    canary: &'w Canary,
    routing: &'w MappingRouting,
) -> BTreeMap<String, RouteMapping<'w>> {
    let status = world.rollout.status.clone().unwrap_or_default();
    let mut mappings = BTreeMap::new();
    for route in managed_routes(canary, &Position::of(&status)) {
        for base in routing.with_managed_routes() {
            for index in 0..route.conditions.len() {
                let part = Part::Route { route, index };
                let name = part.name(base);
                let existing = world.canary_mappings.get(&name);
                mappings.insert(name, RouteMapping { base, part, existing });
            }
        }
    }
    mappings
}

/// Creates and updates the route Mappings.
pub(super) fn keep(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft) {
    for (name, route) in &routed.routes {
        if mappings::put(scene, routed, (route.base, name, route.existing), route.part, draft) {
            draft.because(Why::RouteWritten);
        }
    }
}

/// Whether everybody serves the route Mappings as they are written, and none that is no longer wanted.
pub(super) fn confirmed(scene: &Scene<'_>, routed: &Routed<'_>) -> Confirmation {
    if !routed.leftover.is_empty() || routed.routes.values().any(|route| route.existing.is_none()) {
        return Confirmation::Pending(Why::RouteWritten);
    }
    let (mut sending, mut mirrors) = (BTreeSet::new(), BTreeMap::new());
    for (name, route) in &routed.routes {
        if route.is_mirror() {
            mirrors.insert(name.as_str(), route.base);
        } else {
            sending.insert(name.as_str());
        }
    }
    let mut removed = all_names(scene, routed.routing);
    removed.retain(|name| !routed.routes.contains_key(name));
    Confirmation::of(routed.ask(scene, |fold| {
        if fold.counted() == 0 {
            return Err(Why::NoProxy);
        }
        let late = |progress| Why::WaitingForWeight { progress };
        waiting(&fold.routes_served(&sending, &mirrors, &scene.hash), "the managed routes", late)?;
        waiting(&fold.serves_none(&removed), "no removed route", late)
    }))
}

/// Whether nobody sends anything to the canary Service by a managed route any more: all their Mappings are gone, and
/// no proxy serves one that the steps name.
pub(super) fn gone(scene: &Scene<'_>, routed: &Routed<'_>) -> bool {
    let remain = scene.world.canary_mappings.iter().any(|(name, mapping)| {
        mapping.owned
            && !routed.trials.contains_key(name)
            && !routed.canaries.values().any(|canary| canary.name == *name)
    });
    if remain {
        return false;
    }
    match routed.fold() {
        Ok(fold) => fold.serves_none(&all_names(scene, routed.routing)).unanimous(),
        Err(Blind::Unknown(_)) => false,
        Err(Blind::NotConfigured) => true,
    }
}

/// The names of all route Mappings that the steps may ask for.
fn all_names(scene: &Scene<'_>, routing: &MappingRouting) -> BTreeSet<String> {
    let names = beside::managed_routes(scene.canary, routing).into_keys();
    names.filter(|name| !mappings::is_foreign(scene.world, name)).collect()
}

impl RouteMapping<'_> {
    fn is_mirror(&self) -> bool {
        match self.part {
            Part::Route { route, .. } => matches!(route.action, Action::Mirror(_)),
            Part::Share(_) | Part::Trial(_) | Part::StandIn(_) => false,
        }
    }
}
