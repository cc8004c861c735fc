//! What a Rollout names: two Rollouts that name the same Service or Mapping are rivals, and a change of a named
//! object concerns the Rollout.

use crds::{
    contract::CANARY_MAPPING_SUFFIX,
    rollout::{AnalysisTemplateRef, RolloutSpec},
};
use operator_core::{references::services::named, spec::split_objects, world::Claim};

/// Every Service and base Mapping that the spec names, without repetitions.
pub(super) fn claims(spec: &RolloutSpec) -> Vec<Claim> {
    let mut claims: Vec<Claim> = services(spec).into_iter().map(|it| Claim::Service(it.to_owned())).collect();
    claims.extend(mappings(spec).into_iter().map(Claim::Mapping));
    claims.sort();
    claims.dedup();
    claims
}

/// The names of the Services in the spec.
pub(super) fn services(spec: &RolloutSpec) -> Vec<&str> {
    named(&spec.strategy).into_iter().map(|(_, name)| name).collect()
}

/// The keys of the objects that the spec splits.
pub(super) fn mappings(spec: &RolloutSpec) -> Vec<String> {
    let routing = spec.strategy.canary.as_ref().and_then(|it| it.traffic_routing.as_ref());
    let mut keys = routing.map(split_objects).unwrap_or_default();
    keys.retain(|key| !key.is_empty());
    keys
}

/// The templates of analyses that the spec names; these may name others.
pub(super) fn templates(spec: &RolloutSpec) -> Vec<&AnalysisTemplateRef> {
    let (canary, blue_green) = (spec.strategy.canary.as_ref(), spec.strategy.blue_green.as_ref());
    let steps = canary.into_iter().flat_map(|it| &it.steps).filter_map(|step| step.analysis.as_ref());
    let beside = canary.and_then(|it| it.analysis.as_ref()).map(|it| &it.analysis);
    let promotions = blue_green
        .into_iter()
        .flat_map(|it| [&it.pre_promotion_analysis, &it.post_promotion_analysis])
        .flatten();
    steps.chain(beside).chain(promotions).flat_map(|analysis| &analysis.templates).collect()
}

/// The base Mapping's name from a canary Mapping's, unless the base's was too long to be kept whole.
pub(super) fn base_of_canary(name: &str) -> Option<&str> {
    name.strip_suffix(CANARY_MAPPING_SUFFIX)
}
