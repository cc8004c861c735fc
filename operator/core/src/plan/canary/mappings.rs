//! Creates, updates and deletes the canary Mappings. One that is right is not written.
//!
//! Weights here are the canary's. Where `pingPong` has made the base Mapping the canary's, its copy has the rest, and
//! exists for as long as that lasts.

use serde_json::Value;

use super::super::draft::Draft;
use super::super::leftovers::{self, target_of};
use super::Scene;
use super::routed::{Canary, Routed};
use crate::effect::{Effect, LabelChange};
use crate::gateway_route;
use crate::ingress;
use crate::key;
use crate::mapping::{self, Part};
use crate::weight::Weight;
use crate::world::{Mapping, World};

/// Reason of the event that tells a written weight; Argo's.
const WEIGHT_UPDATE: &str = "CanaryMappingWeightUpdate";
/// Reasons of the events about canary Ingresses; Argo's.
const INGRESS_CREATE: &str = "CreatingCanaryIngress";
const INGRESS_UPDATE: &str = "PatchingCanaryIngress";
/// Reason of the event about routes of the Gateway API; Argo's plugin records none.
const ROUTE_UPDATE: &str = "RouteWeightUpdate";

/// Creates the canary Mappings that are missing, with weight 0.
pub(super) fn create(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft) {
    for (base, canary) in &routed.canaries {
        let (None, Some(base)) = (canary.existing, scene.world.mapping(base)) else { continue };
        let part = Part::Share(routed.copy_weight(Weight::ZERO));
        if let Some(manifest) = wanted(scene, routed, base, None, part) {
            if let Some(name) = ingress::name_of(&canary.name) {
                draft.normal(INGRESS_CREATE, format!("Creating canary ingress `{name}` with weight `0`"));
            }
            draft.effect(Effect::CreateMapping { name: canary.name.clone(), manifest });
        }
    }
}

/// Raises every canary Mapping that has less to this weight.
pub(super) fn raise(scene: &Scene<'_>, routed: &Routed<'_>, to: Weight, draft: &mut Draft) {
    write(scene, routed, draft, |held| held.max(to));
    tell(routed, to, draft);
}

/// Lowers every canary Mapping that has more to this weight.
pub(super) fn lower(scene: &Scene<'_>, routed: &Routed<'_>, to: Weight, draft: &mut Draft) {
    write(scene, routed, draft, |held| held.min(to));
    tell(routed, to, draft);
}

fn tell(routed: &Routed<'_>, weight: Weight, draft: &mut Draft) {
    let to = routed.parts(weight);
    if routed.routing.ingress.is_some() {
        for name in routed.canaries.values().filter_map(|canary| ingress::name_of(&canary.name)) {
            draft.normal(INGRESS_UPDATE, format!("Updating Ingress `{name}` to desiredWeight '{to}'"));
        }
        return;
    }
    if routed.routing.gateway.is_some() {
        for name in routed.canaries.keys() {
            draft.normal(ROUTE_UPDATE, format!("Set canary weight of {} to {to}", key::show(name)));
        }
        return;
    }
    let weight = routed.copy_weight(weight).percent();
    draft.normal(WEIGHT_UPDATE, format!("Set canary mapping weight to {weight}"));
}

/// Copies what changed in the base Mappings, weights as they are.
pub(super) fn sync(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft) {
    write(scene, routed, draft, |held| held);
}

/// Deletes the canary Mappings.
pub(super) fn delete_all(routed: &Routed<'_>, draft: &mut Draft) {
    let copies = routed.canaries.iter().filter(|(base, canary)| **base != canary.name);
    for (_, Canary { name, existing, .. }) in copies {
        if let Some(mapping) = existing {
            leftovers::delete(name, mapping, draft);
        }
    }
}

/// Deletes what this Rollout made and no longer wants: canary Mappings of base Mappings that the spec does not list any
/// more, and Mappings of managed routes that no step sets.
pub(super) fn delete_leftovers(scene: &Scene<'_>, draft: &mut Draft) {
    let Some(routed) = &scene.routed else { return leftovers::delete_all(scene.world, draft) };
    for (name, mapping) in &routed.leftover {
        leftovers::delete(name, mapping, draft);
    }
}

