//! Conditions of a Rollout, with Argo's types, reasons and messages (reference §2.16).
//!
//! [`update()`] derives all of them from a status that is otherwise complete.

mod update;

use chrono::{DateTime, Utc};
use crds::rollout::{RolloutCondition, RolloutStatus};

pub use self::update::{Observed, Transition, update};

/// Types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The update moves on.
    Progressing,
    /// At least `spec.replicas` pods are available.
    Available,
    /// The newest version is the stable one.
    Completed,
    /// Completed, and every pod is available.
    Healthy,
    /// The user or a step pauses it.
    Paused,
    /// Pods cannot be created.
    ReplicaFailure,
    /// The spec cannot be acted on.
    InvalidSpec,
    /// Every proxy leads what comes for the active Service to the new version. Sluice's own.
    ActiveServiceVerified,
    /// What the guard says of the canary. Sluice's own.
    Guard,
    /// Fields that were applied are not in the object. Sluice's own.
    FieldsPruned,
}

impl Kind {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progressing => "Progressing",
            Self::Available => "Available",
            Self::Completed => "Completed",
            Self::Healthy => "Healthy",
            Self::Paused => "Paused",
            Self::ReplicaFailure => "ReplicaFailure",
            Self::InvalidSpec => "InvalidSpec",
            Self::ActiveServiceVerified => "ActiveServiceVerified",
            Self::Guard => "Guard",
            Self::FieldsPruned => "FieldsPruned",
        }
    }
}

/// Reasons of conditions; several are reasons of events too.
pub mod reason {
    /// Progressing: the update was aborted.
    pub const ABORTED: &str = "RolloutAborted";
    /// Progressing: the progress deadline passed.
    pub const TIMED_OUT: &str = "ProgressDeadlineExceeded";
    /// Progressing: all pods of the newest ReplicaSet are there.
    pub const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
    /// Progressing: the API server refuses the newest ReplicaSet.
    pub const REPLICA_SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
    /// Progressing: pods changed.
    pub const REPLICA_SET_UPDATED: &str = "ReplicaSetUpdated";
    /// Progressing and Paused.
    pub const PAUSED: &str = "RolloutPaused";
    /// Progressing: after a pause.
    pub const RESUMED: &str = "RolloutResumed";
    /// Progressing: the user retries after an abort.
    pub const RETRY: &str = "RolloutRetry";
    /// Available.
    pub const AVAILABLE: &str = "AvailableReason";
    /// Completed.
    pub const COMPLETED: &str = "RolloutCompleted";
    /// Healthy.
    pub const HEALTHY: &str = "RolloutHealthy";
    /// `InvalidSpec`.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// `ReplicaFailure`.
    pub const REPLICA_FAILURE: &str = "FailedCreate";
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Neither.
    Unknown,
}

impl Truth {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The condition of a type, if the status has one.
#[must_use]
pub fn get(status: &RolloutStatus, kind: Kind) -> Option<&RolloutCondition> {
    status.conditions.iter().find(|condition| condition.kind == kind.as_str())
}

/// Sets a condition; tells whether that changed its status or reason. An equal one stays as it is. The transition
/// time moves with the status, the update time with anything.
pub fn set(
    status: &mut RolloutStatus,
    kind: Kind,
    truth: Truth,
    reason: &str,
    message: impl Into<String>,
    now: DateTime<Utc>,
) -> bool {
    let message = message.into();
    let held = get(status, kind);
    let same_truth = held.is_some_and(|held| held.status == truth.as_str());
    let same_reason = same_truth && held.is_some_and(|held| held.reason == reason);
    if !(same_reason && held.is_some_and(|held| held.message == message)) {
        let since = held.filter(|_| same_truth).and_then(|held| held.last_transition_time);
        write(status, kind, truth, reason, message, (now, since.unwrap_or(now)));
    }
    !same_reason
}

/// Puts a condition where the one of its type is, or at the end. `since` is its transition time; its update time is `now`
/// unless it is as it was. Tells whether it says something else. For conditions that are only there at times, and whose
/// transition time is the memory of "since when".
pub(crate) fn put(
    conditions: &mut Vec<RolloutCondition>,
    said: RolloutCondition,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
    let wanted = RolloutCondition { last_update_time: Some(now), last_transition_time: Some(since), ..said };
    let Some(held) = conditions.iter_mut().find(|held| held.kind == wanted.kind) else {
        conditions.push(wanted);
        return true;
    };
    let unchanged = RolloutCondition { last_update_time: held.last_update_time, ..wanted.clone() };
    let changes = *held != unchanged;
    if changes {
        *held = wanted;
    }
    changes
}

/// Removes a condition.
pub fn remove(status: &mut RolloutStatus, kind: Kind) {
    status.conditions.retain(|condition| condition.kind != kind.as_str());
}

/// Sets a condition and its update time even if it is equal: the progress deadline counts from there.
fn stamp(
    status: &mut RolloutStatus,
    kind: Kind,
    truth: Truth,
    reason: &str,
    message: String,
    now: DateTime<Utc>,
) {
    let held = get(status, kind).filter(|held| held.status == truth.as_str());
    let since = held.and_then(|held| held.last_transition_time);
    write(status, kind, truth, reason, message, (now, since.unwrap_or(now)));
}

/// Puts a condition where the one of its type is, or at the end.
fn write(
    status: &mut RolloutStatus,
    kind: Kind,
    truth: Truth,
    reason: &str,
    message: String,
    (updated, since): (DateTime<Utc>, DateTime<Utc>),
) {
    let condition = RolloutCondition {
        kind: kind.as_str().to_owned(),
        status: truth.as_str().to_owned(),
        last_update_time: Some(updated),
        last_transition_time: Some(since),
        reason: reason.to_owned(),
        message,
    };
    match status.conditions.iter_mut().find(|held| held.kind == condition.kind) {
        Some(held) => *held = condition,
        None => status.conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn times(status: &RolloutStatus) -> [Option<DateTime<Utc>>; 2] {
        let condition = get(status, Kind::Available).unwrap();
        [condition.last_update_time, condition.last_transition_time]
    }

    #[test]
    fn the_transition_time_moves_with_the_status_alone() {
        let mut status = RolloutStatus::default();
        assert!(set(&mut status, Kind::Available, Truth::False, "a", "m", at(1)));
        assert!(!set(&mut status, Kind::Available, Truth::False, "a", "m", at(2)));
        assert_eq!(times(&status), [Some(at(1)), Some(at(1))]);
        assert!(!set(&mut status, Kind::Available, Truth::False, "a", "other", at(3)));
        assert_eq!(times(&status), [Some(at(3)), Some(at(1))]);
        assert!(set(&mut status, Kind::Available, Truth::True, "a", "other", at(4)));
        assert_eq!(times(&status), [Some(at(4)), Some(at(4))]);
    }

    #[test]
    fn a_type_has_one_condition() {
        let mut status = RolloutStatus::default();
        for truth in [Truth::True, Truth::False, Truth::Unknown] {
            set(&mut status, Kind::Paused, truth, reason::PAUSED, "m", at(1));
        }
        assert_eq!(status.conditions.len(), 1);
        remove(&mut status, Kind::Paused);
        assert!(get(&status, Kind::Paused).is_none());
    }
}
