//! Deletes Mappings that this Rollout made and nothing asks for any more: of base Mappings that the spec no longer
//! lists, or of a strategy that the Rollout has left.

use super::draft::Draft;
use crate::effect::{Effect, Target};
use crate::why::Why;
use crate::world::{Mapping, World};

/// Deletes every one of them: no Mapping is split.
pub(super) fn delete_all(world: &World, draft: &mut Draft) {
    for (name, mapping) in world.canary_mappings.iter().filter(|(_, mapping)| mapping.owned) {
        delete(name, mapping, draft);
    }
}

/// Deletes one.
pub(super) fn delete(name: &str, mapping: &Mapping, draft: &mut Draft) {
    draft.because(Why::RemovingMapping { mapping: name.to_owned() });
    if !mapping.deleting {
        draft.effect(Effect::DeleteMapping { target: target_of(name, mapping) });
    }
}

/// The Mapping as an effect names it.
pub(super) fn target_of(name: &str, mapping: &Mapping) -> Target {
    Target {
        name: name.to_owned(),
        uid: mapping.uid.clone(),
        resource_version: mapping.resource_version.clone(),
    }
}