fn write(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft, weight: impl Fn(Weight) -> Weight) {
    for (base, canary) in &routed.canaries {
        let weight = weight(canary.weight());
        if key::parse(base).0.is_split_in_place() {
            split(scene, routed, base, weight, draft);
        } else if canary.existing.is_some() || routed.routing.base_is_canary() {
            let part = Part::Share(routed.copy_weight(weight));
            put(scene, routed, (base, &canary.name, canary.existing), part, draft);
        }
    }
}

/// Writes the weights of a route of the Gateway API into it.
fn split(scene: &Scene<'_>, routed: &Routed<'_>, base: &str, weight: Weight, draft: &mut Draft) {
    let Some(route) = scene.world.mapping(base).filter(|route| !route.deleting) else { return };
    let weights = gateway_route::changes(&route.object, routed.routing.services(), weight);
    let label = routed.routing.gateway.as_ref().and_then(|gateway| {
        let (key, value) = gateway.in_progress.as_ref()?;
        let wanted = (weight > Weight::ZERO).then_some(value);
        let from = route.object["metadata"]["labels"][key].as_str();
        let label = LabelChange { key: key.clone(), from: from.map(str::to_owned), to: wanted.cloned() };
        (from != wanted.map(String::as_str)).then_some(label)
    });
    if !weights.is_empty() || label.is_some() {
        let labelled = route.object["metadata"]["labels"].is_object();
        draft.effect(Effect::SetRouteWeights { target: target_of(base, route), weights, label, labelled });
    }
}

/// Creates a copy of a base Mapping, or makes it what it should be: (the base's name, the copy's, the copy if it
/// exists). True if there is something to write.
pub(super) fn put(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    (base, name, existing): (&str, &str, Option<&Mapping>),
    part: Part<'_>,
    draft: &mut Draft,
) -> bool {
    let manifest = scene.world.mapping(base).and_then(|base| wanted(scene, routed, base, existing, part));
    let Some(manifest) = manifest else { return false };
    match existing {
        None => draft.effect(Effect::CreateMapping { name: name.to_owned(), manifest }),
        Some(existing) if existing.object == manifest => return false,
        Some(existing) if existing.deleting => {}
        // Somebody else's, whom the user has been told of; but for the canary Mapping of Argo, which is taken over.
        Some(existing) if !existing.owned && !matches!(part, Part::Share(_)) => {}
        Some(existing) => {
            draft.effect(Effect::UpdateMapping { target: target_of(name, existing), manifest });
        }
    }
    true
}

/// Whether somebody else has an object of this name, which says nothing of what the Rollout made.
pub(super) fn is_foreign(world: &World, name: &str) -> bool {
    world.canary_mappings.get(name).is_some_and(|mapping| !mapping.owned)
}

/// The object to write; `None` if the base does not send to its Service, which is an invalid spec.
fn wanted(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    base: &Mapping,
    existing: Option<&Mapping>,
    part: Part<'_>,
) -> Option<Value> {
    let rollout = scene.rollout();
    let canary = mapping::Canary {
        rollout: &rollout.name,
        uid: &rollout.uid,
        namespace: scene.world.rollout.metadata.namespace.as_deref().unwrap_or_default(),
        base_service: routed.routing.base_service(),
        copy_service: match part {
            Part::Share(_) => routed.routing.copy_service(),
            Part::Route { .. } | Part::StandIn(_) => &routed.routing.canary_service,
            Part::Trial(trial) => trial.service,
        },
        part,
    };
    let existing = existing.map(|existing| &existing.object);
    let name = base.object["metadata"]["name"].as_str().unwrap_or_default();
    match (&routed.routing.ingress, &routed.routing.gateway) {
        (Some(annotations), _) => {
            let key = ingress::canary_key(&rollout.name, name);
            ingress::wanted(&base.object, existing, &canary, ingress::name_of(&key)?, annotations)
        }
        (None, Some(_)) => gateway_route::wanted(&base.object, existing, &canary, &part.name(name)),
        (None, None) => mapping::wanted(&base.object, existing, &canary),
    }
}
