//! The border: a spec that is valid, with all objects it names, or a reason why nothing moves.

use chrono::SubsecRound as _;
use crds::rollout::RolloutStatus;
use serde_json::Value;

use super::draft::Draft;
use super::{status, workload};
use crate::hash::HashError;
use crate::references;
use crate::spec::{Invalid, Spec};
use crate::why::Why;
use crate::world::{Owner, ReplicaSet, World};

/// A spec that can be acted on, and its hashes.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) spec: Spec,
    /// Hash of the pod template.
    pub(super) hash: String,
    /// Hash of the steps; `None` with a strategy that has no steps.
    pub(super) step_hash: Option<String>,
}

/// Parses, validates, looks at the objects that the spec names, and hashes.
///
/// The error is the message of the condition `InvalidSpec`.
pub(super) fn spec(world: &World) -> Result<Accepted, String> {
    let name = world.rollout.metadata.name.clone().unwrap_or_default();
    let message = |invalid: Invalid| invalid.message(&name);
    let unresolved = |why: String| format!("The Rollout \"{name}\" is invalid: {why}");
    let spec = Spec::parse(&*workload::resolve(world).map_err(unresolved)?).map_err(message)?;
    references::check(world, &spec).map_err(message)?;
    let rollout = &world.rollout.spec;
    let template = world.template().cloned().unwrap_or_default().0;
    let collisions = world.rollout.status.as_ref().and_then(|status| status.collision_count);
    let unreadable =
        |field: &str, error: &HashError| Invalid::value(field, &"", error.to_string()).message(&name);
    let hash =
        template_hash(world, &template, collisions).map_err(|error| unreadable("spec.template", &error))?;
    let steps = rollout.strategy.canary.as_ref().map(|canary| crate::hash::step_hash(&canary.steps));
    let step_hash = steps.transpose().map_err(|error| unreadable("spec.strategy.canary.steps", &error))?;
    Ok(Accepted { spec, hash, step_hash: step_hash.map(|hash| hash.to_string()) })
}

/// The hash of the template, or rather of the ReplicaSet that was made of it: a change of the hash function, in Argo or
/// here, must not make a revision (reference §2.3). What was recorded goes before what is computed:
///
/// 1. a ReplicaSet that carries the template's fingerprint;
/// 2. the ReplicaSet that the status calls current, while the spec is the one that the status is about;
/// 3. a ReplicaSet with the hash as Argo computes it now, or as Argo up to 1.8 did.
fn template_hash(world: &World, template: &Value, collisions: Option<i32>) -> Result<String, HashError> {
    let own = || world.replica_sets.iter().filter(|set| set.owner == Owner::ThisRollout && !set.deleting);
    let held = |hash: &str| own().any(|set| set.hash == hash);
    let hash = crate::hash::pod_template_hash(template, collisions)?.to_string();
    let fingerprint = crate::hash::fingerprint(template)?;
    let marked = |set: &&ReplicaSet| set.annotations.fingerprint.as_deref() == Some(fingerprint.as_str());
    let same = own().filter(marked).max_by_key(|set| (set.hash == hash, set.annotations.revision));
    if let Some(set) = same {
        return Ok(set.hash.clone());
    }
    // The template of `workloadRef` changes without the spec.
    let observed = observed(world).filter(|_| world.rollout.spec.workload_ref.is_none());
    if let Some(current) = observed.and_then(|status| status.current_pod_hash.as_deref())
        && own().any(|set| set.hash == current && set.annotations.fingerprint.is_none())
    {
        return Ok(current.to_owned());
    }
    if held(&hash) {
        return Ok(hash);
    }
    let legacy = crate::hash::legacy_pod_template_hash(template, collisions)?.to_string();
    Ok(if held(&legacy) { legacy } else { hash })
}

/// The status, if it is about the spec as it is: nothing of it has changed since.
pub(super) fn observed(world: &World) -> Option<&RolloutStatus> {
    let generation = world.rollout.metadata.generation?.to_string();
    let status = world.rollout.status.as_ref()?;
    (status.observed_generation.as_deref() == Some(generation.as_str())).then_some(status)
}

/// Nothing moves; the status says why, and one Warning a message.
pub(super) fn hold(world: &World, message: &str, draft: &mut Draft) {
    status::record_invalid(world, world.now.trunc_subsecs(0), message, draft);
    draft.because(Why::InvalidSpec { message: message.to_owned() });
}
