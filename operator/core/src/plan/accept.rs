//! The border: a spec that is valid, with all objects it names, or a reason why nothing moves.

use chrono::SubsecRound as _;
use serde_json::Value;

use super::draft::Draft;
use super::status;
use crate::hash::HashError;
use crate::references;
use crate::spec::{Invalid, Spec};
use crate::why::Why;
use crate::world::{Owner, World};

/// A spec that can be acted on, and its hashes.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) spec: Spec,
    /// Hash of the pod template.
    pub(super) hash: String,
    /// Hash of the steps.
    pub(super) step_hash: String,
}

/// Parses, validates, looks at the objects that the spec names, and hashes.
///
/// The error is the message of the condition `InvalidSpec`.
pub(super) fn spec(world: &World) -> Result<Accepted, String> {
    let name = world.rollout.metadata.name.clone().unwrap_or_default();
    let message = |invalid: Invalid| invalid.message(&name);
    let spec = Spec::parse(&world.rollout).map_err(message)?;
    references::check(world, &spec).map_err(message)?;
    let rollout = &world.rollout.spec;
    let template = rollout.template.clone().unwrap_or_default().0;
    let collisions = world.rollout.status.as_ref().and_then(|status| status.collision_count);
    let unreadable =
        |field: &str, error: &HashError| Invalid::value(field, &"", error.to_string()).message(&name);
    let hash =
        template_hash(world, &template, collisions).map_err(|error| unreadable("spec.template", &error))?;
    let steps = rollout.strategy.canary.as_ref().map(|canary| canary.steps.clone()).unwrap_or_default();
    let step_hash =
        crate::hash::step_hash(&steps).map_err(|error| unreadable("spec.strategy.canary.steps", &error))?;
    Ok(Accepted { spec, hash, step_hash: step_hash.to_string() })
}

/// The hash of the template. Where only a ReplicaSet with the hash of an older Argo exists, that one: a change of the
/// algorithm must not make a revision (reference §2.3).
fn template_hash(world: &World, template: &Value, collisions: Option<i32>) -> Result<String, HashError> {
    let held = |hash: &str| {
        world
            .replica_sets
            .iter()
            .any(|set| set.owner == Owner::ThisRollout && !set.deleting && set.hash == hash)
    };
    let hash = crate::hash::pod_template_hash(template, collisions)?.to_string();
    if held(&hash) {
        return Ok(hash);
    }
    let legacy = crate::hash::legacy_pod_template_hash(template, collisions)?.to_string();
    Ok(if held(&legacy) { legacy } else { hash })
}

/// Nothing moves; the status says why, and one Warning a message.
pub(super) fn hold(world: &World, message: &str, draft: &mut Draft) {
    status::record_invalid(world, world.now.trunc_subsecs(0), message, draft);
    draft.because(Why::InvalidSpec { message: message.to_owned() });
}
