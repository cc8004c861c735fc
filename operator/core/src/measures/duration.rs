//! How long updates took, told once: when the status that says so is recorded.

use chrono::{DateTime, Utc};
use crds::rollout::status::{CompletionStatus, RolloutDuration};

/// An update that has ended. Seconds are at least 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// How it ended.
    pub status: CompletionStatus,
    /// Seconds from its start to its end.
    pub total: i64,
    /// Those of them that it waited for its user.
    pub manual_pause: i64,
}

impl Update {
    /// Seconds in which it did not wait for its user.
    #[must_use]
    pub fn progression(&self) -> i64 {
        (self.total - self.manual_pause).max(0)
    }
}

/// The update that ends when the duration `after` is recorded in place of `before`.
///
/// A status that is recorded already says nothing new, so that neither another pass nor another operator tells the same
/// end again. A template that comes before the end of an update leaves no trace of it but the start of the next one.
#[must_use]
pub fn ended(before: Option<&RolloutDuration>, after: Option<&RolloutDuration>) -> Option<Update> {
    let nothing = RolloutDuration::default();
    let (before, after) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
    if after.rollout_started_at != before.rollout_started_at
        && before.finished_at.is_none()
        && let (Some(started), Some(next)) = (before.rollout_started_at, after.rollout_started_at)
    {
        return Some(update(before, CompletionStatus::Superseded, started, next));
    }
    if after.finished_at == before.finished_at && after.rollout_started_at == before.rollout_started_at {
        return None;
    }
    Some(update(after, after.completion_status?, after.rollout_started_at?, after.finished_at?))
}

fn update(
    duration: &RolloutDuration,
    status: CompletionStatus,
    started: DateTime<Utc>,
    ended: DateTime<Utc>,
) -> Update {
    // A pause that the end cut short.
    let open = duration.manual_pause_started_at.map_or(0, |since| (ended - since).num_seconds().max(0));
    let paused = duration.total_manual_pause_duration_seconds.unwrap_or(0).max(0);
    Update {
        status,
        total: (ended - started).num_seconds().max(0),
        manual_pause: paused.saturating_add(open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(1_795_168_800 + second, 0)
    }

    fn running(started: i64) -> RolloutDuration {
        RolloutDuration { rollout_started_at: at(started), ..RolloutDuration::default() }
    }

    fn finished(started: i64, ended: i64, status: CompletionStatus) -> RolloutDuration {
        RolloutDuration {
            finished_at: at(ended),
            completion_status: Some(status),
            total_manual_pause_duration_seconds: Some(20),
            ..running(started)
        }
    }

    #[test]
    fn an_end_is_told_when_it_is_recorded_and_never_again() {
        let promoted = finished(0, 300, CompletionStatus::Promoted);
        let update = Update { status: CompletionStatus::Promoted, total: 300, manual_pause: 20 };
        assert_eq!(ended(Some(&running(0)), Some(&promoted)), Some(update));
        assert_eq!(update.progression(), 280);
        assert_eq!(ended(Some(&promoted), Some(&promoted)), None);
        // The next update begins.
        assert_eq!(ended(Some(&promoted), Some(&running(900))), None);
    }

    #[test]
    fn an_update_without_a_known_start_has_no_duration() {
        let promoted =
            RolloutDuration { rollout_started_at: None, ..finished(0, 300, CompletionStatus::Promoted) };
        assert_eq!(ended(None, Some(&promoted)), None);
        assert_eq!(ended(None, None), None);
        assert_eq!(ended(None, Some(&running(0))), None);
    }

    #[test]
    fn an_update_that_another_replaces_was_superseded_at_its_start() {
        let paused = RolloutDuration { manual_pause_started_at: at(50), ..running(0) };
        let update = Update { status: CompletionStatus::Superseded, total: 60, manual_pause: 10 };
        assert_eq!(ended(Some(&paused), Some(&running(60))), Some(update));
        // The way back ends at once; it is the update that it ends that has taken time.
        let back = finished(60, 60, CompletionStatus::FastRolledBack);
        assert_eq!(ended(Some(&paused), Some(&back)), Some(update));
    }

    #[test]
    fn a_retry_after_an_abort_is_another_update() {
        let aborted = finished(0, 90, CompletionStatus::Aborted);
        assert_eq!(ended(Some(&aborted), Some(&running(120))), None);
        let again = finished(120, 200, CompletionStatus::Promoted);
        assert_eq!(ended(Some(&running(120)), Some(&again)).map(|it| it.total), Some(80));
    }
}
