//! `spec.strategy.canary`.

use crds::rollout::CanaryStrategy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Checked, anti_affinity, routers, steps};
use crate::spec::{Amount, Invalid};

pub(super) fn validate(canary: &CanaryStrategy) -> Checked {
    surge(canary)?;
    let stable = canary.stable_service.as_deref().unwrap_or_default();
    if !stable.is_empty() && canary.canary_service.as_deref() == Some(stable) {
        let why = "This rollout uses the same service for the stable and canary services, but two different services \
                   are required.";
        return Err(Invalid::value("spec.strategy.stableService", stable, why));
    }
    routers::validate(canary)?;
    for (index, step) in canary.steps.iter().enumerate() {
        steps::validate(canary, index, step)?;
    }
    anti_affinity::validate(canary.anti_affinity.as_ref())
}

fn surge(canary: &CanaryStrategy) -> Checked {
    let is_zero = |written: Option<&IntOrString>| match written.map_or(Some(Amount::DEFAULT), Amount::parse) {
        None | Some(Amount::Pods(0) | Amount::Percent(0)) => true,
        Some(Amount::Pods(_) | Amount::Percent(_)) => false,
    };
    let surge = canary.max_surge.as_ref();
    if is_zero(surge) && is_zero(canary.max_unavailable.as_ref()) {
        let why = "MaxSurge and MaxUnavailable both can not be zero";
        return Err(Invalid::value("spec.strategy.maxSurge", &surge, why));
    }
    Ok(())
}
