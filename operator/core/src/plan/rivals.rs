//! Other Rollouts that name our Services or Mappings: they are refused, and we are told, too.

use std::collections::BTreeSet;

use crds::rollout::RolloutCondition;

use super::draft::Draft;
use super::scene::Scene;
use crate::conditions::put;
use crate::key;
use crate::world::Claim;

/// Type of the condition. Only there while another Rollout names something of ours.
const CONDITION: &str = "Contested";
/// Its reason, and that of the Warning event.
const REASON: &str = "NamedTwice";

/// Keeps the condition, and warns once a change.
pub(super) fn record(scene: &Scene<'_>, draft: &mut Draft) {
    let conditions = &mut draft.status.conditions;
    let Some(message) = message(scene) else {
        conditions.retain(|condition| condition.kind != CONDITION);
        return;
    };
    let held = conditions.iter().find(|condition| condition.kind == CONDITION);
    let since = held.and_then(|held| held.last_transition_time).unwrap_or_else(|| scene.stamp());
    let said = RolloutCondition {
        kind: CONDITION.to_owned(),
        status: "True".to_owned(),
        reason: REASON.to_owned(),
        message: message.clone(),
        ..RolloutCondition::default()
    };
    if put(conditions, said, since, scene.stamp()) {
        draft.warning(REASON, message);
    }
}

fn message(scene: &Scene<'_>) -> Option<String> {
    let named: BTreeSet<String> = scene
        .world
        .rivals
        .iter()
        .map(|rival| {
            let object = match &rival.claim {
                Claim::Service(name) => format!("Service \"{name}\""),
                Claim::Mapping(key) => {
                    let (kind, name) = key::parse(key);
                    format!("{} \"{name}\"", kind.text())
                }
            };
            format!("{object} by Rollout \"{}\"", rival.rollout)
        })
        .collect();
    let named = named.into_iter().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| format!("also named elsewhere, and refused there: {named}"))
}
