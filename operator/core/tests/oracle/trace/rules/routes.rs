//! Rules about Services, Mappings and weights.

use super::super::story::{Act, Change, Story};
use super::{drop_events, is_event};

const MAPPING_WEIGHT: &str = "CanaryMappingWeightUpdate";
const TRAFFIC_WEIGHT: &str = "TrafficWeightUpdated";

/// Argo writes the canary Mapping in each pass, and says so (reference §3.3, §3.5); Sluice when something differs.
pub(crate) fn rewritten_weights(argo: &mut Story) {
    let mut written = 0;
    for act in &mut argo.acts {
        act.changes.retain(|change| match change {
            Change::Mapped { weight, .. } => {
                written = *weight;
                true
            }
            Change::Reweighted { weight, .. } => std::mem::replace(&mut written, *weight) != *weight,
            _ => true,
        });
    }
    let mut told = mapping_weight(0);
    drop_events(argo, MAPPING_WEIGHT, |message| {
        let again = message == told;
        message.clone_into(&mut told);
        again
    });
}

/// Argo says "Traffic weight updated " with nothing after it when only a hash changed (oracle README).
pub(crate) fn unchanged_weights(argo: &mut Story) {
    drop_events(argo, TRAFFIC_WEIGHT, |message| message == "Traffic weight updated ");
}

/// While an update is aborted, Argo switches the canary Service to the canary and back in each pass (reference
/// §2.10); Sluice patches each Service once.
pub(crate) fn flapping_services(argo: &mut Story) {
    for act in &mut argo.acts {
        while let Some((there, back)) = flap(act) {
            let told = [&act.changes[there], &act.changes[back]].map(switch_event);
            for index in [back, there] {
                act.changes.remove(index);
            }
            for event in told {
                let told = act.changes.iter().rposition(|change| *change == event);
                act.changes.remove(told.expect("every switch is told"));
            }
        }
    }
}

/// Two switches in a row that undo each other.
fn flap(act: &Act) -> Option<(usize, usize)> {
    let switches =
        act.changes.iter().enumerate().filter(|(_, change)| matches!(change, Change::Switched { .. }));
    let switches: Vec<(usize, &Change)> = switches.collect();
    let undone = switches.windows(2).find(|pair| match (pair[0].1, pair[1].1) {
        (
            Change::Switched { service, from, to, .. },
            Change::Switched { service: again, from: away, to: back, .. },
        ) => service == again && from == back && to == away,
        _ => false,
    });
    undone.map(|pair| (pair[0].0, pair[1].0))
}

fn switch_event(change: &Change) -> Change {
    let Change::Switched { service, from, to, .. } = change else { panic!("not a switch: {change}") };
    Change::Event {
        reason: "SwitchService".to_owned(),
        message: format!("Switched selector for service '{service}' from '{from}' to '{to}'"),
    }
}

/// When one update supersedes another, Argo deletes the canary Mapping and creates it anew; Sluice keeps the arm with
/// weight 0, so that proxies stream its endpoints before they get requests (design §2.2).
pub(crate) fn removed_arm(argo: &mut Story) {
    for act in &mut argo.acts {
        let arms: Vec<usize> = (0..act.changes.len())
            .filter(|index| matches!(act.changes[*index], Change::Mapped { .. } | Change::Unmapped { .. }))
            .collect();
        for pair in arms.windows(2).rev() {
            if let (Change::Unmapped { .. }, Change::Mapped { mapping, weight }) =
                (&act.changes[pair[0]], &act.changes[pair[1]])
            {
                act.changes[pair[1]] = Change::Reweighted { mapping: mapping.clone(), weight: *weight };
                act.changes.remove(pair[0]);
            }
        }
    }
}

/// Sluice creates the canary Mapping with weight 0, waits until every proxy holds the arm, and raises it then (design
/// §2.2); Argo creates it with its first weight.
pub(crate) fn arm_before_weight(ours: &mut Story) {
    for act in &mut ours.acts {
        let created =
            act.changes.iter().position(|change| matches!(change, Change::Mapped { weight: 0, .. }));
        let Some(created) = created else { continue };
        let raised = act.changes.iter().skip(created).position(|it| matches!(it, Change::Reweighted { .. }));
        let Some(raised) = raised.map(|index| created + index) else { continue };
        if let Change::Reweighted { mapping, weight } = act.changes.remove(raised) {
            act.changes[created] = Change::Mapped { mapping, weight };
        }
    }
}

/// With `promoteFull` and without steps, Argo promotes before the new version gets all requests; the stable Service
/// alone moves them then. Sluice sends everything to the new version first (design §2.2).
pub(crate) fn full_weight_before_promotion(argo: &Story, ours: &mut Story) {
    for (theirs, act) in argo.acts.iter().zip(&mut ours.acts) {
        let full = |change: &Change| {
            matches!(change, Change::Mapped { weight: 100, .. } | Change::Reweighted { weight: 100, .. })
        };
        let promoted = theirs.changes.iter().any(|change| is_event(change, "RolloutCompleted"));
        if promoted && !theirs.changes.iter().any(full) {
            skip_full_weight(act);
        }
    }
}

/// Takes away the weight 100, and tells of the next change as if the one before it had stayed.
fn skip_full_weight(act: &mut Act) {
    let created = act.changes.iter().any(|change| matches!(change, Change::Mapped { weight: 100, .. }));
    let before = act.changes.iter().find_map(|change| match change {
        Change::Event { reason, message } if reason == TRAFFIC_WEIGHT => {
            message.strip_prefix("Traffic weight updated from ")?.strip_suffix(" to 100")
        }
        _ => None,
    });
    let before = before.map(str::to_owned);
    act.changes.retain_mut(|change| match change {
        Change::Mapped { weight: 100, .. } | Change::Reweighted { weight: 100, .. } => false,
        Change::Reweighted { .. } | Change::Unmapped { .. } => !created,
        Change::Event { reason, message } if reason == MAPPING_WEIGHT => {
            *message != mapping_weight(100) && !created
        }
        Change::Event { reason, message } if reason == TRAFFIC_WEIGHT => {
            if let (Some(before), true) = (&before, message.contains(" from 100 to ")) {
                *message = message.replace(" from 100 to ", &format!(" from {before} to "));
            }
            !message.ends_with(" to 100") && !message.ends_with(" from 0 to 0")
        }
        _ => true,
    });
}

fn mapping_weight(weight: i64) -> String {
    format!("Set canary mapping weight to {weight}")
}

/// Only Sluice knows what proxies serve, and has a condition for it.
pub(crate) fn verified_weights(ours: &mut Story) {
    if let Some(conditions) = ours.end["conditions"].as_object_mut() {
        conditions.remove("WeightVerified");
    }
}
