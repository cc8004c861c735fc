//! The routes of a Rollout: what is written, and what is known of how it is served.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fleet::{Blind, Fleet};
use super::super::scene;
use super::Scene;
use super::managed::{self, RouteMapping};
use super::trials::{self, TrialMapping};
use crate::gateway_route::{self, Services};
use crate::key;
use crate::mapping::Trial;
use crate::replicas::Carried;
use crate::spec::{self, MappingRouting};
use crate::traffic::{Fold, Route};
use crate::weight::Weight;
use crate::world::{Mapping, ReplicaSet, Service, World};

/// The routes of a Rollout with traffic routing.
#[derive(Debug)]
pub(super) struct Routed<'w> {
    pub(super) routing: &'w MappingRouting,
    pub(super) stable_service: Option<&'w Service>,
    pub(super) canary_service: Option<&'w Service>,
    /// Listed base Mapping → its canary Mapping, if it exists.
    pub(super) canaries: BTreeMap<&'w str, Canary<'w>>,
    /// The Mappings of the managed routes that are wanted now, by name.
    pub(super) routes: BTreeMap<String, RouteMapping<'w>>,
    /// The Mappings of the Experiment that are wanted now, by name.
    pub(super) trials: BTreeMap<String, TrialMapping<'w>>,
    /// Mappings of this Rollout that are not wanted: of base Mappings that are no longer listed, of routes that no
    /// step sets, of an Experiment that is over.
    pub(super) leftover: Vec<(&'w str, &'w Mapping)>,
    pub(super) fleet: Fleet<'w>,
}

/// The canary Mapping of one base Mapping.
#[derive(Debug)]
pub(super) struct Canary<'w> {
    /// Its key.
    pub(super) name: String,
    /// The object, if it exists.
    pub(super) existing: Option<&'w Mapping>,
    /// `MappingRouting::base_is_canary`.
    has_rest: bool,
    /// The object is the base itself, and these of its backends have the weights.
    in_place: Option<Services<'w>>,
}

impl Canary<'_> {
    /// The canary's weight by it; `None` if it has none.
    pub(super) fn share(&self) -> Option<Weight> {
        let own = self.own_weight()?;
        Some(if self.has_rest { own.rest() } else { own })
    }

    /// The weight that the object has; `None` if it has none, 0 if it does not exist.
    pub(super) fn own_weight(&self) -> Option<Weight> {
        match (self.existing, self.in_place) {
            (None, _) => Some(Weight::ZERO),
            (Some(existing), None) => existing.weight(),
            (Some(existing), Some(services)) => gateway_route::share(&existing.object, services),
        }
    }

    /// The canary's weight by it; 0 if it has none.
    pub(super) fn weight(&self) -> Weight {
        match (self.existing, self.in_place) {
            (Some(existing), Some(services)) => gateway_route::largest_share(&existing.object, services),
            _ => self.share().unwrap_or_default(),
        }
    }

    /// There is something of this Rollout in the route: a copy beside the base, or a weight in the base.
    pub(super) fn exists(&self) -> bool {
        self.existing.is_some() && (self.in_place.is_none() || self.weight() > Weight::ZERO)
    }
}

impl<'w> Routed<'w> {
    pub(super) fn new(
        scene: &'w scene::Scene<'w>,
        canary: &'w spec::Canary,
        routing: &'w MappingRouting,
    ) -> Self {
        let world = scene.world;
        let canary_service = world.service(&routing.canary_service);
        // Without a pod behind the canary Service these requests would fail.
        let works = |new: &&ReplicaSet| {
            new.lasting() > 0 && canary_service.and_then(Service::hash) == Some(&new.hash)
        };
        let routes = match scene.new.filter(works) {
            Some(_) => managed::wanted(world, canary, routing),
            None => BTreeMap::new(),
        };
        let named = |base: &String| {
            let name = MappingRouting::copy_name(&scene.spec.name, base);
            let in_place = key::parse(base).0.is_split_in_place().then(|| routing.services());
            let existing =
                if in_place.is_some() { world.mapping(base) } else { world.canary_mappings.get(&name) };
            Canary { name, existing, has_rest: routing.base_is_canary(), in_place }
        };
        let canaries: BTreeMap<&str, Canary<'_>> =
            routing.names.iter().map(|base| (base.as_str(), named(base))).collect();
        let shares = canaries.iter().map(|(base, canary)| (*base, canary.weight())).collect();
        let trials = trials::wanted(scene, canary, routing, &shares);
        let listed: BTreeSet<&str> = canaries.values().map(|canary| canary.name.as_str()).collect();
        let leftover = world
            .canary_mappings
            .iter()
            .filter(|(name, mapping)| {
                let wanted = listed.contains(name.as_str()) || routes.contains_key(name.as_str());
                mapping.owned && !wanted && !trials.contains_key(name.as_str())
            })
            .map(|(name, mapping)| (name.as_str(), mapping))
            .collect();
        let existing = routes.iter().filter_map(|(name, route)| Some((name, route.existing?)));
        let trial = trials.iter().filter_map(|(name, trial)| Some((name, trial.existing?)));
        let route = route(world, routing, &canaries, existing.chain(trial));
        Self {
            routing,
            stable_service: world.service(&routing.stable_service),
            canary_service,
            canaries,
            routes,
            trials,
            leftover,
            fleet: Fleet::new(world, route, routing.confirm),
        }
    }

