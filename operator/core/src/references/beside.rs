//! What the steps make beside the objects that are split: whether proxies serve it as it is meant.

use crate::spec::{Canary, Invalid, MappingRouting};
use crate::traffic::Traffic;
use crate::world::World;

/// Shares that a route gives by standing in for another need proxies that know of it: any other data plane takes the older
/// of two equal routes.
pub(super) fn check(world: &World, canary: &Canary, routing: &MappingRouting) -> Result<(), Invalid> {
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
