//! What must hold of the switch of a blue-green Rollout.

use std::collections::BTreeSet;

use operator_core::effect::Target;
use operator_core::traffic::{Served, Traffic};

use super::invariants::{Decision, Violation, only};
use super::model::{CANARY_SERVICE, Model, STABLE_SERVICE};
use super::state::{Server, State};

/// I1 for the active Service. The preview Service may select anything.
pub(crate) fn moved(
    model: &Model,
    before: &State,
    target: &Target,
    to: &str,
    decision: &Decision,
) -> Result<(), Violation> {
    let to = model.image_of(to).ok_or_else(|| Violation::unknown(to))?;
    // Pods may have died since somebody looked who looks no more.
    if target.name == CANARY_SERVICE || !decision.is_fresh(before) {
        return Ok(());
    }
    let objects = &before.objects;
    let broken = |text: String| Err(Violation::new("I1", text));
    let available = objects.available(to);
    if model.stable(objects) == Some(to) {
        let serving = objects.stable.image.map_or(0, |image| objects.available(image));
        if serving > 0 && available == 0 && objects.rollout.replicas > 0 {
            return broken(format!("requests go back to {to}, which has no pod, from {serving} pods"));
        }
        return Ok(());
    }
    if to != objects.rollout.image {
        return broken(format!("the active Service takes {to}, which nobody wants"));
    }
    if available < objects.rollout.replicas {
        let wanted = objects.rollout.replicas;
        return broken(format!("the active Service takes {to} with {available} of {wanted} pods"));
    }
    Ok(())
}

/// I4: every proxy sends what comes for the active Service to the promoted version and to no other.
pub(crate) fn promoted(model: &Model, after: &State, decision: &Decision) -> Result<(), Violation> {
    let broken = |text: &str| Err(Violation::new("I4", format!("a version is promoted {text}")));
    let Some(image) = model.stable(&after.objects) else { return broken("that nobody knows") };
    let served = if decision.is_fresh(after) {
        after.fleet.server != Server::Unreachable
            && after.fleet.contents().all(|content| only(content.stable, image))
    } else {
        was_served(&decision.world.traffic, model.hash(image))
    };
    if served { Ok(()) } else { broken("while a proxy may send to another one") }
}

/// Every proxy was known to send to this version alone.
fn was_served(traffic: &Traffic, hash: &str) -> bool {
    let Traffic::Ready(facts) = traffic else { return false };
    let hashes = |served: &Served| -> BTreeSet<String> {
        let active = served.arms.iter().filter(|arm| arm.service.name == STABLE_SERVICE);
        active.flat_map(|arm| arm.endpoints.keys().cloned()).collect()
    };
    let mut contents = facts.splits.iter().flat_map(|split| &split.views).filter_map(|it| it.served.as_ref());
    facts.proxies.iter().all(|proxy| proxy.known)
        && contents.all(|served| hashes(served).iter().all(|it| it == hash))
}