    /// Hash that the stable Service selects.
    pub(super) fn stable_hash(&self) -> Option<&'w str> {
        self.stable_service.and_then(Service::hash)
    }

    /// Hash that the canary Service selects.
    pub(super) fn canary_hash(&self) -> Option<&'w str> {
        self.canary_service.and_then(Service::hash)
    }

    /// The largest weight that the canary has by a Mapping.
    pub(super) fn written(&self) -> Weight {
        self.canaries.values().map(Canary::weight).max().unwrap_or_default()
    }

    /// A weight as the user writes it: in percent, or in parts of `maxTrafficWeight`.
    pub(super) fn parts(&self, weight: Weight) -> i32 {
        weight.parts(self.routing.total())
    }

    /// The canary has this weight by every listed Mapping. Weight 0 needs no canary Mapping.
    pub(super) fn all_have(&self, weight: Weight) -> bool {
        self.canaries.values().all(|canary| canary.share() == Some(weight))
    }

    /// The weight of a canary Mapping while the canary has this one.
    pub(super) fn copy_weight(&self, canary: Weight) -> Weight {
        if self.routing.base_is_canary() { canary.rest() } else { canary }
    }

    /// Some canary Mapping exists, or some route gives the canary a weight.
    pub(super) fn any_exists(&self) -> bool {
        self.canaries.values().any(Canary::exists)
    }

    /// The fold; `Err` where nobody is asked.
    pub(super) fn fold(&self) -> Result<Fold<'_>, Blind<'w>> {
        self.fleet.fold()
    }

    /// What proxies may send to each version now. `settled`: where nobody reports back, the last change has had its
    /// time.
    pub(super) fn carried(&self, scene: &Scene<'_>, settled: bool) -> Carried {
        let share = |hash: Option<&str>| match (self.fold(), hash) {
            (_, None) => Weight::ZERO,
            (Ok(fold), Some(hash)) => Weight::of_share(fold.largest_share(hash)),
            (Err(Blind::Unknown(_)), Some(_)) => Weight::FULL,
            (Err(Blind::NotConfigured), Some(hash)) => self.assumed(hash, settled),
        };
        Carried {
            canary: share(Some(&scene.hash)),
            stable: share(scene.stable.map(|stable| stable.hash.as_str())),
        }
    }

    /// What a data plane that does not report back is taken to send to a version.
    fn assumed(&self, hash: &str, settled: bool) -> Weight {
        let written = self.written();
        let by_service = |selects: bool, weight: Weight| if selects { weight } else { Weight::ZERO };
        let canary = by_service(self.canary_hash() == Some(hash), written);
        let rest = if settled { written.rest() } else { Weight::FULL };
        canary.max(by_service(self.stable_hash() == Some(hash), rest))
    }

    /// What is written, in words that change whenever a weight, a selector or a managed route does.
    pub(super) fn subject(&self) -> String {
        let routes = self.routes.iter().filter(|(_, route)| route.existing.is_some());
        let mut parts = vec![
            format!("weight {}", self.parts(self.written())),
            format!("canary Service selects {}", self.canary_hash().unwrap_or("all pods")),
            format!("stable Service selects {}", self.stable_hash().unwrap_or("all pods")),
        ];
        parts.extend(routes.map(|(name, _)| format!("route {name}")));
        let trials = self.trials.iter().filter(|(_, trial)| trial.existing.is_some());
        let weight = |name: &str, trial: &Trial<'_>| format!("weight {} by {name}", trial.weight.percent());
        parts.extend(trials.flat_map(|(name, it)| it.trials.iter().map(move |trial| weight(name, trial))));
        parts.join(", ")
    }
}

/// The object that a key stands for, by kind and name.
fn object(key: &str) -> (&'static str, String) {
    let (kind, name) = key::parse(key);
    (kind.text(), name.to_owned())
}

/// `beside`: what exists beside the base Mappings and the canary's copies of them.
fn route<'a>(
    world: &World,
    routing: &MappingRouting,
    canaries: &BTreeMap<&str, Canary<'_>>,
    beside: impl Iterator<Item = (&'a String, &'a Mapping)>,
) -> Route {
    let mut versions = BTreeMap::new();
    for name in [&routing.stable_service, &routing.canary_service] {
        if let Some(service) = world.service(name) {
            versions.insert(("Service", name.clone()), service.resource_version.clone());
        }
    }
    for base in &routing.names {
        if let Some(mapping) = world.mapping(base) {
            versions.insert(object(base), mapping.resource_version.clone());
        }
    }
    for (name, mapping) in beside {
        versions.insert(object(name), mapping.resource_version.clone());
    }
    let mut existing = BTreeSet::new();
    for canary in canaries.values() {
        if let Some(mapping) = canary.existing {
            versions.insert(object(&canary.name), mapping.resource_version.clone());
            existing.insert(canary.name.clone());
        }
    }
    Route {
        namespace: world.rollout.metadata.namespace.clone().unwrap_or_default(),
        services: [&routing.stable_service, &routing.canary_service].map(String::clone).into(),
        mappings: canaries.iter().map(|(base, canary)| ((*base).to_owned(), canary.name.clone())).collect(),
        base_is_canary: routing.base_is_canary(),
        canary_service: routing.canary_service.clone(),
        versions,
        existing,
    }
}
