//! Where Sluice differs on purpose: general rules, each with its reason.
//!
//! A rule rewrites one of the two stories, or both alike, before they are compared. What it takes away is not compared;
//! everything else is.

mod routes;
mod updates;

use super::story::{Change, Story};

/// Applies every rule.
pub(crate) fn apply(argo: &mut Story, ours: &mut Story) {
    for story in [&mut *argo, &mut *ours] {
        updates::scaling_events(story);
        if !story.routed {
            updates::scalings_within_a_step(story);
        }
    }
    updates::manifests(ours);
    updates::runs(argo, ours);
    updates::deadlines_without_pods(argo);
    updates::first_promotion(argo);
    updates::second_abort_event(argo);
    updates::told_problems(ours);
    updates::pause_after_abort(argo, ours);
    updates::generation(ours);
    routes::rewritten_weights(argo);
    routes::unchanged_weights(argo);
    routes::flapping_services(argo);
    routes::removed_arm(argo);
    routes::arm_before_weight(ours);
    routes::full_weight_before_promotion(argo, ours);
    routes::verified_weights(ours);
}

/// Takes the event of that reason away where `gone` says so of its message.
fn drop_events(story: &mut Story, reason: &str, mut gone: impl FnMut(&str) -> bool) {
    for act in &mut story.acts {
        act.changes.retain(|change| match change {
            Change::Event { reason: held, message } if held == reason => !gone(message),
            _ => true,
        });
    }
}

fn is_event(change: &Change, wanted: &str) -> bool {
    matches!(change, Change::Event { reason, .. } if reason == wanted)
}
