//! The Services of a strategy: they exist, they select the pods, and no other Rollout has them.

use std::collections::BTreeMap;

use crds::contract::POD_TEMPLATE_HASH_LABEL;
use crds::rollout::{BlueGreenStrategy, CanaryStrategy, PodMetadata, PodTemplate, RolloutStrategy};

use super::holder;
use crate::spec::Invalid;
use crate::world::{Claim, Service, World};

/// What a Service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `blueGreen.activeService`.
    Active,
    /// `blueGreen.previewService`.
    Preview,
    /// `canary.stableService`.
    Stable,
    /// `canary.canaryService`.
    Canary,
    /// `canary.pingPong.pingService`.
    Ping,
    /// `canary.pingPong.pongService`.
    Pong,
}

impl Role {
    /// The path of the field that names the Service.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Active => "spec.strategy.blueGreen.activeService",
            Self::Preview => "spec.strategy.blueGreen.previewService",
            Self::Stable => "spec.strategy.canary.stableService",
            Self::Canary => "spec.strategy.canary.canaryService",
            Self::Ping => "spec.strategy.canary.pingPong.pingService",
            Self::Pong => "spec.strategy.canary.pingPong.pongService",
        }
    }

    /// What the pods behind the Service carry in addition to the labels of the template.
    fn metadata(self, strategy: &RolloutStrategy) -> Option<&PodMetadata> {
        let RolloutStrategy { canary, blue_green } = strategy;
        match self {
            Self::Active => blue_green.as_ref()?.active_metadata.as_ref(),
            Self::Preview => blue_green.as_ref()?.preview_metadata.as_ref(),
            Self::Stable => canary.as_ref()?.stable_metadata.as_ref(),
            Self::Canary => canary.as_ref()?.canary_metadata.as_ref(),
            // These two take turns, so no metadata is always there.
            Self::Ping | Self::Pong => None,
        }
    }
}

/// The Services that a strategy names, in the order in which they are checked.
#[must_use]
pub fn named(strategy: &RolloutStrategy) -> Vec<(Role, &str)> {
    let mut services = Vec::new();
    if let Some(BlueGreenStrategy { active_service, preview_service, .. }) = &strategy.blue_green {
        services.push((Role::Active, active_service.as_str()));
        services.extend(preview_service.as_deref().map(|name| (Role::Preview, name)));
    }
    if let Some(CanaryStrategy { stable_service, canary_service, ping_pong, .. }) = &strategy.canary {
        services.extend(stable_service.as_deref().map(|name| (Role::Stable, name)));
        services.extend(canary_service.as_deref().map(|name| (Role::Canary, name)));
        if let Some(names) = ping_pong {
            services.push((Role::Ping, names.ping_service.as_str()));
            services.push((Role::Pong, names.pong_service.as_str()));
        }
    }
    services.retain(|(_, name)| !name.is_empty());
    services
}

/// The Services that the Rollout names, or the first that is missing.
pub(super) fn find(world: &World) -> Result<Vec<(Role, &str, &Service)>, Invalid> {
    let find = |(role, name): (Role, &'_ str)| match world.service(name) {
        Some(service) => Ok((role, service)),
        None => Err(Invalid::value(role.field(), name, format!("service \"{name}\" not found"))),
    };
    named(&world.rollout.spec.strategy)
        .into_iter()
        .map(|named| find(named).map(|(role, service)| (role, named.1, service)))
        .collect()
}

/// Whether a Service can play its role.
pub fn check(world: &World, role: Role, name: &str, service: &Service) -> Result<(), Invalid> {
    selects(world, role, name, service)?;
    // An annotation that names a Rollout which does not claim the Service (any more) counts for nothing.
    let holder = holder(world, &Claim::Service(name.to_owned()), service.managed_by.as_deref());
    if holder == world.rollout.metadata.name.as_deref().unwrap_or_default() {
        return Ok(());
    }
    Err(Invalid::value(role.field(), name, format!("Service \"{name}\" is managed by another Rollout")))
}

fn selects(world: &World, role: Role, name: &str, service: &Service) -> Result<(), Invalid> {
    let labels = world.template().map(PodTemplate::labels).unwrap_or_default();
    check_selector(&world.rollout.spec.strategy, &labels, role, name, &service.selector)
}

/// Every label the Service selects by is on the pods (`labels` are those of their template), apart from the hash that
/// we add.
pub fn check_selector(
    strategy: &RolloutStrategy,
    labels: &BTreeMap<String, String>,
    role: Role,
    name: &str,
    selector: &BTreeMap<String, String>,
) -> Result<(), Invalid> {
    let added = role.metadata(strategy).map(|metadata| &metadata.labels);
    let carries = |labels: &BTreeMap<String, String>, key: &str, value: &str| {
        labels.get(key).is_some_and(|label| label == value)
    };
    let unmatched = selector.iter().find(|(key, value)| {
        *key != POD_TEMPLATE_HASH_LABEL
            && !carries(labels, key, value)
            && !added.is_some_and(|labels| carries(labels, key, value))
    });
    match unmatched {
        Some((key, _)) => {
            let why = format!("Service \"{name}\" has unmatch label \"{key}\" in rollout");
            Err(Invalid::value(role.field(), name, why))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_named_by_role() {
        let canary = json!({"canary": {
            "stableService": "s", "canaryService": "c", "pingPong": {"pingService": "a", "pongService": "b"},
        }});
        let strategy = serde_json::from_value(canary).unwrap();
        let expected = [(Role::Stable, "s"), (Role::Canary, "c"), (Role::Ping, "a"), (Role::Pong, "b")];
        assert_eq!(named(&strategy), expected);
        let strategy = serde_json::from_value(json!({"blueGreen": {"activeService": "a"}})).unwrap();
        assert_eq!(named(&strategy), [(Role::Active, "a")]);
    }
}
