//! `spec.strategy.blueGreen`.

use crds::rollout::BlueGreenStrategy;

use super::{Checked, anti_affinity};
use crate::spec::Invalid;

pub(super) fn validate(strategy: &BlueGreenStrategy, revision_history_limit: i32) -> Checked {
    let active = &strategy.active_service;
    if strategy.preview_service.as_deref().unwrap_or_default() == active {
        let why = "This rollout uses the same service for the active and preview services, but two different \
                   services are required.";
        return Err(Invalid::value("spec.strategy.activeService", active, why));
    }
    if let Some(limit) = strategy.scale_down_delay_revision_limit.filter(|it| *it > revision_history_limit) {
        let why =
            "This rollout's revision history limit can not be smaller than the rollout's scale down limit";
        return Err(Invalid::value("spec.strategy.scaleDownDelayRevisionLimit", &limit, why));
    }
    anti_affinity::validate(strategy.anti_affinity.as_ref())
}
