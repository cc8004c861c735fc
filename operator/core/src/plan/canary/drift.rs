//! A weight that somebody else set: it is put right, but two writers do not race (design §4).
//!
//! A weight that was served for a while is put right at once; one that is changed again soon has to wait. The
//! condition `WeightVerified` is the memory: it tells since when the weight is served, or is known to be changed.

use chrono::TimeDelta;

use super::super::draft::Draft;
use super::Scene;
use super::routed::{Canary, Routed};
use super::verify;
use crate::key;
use crate::weight::Weight;
use crate::why::Why;
use crate::world::Mapping;

/// Somebody else changed the weight of a canary Mapping: reason of the condition and of the Warning event.
pub(super) const CHANGED: &str = "CanaryMappingChanged";

/// Between the moment at which a weight is served, or seen to be changed, and the next time it is put right.
const REST: TimeDelta = TimeDelta::seconds(10);

/// Whether the weight has to stay as somebody else has set it, for now. Warns once a change.
pub(super) fn rests(scene: &Scene<'_>, routed: &Routed<'_>, target: Weight, draft: &mut Draft) -> bool {
    let Some((canary, mapping)) = changed(scene, routed, target) else { return false };
    let name = canary.name.as_str();
    let Some(held) = verify::held(scene) else { return false };
    let has = canary
        .own_weight()
        .map_or_else(|| "no weight".to_owned(), |weight| format!("weight {}", routed.parts(weight)));
    let target = routed.parts(routed.copy_weight(target));
    let by = mapping.changed_by.as_ref().map(|manager| format!(", set by {manager}")).unwrap_or_default();
    let message = format!("canary {} has {has} instead of {target}{by}", key::show(name));
    if held.reason != CHANGED {
        draft.warning(CHANGED, message.clone());
    }
    let until = held.last_transition_time.unwrap_or_else(|| scene.start()) + REST;
    if until <= scene.now() {
        return false;
    }
    draft.wake_at(until);
    draft.because(Why::Overwritten { mapping: name.to_owned(), until });
    draft.overwritten = Some(message);
    true
}

/// The first canary Mapping with another weight than the one that was written and served. What this engine has
/// written itself and not recorded, because it was stopped in between, is the target already.
fn changed<'r>(
    scene: &Scene<'_>,
    routed: &'r Routed<'_>,
    target: Weight,
) -> Option<(&'r Canary<'r>, &'r Mapping)> {
    let recorded = scene.before.canary.weights.as_ref().filter(|it| verify::canarys(it) == target)?;
    let reason = verify::held(scene)?.reason.as_str();
    let was_served = reason == verify::SERVED && recorded.verified == Some(true);
    if !(was_served || reason == CHANGED) || routed.fold().is_err() {
        return None;
    }
    let existing: Option<Vec<_>> =
        routed.canaries.values().map(|canary| Some((canary, canary.existing?))).collect();
    existing?.into_iter().find(|(canary, _)| canary.share() != Some(target))
}
