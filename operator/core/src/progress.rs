//! Whether a Rollout is healthy, completed, moving, or stuck.
//!
//! Argo's rules (`utils/conditions`, reference §2.16).

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::{Rollout, RolloutStatus};

use crate::conditions::{self, Kind, reason};
use crate::spec::{DEFAULT_PROGRESS_DEADLINE_SECONDS, DEFAULT_REPLICAS, NO_PROGRESS_DEADLINE};

/// Every pod is of the newest version and available, no other is left, and the spec that says so was seen.
#[must_use]
pub fn is_healthy(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let replicas = rollout.spec.replicas.unwrap_or(DEFAULT_REPLICAS);
    let generation = rollout.metadata.generation.unwrap_or_default().to_string();
    status.updated_replicas == replicas
        && status.available_replicas == replicas
        && status.observed_generation.as_deref() == Some(generation.as_str())
        && is_strategy_complete(rollout, status, replicas)
}

fn is_strategy_complete(rollout: &Rollout, status: &RolloutStatus, replicas: i32) -> bool {
    let strategy = &rollout.spec.strategy;
    if let Some(canary) = &strategy.canary {
        let steps_done = match status.current_step_index {
            Some(index) if !canary.steps.is_empty() => usize::try_from(index) == Ok(canary.steps.len()),
            Some(_) | None => true,
        };
        return steps_done && is_completed(status) && status.replicas == replicas;
    }
    let Some(blue_green) = &strategy.blue_green else { return true };
    let selected = |selector: &Option<String>| *selector == status.current_pod_hash;
    selected(&status.blue_green.active_selector)
        && (blue_green.preview_service.is_none() || selected(&status.blue_green.preview_selector))
}

/// The newest version is the stable one.
#[must_use]
pub fn is_completed(status: &RolloutStatus) -> bool {
    status.stable_rs.is_some() && status.stable_rs == status.current_pod_hash
}

/// Something moved between two statuses: pods of the newest version, fewer old ones, more ready or available ones, a
/// step, a promotion.
#[must_use]
pub fn has_progressed(rollout: &Rollout, before: &RolloutStatus, after: &RolloutStatus) -> bool {
    let old = |status: &RolloutStatus| i64::from(status.replicas) - i64::from(status.updated_replicas);
    let strategy = &rollout.spec.strategy;
    let canary_moved = strategy.canary.is_some()
        && (after.stable_rs != before.stable_rs
            || after.current_step_index != before.current_step_index
            || after.current_step_hash != before.current_step_hash);
    let blue_green_moved = strategy.blue_green.is_some()
        && (after.blue_green.active_selector != before.blue_green.active_selector
            || after.blue_green.preview_selector != before.blue_green.preview_selector);
    after.updated_replicas != before.updated_replicas
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
        || canary_moved
        || blue_green_moved
}

/// The progress deadline has passed, or did before. Whether it counts in the current step is the caller's to know.
#[must_use]
pub fn has_timed_out(rollout: &Rollout, status: &RolloutStatus, now: DateTime<Utc>) -> bool {
    is_told(status) || is_past(rollout, status, now)
}

/// The progress deadline passes now, and has not been told yet.
#[must_use]
pub fn deadline_passed(rollout: &Rollout, status: &RolloutStatus, now: DateTime<Utc>) -> bool {
    !is_told(status) && is_past(rollout, status, now)
}

fn is_told(status: &RolloutStatus) -> bool {
    conditions::get(status, Kind::Progressing).is_some_and(|it| it.reason == reason::TIMED_OUT)
}

fn is_past(rollout: &Rollout, status: &RolloutStatus, now: DateTime<Utc>) -> bool {
    deadline(rollout, status).is_some_and(|deadline| deadline < now)
}

/// When the progress deadline passes unless something moves: `progressDeadlineSeconds` after the last update of the
/// condition `Progressing`. `None` without a deadline, and while the Rollout is paused or aborted.
#[must_use]
pub fn deadline(rollout: &Rollout, status: &RolloutStatus) -> Option<DateTime<Utc>> {
    let seconds = rollout.spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    let condition = conditions::get(status, Kind::Progressing)?;
    let suspended = condition.reason == reason::PAUSED || condition.reason == reason::ABORTED;
    if seconds == NO_PROGRESS_DEADLINE || suspended {
        return None;
    }
    condition.last_update_time?.checked_add_signed(TimeDelta::seconds(seconds.into()))
}
