//! Whoever has applied a field believes that it counts: the Rollout says which of them it does not have.

use chrono::SubsecRound as _;
use crds::contract::GUARD_ANNOTATION;
use crds::rollout::OwnField;

use super::draft::Draft;
use crate::conditions::{self, Kind, Truth};
use crate::spec::pruned;
use crate::world::World;

/// Reason of the condition, and of the Warning.
const REASON: &str = "FieldsPruned";

/// Keeps the condition, and warns once: also of a spec that cannot be acted on, for this may be why.
pub(super) fn tell(world: &World, draft: &mut Draft) {
    let fields = pruned(&world.rollout);
    if fields.is_empty() {
        conditions::remove(&mut draft.status, Kind::FieldsPruned);
        return;
    }
    let message = message(&fields);
    let told = conditions::get(&draft.status, Kind::FieldsPruned);
    let is_new = told.is_none_or(|told| told.message != message);
    let now = world.now.trunc_subsecs(0);
    conditions::set(&mut draft.status, Kind::FieldsPruned, Truth::True, REASON, message.as_str(), now);
    if is_new {
        draft.warning(REASON, message);
    }
}

fn message(fields: &[OwnField]) -> String {
    let paths = fields.iter().map(|it| it.path()).collect::<Vec<_>>().join(", ");
    let guard = if fields.contains(&OwnField::Guard) {
        format!("; or write the guard into the annotation {GUARD_ANNOTATION}")
    } else {
        String::new()
    };
    format!(
        "kubectl has applied {paths}, which the Rollout does not have: the API server drops what the \
         CustomResourceDefinition does not name, as that of Argo Rollouts. Install Sluice's, and apply the Rollout \
         again{guard}"
    )
}
