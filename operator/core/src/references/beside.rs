//! What the steps make beside the objects that are split: whether its names are free, and proxies serve it as it is meant.

use crate::key;
use crate::spec::{Canary, Invalid, MappingRouting, beside};
use crate::traffic::Traffic;
use crate::world::World;

/// The first step that asks for what cannot be made, or would not be served. An abort asks for nothing.
pub(super) fn check(world: &World, canary: &Canary, routing: &MappingRouting) -> Result<(), Invalid> {
    if world.rollout.status.as_ref().is_some_and(|status| status.abort) {
        return Ok(());
    }
    names_are_free(world, canary, routing)?;
    shares_are_served(world, canary, routing)
}

/// What somebody else has made is left alone, whatever it is.
fn names_are_free(world: &World, canary: &Canary, routing: &MappingRouting) -> Result<(), Invalid> {
    let is_taken = |name: &str| world.canary_mappings.get(name).is_some_and(|it| !it.owned);
    let mut made = beside::managed_routes(canary, routing).into_iter().chain(beside::trials(canary, routing));
    let Some((name, index)) = made.find(|(name, _)| is_taken(name)) else { return Ok(()) };
    let why = format!(
        "{} has the name of what this step makes and does not belong to this Rollout; rename or delete it",
        key::show(&name)
    );
    Err(Invalid::value(step(index), key::parse(&name).1, why))
}

/// Shares that a route gives by standing in for another need proxies that know of it: any other data plane takes the older
/// of two equal routes.
fn shares_are_served(world: &World, canary: &Canary, routing: &MappingRouting) -> Result<(), Invalid> {
    if routing.gateway.is_none() || world.traffic != Traffic::NotConfigured {
        return Ok(());
    }
    let weighted = |(index, template): (usize, usize)| {
        let why = "pods of an Experiment get a share of an HTTPRoute or a GRPCRoute by Sluice's own proxies only, and this \
                   operator was given no traffic server (--traffic-server): remove the weight";
        Invalid::forbidden(format!("{}.experiment.templates[{template}].weight", step(index)), why)
    };
    let mut experiments = canary.experiments();
    let found = experiments.find_map(|(index, experiment)| {
        let template = experiment.templates.iter().position(|it| it.weight.is_some())?;
        Some((index, template))
    });
    found.map_or(Ok(()), |found| Err(weighted(found)))
}

fn step(index: usize) -> String {
    format!("spec.strategy.canary.steps[{index}]")
}
