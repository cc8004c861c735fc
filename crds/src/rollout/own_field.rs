//! Fields of a Rollout that Argo's definition does not have.

use super::CanaryStrategy;

/// A field of the spec that is Sluice's own. Where Argo's definition is the one that is served, the API server drops it
/// without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnField {
    /// What compares the versions.
    Guard,
    /// When a weight counts as served.
    Confirm,
    /// Routes of the Gateway API.
    GatewayApi,
}

impl OwnField {
    /// All of them, in the order of their paths.
    pub const ALL: [Self; 3] = [Self::Guard, Self::Confirm, Self::GatewayApi];

    /// Where it stands in the object.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Guard => "spec.strategy.canary.guard",
            Self::Confirm => "spec.strategy.canary.trafficRouting.confirm",
            Self::GatewayApi => "spec.strategy.canary.trafficRouting.gatewayAPI",
        }
    }

    /// Its name, the last word of [`OwnField::path`].
    #[must_use]
    pub fn name(self) -> &'static str {
        self.path().rsplit('.').next().unwrap_or_default()
    }

    /// Whether a canary has it.
    #[must_use]
    pub fn is_in(self, canary: &CanaryStrategy) -> bool {
        let routing = canary.traffic_routing.as_ref();
        match self {
            Self::Guard => canary.guard.is_some(),
            Self::Confirm => routing.is_some_and(|it| it.confirm.is_some()),
            Self::GatewayApi => routing.is_some_and(|it| it.gateway_api.is_some()),
        }
    }
}
