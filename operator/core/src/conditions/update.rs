//! All conditions of a status, from the rest of it.

use chrono::{DateTime, Utc};
use crds::rollout::{Rollout, RolloutStatus};

use super::{Kind, Truth, get, reason, remove, set, stamp};
use crate::progress;
use crate::spec::{Spec, Step};

/// What conditions depend on besides the status.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The Rollout, with the status that was recorded last.
    pub rollout: &'a Rollout,
    /// Its spec.
    pub spec: &'a Spec,
    /// Name of the newest ReplicaSet; `None` before it exists.
    pub replica_set: Option<&'a str>,
    /// Revision of the newest ReplicaSet.
    pub revision: i64,
    /// Why the update was aborted, if there is more to say than that it was.
    pub abort_reason: Option<&'a str>,
    /// Why pods cannot be created.
    pub failure: Option<&'a str>,
    /// The progress deadline does not count now: old versions are being released, which takes the time it takes (a
    /// scale-down delay, requests that end). One that passes meanwhile starts anew, so that what comes afterwards has
    /// time as well.
    pub waiting: bool,
    /// Where requests go, at least `spec.replicas` pods are available.
    pub available: bool,
    /// Now, in whole seconds.
    pub now: DateTime<Utc>,
}

/// What an update of conditions brought that users are told by an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The newest version is no longer the stable one: an update began.
    NotCompleted,
    /// The update was aborted.
    Aborted {
        /// Message of the condition and the event.
        message: String,
    },
    /// The progress deadline passed; with `progressDeadlineAbort` the update has to be aborted.
    TimedOut {
        /// Message of the condition and the event.
        message: String,
    },
}

/// Derives every condition from a status that is otherwise complete: counts, hashes, step index, pauses, abort,
/// observed generation. A valid spec is taken for granted, so `InvalidSpec` goes.
pub fn update(observed: &Observed<'_>, status: &mut RolloutStatus) -> Vec<Transition> {
    let nothing = RolloutStatus::default();
    let before = observed.rollout.status.as_ref().unwrap_or(&nothing);
    let paused = observed.spec.paused || !status.pause_conditions.is_empty();
    let mut transitions = Vec::new();
    remove(status, Kind::InvalidSpec);
    pauses(observed, before, paused, status);
    health(observed, paused, status, &mut transitions);
    if status.abort {
        aborted(observed, status, &mut transitions);
    } else {
        progressing(observed, before, paused, status, &mut transitions);
    }
    available(observed, status);
    match observed.failure {
        Some(message) => {
            set(status, Kind::ReplicaFailure, Truth::True, reason::REPLICA_FAILURE, message, observed.now);
        }
        None => remove(status, Kind::ReplicaFailure),
    }
    transitions
}

/// `Paused`, and `Progressing` where a pause begins or ends or an abort is taken back: the deadline starts anew then.
fn pauses(observed: &Observed<'_>, before: &RolloutStatus, paused: bool, status: &mut RolloutStatus) {
    let now = observed.now;
    let progressing = |status: &mut RolloutStatus, reason: &str, message: &str| {
        stamp(status, Kind::Progressing, Truth::Unknown, reason, message.to_owned(), now);
    };
    let held = get(before, Kind::Progressing).map(|condition| condition.reason.as_str());
    if held == Some(reason::ABORTED) {
        if !status.abort {
            progressing(status, reason::RETRY, "Retrying Rollout after abort");
        }
        return;
    }
    match (paused, held == Some(reason::PAUSED)) {
        // There is no deadline to stop, and `progressing` would take it back in every pass.
        (true, false) if progress::is_healthy(observed.rollout, status) => {}
        (true, false) => progressing(status, reason::PAUSED, "Rollout is paused"),
        (false, true) => progressing(status, reason::RESUMED, "Rollout is resumed"),
        (true, true) | (false, false) => {}
    }
    if paused || get(status, Kind::Paused).is_some() {
        let truth = if paused { Truth::True } else { Truth::False };
        set(status, Kind::Paused, truth, reason::PAUSED, "Rollout is paused", now);
    }
}

fn health(
    observed: &Observed<'_>,
    paused: bool,
    status: &mut RolloutStatus,
    transitions: &mut Vec<Transition>,
) {
    let now = observed.now;
    if !paused && progress::is_healthy(observed.rollout, status) {
        set(status, Kind::Healthy, Truth::True, reason::HEALTHY, "Rollout is healthy", now);
    } else if get(status, Kind::Healthy).is_some() {
        set(status, Kind::Healthy, Truth::False, reason::HEALTHY, "Rollout is not healthy", now);
    }
    let completed = progress::is_completed(status);
    let truth = if completed { Truth::True } else { Truth::False };
    let changed = set(status, Kind::Completed, truth, reason::COMPLETED, reason::COMPLETED, now);
    if changed && !completed {
        transitions.push(Transition::NotCompleted);
    }
}

fn aborted(observed: &Observed<'_>, status: &mut RolloutStatus, transitions: &mut Vec<Transition>) {
    if get(status, Kind::Progressing).is_some_and(|held| held.reason == reason::ABORTED) {
        return;
    }
    let mut message = format!("Rollout aborted update to revision {}", observed.revision);
    if let Some(why) = observed.abort_reason {
        message = format!("{message}: {why}");
    }
    set(status, Kind::Progressing, Truth::False, reason::ABORTED, message.clone(), observed.now);
    transitions.push(Transition::Aborted { message });
}

fn progressing(
    observed: &Observed<'_>,
    before: &RolloutStatus,
    paused: bool,
    status: &mut RolloutStatus,
    transitions: &mut Vec<Transition>,
) {
    let (rollout, now) = (observed.rollout, observed.now);
    let subject = match observed.replica_set {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Rollout \"{}\"", observed.spec.name),
    };
    let at_rest = status.replicas == status.available_replicas
        && get(status, Kind::Progressing).is_some_and(|held| {
            held.reason == reason::NEW_REPLICA_SET_AVAILABLE && held.status != Truth::False.as_str()
        });
    if at_rest && progress::is_completed(status) {
        return;
    }
    let started =
        before.current_pod_hash != status.current_pod_hash || get(status, Kind::Progressing).is_none();
    if progress::is_healthy(rollout, status) {
        let message = format!("{subject} has successfully progressed.");
        set(status, Kind::Progressing, Truth::True, reason::NEW_REPLICA_SET_AVAILABLE, message, now);
    } else if paused {
        // The reason stays RolloutPaused, and the deadline does not count.
    } else if started
        || progress::has_progressed(rollout, before, status)
        || observed.waiting && progress::deadline_passed(rollout, status, now)
    {
        let message = format!("{subject} is progressing.");
        stamp(status, Kind::Progressing, Truth::True, reason::REPLICA_SET_UPDATED, message, now);
    } else if deadline_counts(observed, status) && progress::has_timed_out(rollout, status, now) {
        let message = format!("{subject} has timed out progressing.");
        if set(status, Kind::Progressing, Truth::False, reason::TIMED_OUT, message.clone(), now) {
            transitions.push(Transition::TimedOut { message });
        }
    }
}

/// Steps that wait for somebody have no deadline.
fn deadline_counts(observed: &Observed<'_>, status: &RolloutStatus) -> bool {
    let index = status.current_step_index.and_then(|index| usize::try_from(index).ok());
    let step = index.and_then(|index| observed.spec.steps().get(index));
    // A step that the guard holds is done.
    let step = step.filter(|_| status.canary.guard.as_ref().is_none_or(|it| it.held_since.is_none()));
    !observed.waiting && !matches!(step, Some(Step::Pause(_) | Step::Analysis(_) | Step::Experiment(_)))
}

fn available(observed: &Observed<'_>, status: &mut RolloutStatus) {
    let (truth, message) = if observed.available {
        (Truth::True, "Rollout has minimum availability")
    } else {
        (Truth::False, "Rollout does not have minimum availability")
    };
    set(status, Kind::Available, truth, reason::AVAILABLE, message, observed.now);
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use crds::rollout::{PauseCondition, PauseReason};
    use serde_json::json;

    use super::*;

    /// A Rollout of 2 pods with the steps `setWeight: 50`, `pause: {}`, in the middle of an update.
    struct Story {
        rollout: Rollout,
        spec: Spec,
        waiting: bool,
        now: DateTime<Utc>,
    }

    impl Story {
        fn new() -> Self {
            let rollout: Rollout = serde_json::from_value(json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "metadata": {"name": "shop", "generation": 4},
                "spec": {
                    "replicas": 2,
                    "progressDeadlineSeconds": 60,
                    "selector": {"matchLabels": {"app": "shop"}},
                    "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "shop:1"}]},
                },
                    "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
                },
                "status": {
                    "currentPodHash": "new",
                    "stableRS": "old",
                    "currentStepIndex": 0,
                    "observedGeneration": "4",
                    "replicas": 2,
                    "availableReplicas": 2,
                },
            }))
            .unwrap();
            let spec = Spec::parse(&rollout).unwrap();
            Self { rollout, spec, waiting: false, now: DateTime::from_timestamp(1_000_000_000, 0).unwrap() }
        }

        /// Changes the status, derives the conditions and records both.
        fn then(&mut self, after: i64, change: impl FnOnce(&mut RolloutStatus)) -> Vec<Transition> {
            self.now += TimeDelta::seconds(after);
            let mut status = self.rollout.status.clone().unwrap();
            change(&mut status);
            let observed = Observed {
                rollout: &self.rollout,
                spec: &self.spec,
                replica_set: Some("shop-new"),
                revision: 7,
                abort_reason: None,
                failure: None,
                waiting: self.waiting,
                available: status.available_replicas >= 2,
                now: self.now,
            };
            let transitions = update(&observed, &mut status);
            self.rollout.status = Some(status);
            transitions
        }

        fn shows(&self, kind: Kind) -> String {
            let status = self.rollout.status.as_ref().unwrap();
            get(status, kind).map_or_else(
                || "none".to_owned(),
                |it| format!("{} {}: {}", it.status, it.reason, it.message),
            )
        }
    }

    fn pause(status: &mut RolloutStatus) {
        let start_time = DateTime::from_timestamp(1_000_000_000, 0).unwrap();
        status.pause_conditions = vec![PauseCondition { reason: PauseReason::CanaryPauseStep, start_time }];
    }

    #[test]
    fn an_update_begins_moves_and_ends() {
        let mut story = Story::new();
        assert_eq!(story.then(0, |_| {}), [Transition::NotCompleted]);
        assert_eq!(
            story.shows(Kind::Progressing),
            "True ReplicaSetUpdated: ReplicaSet \"shop-new\" is progressing."
        );
        assert_eq!(story.shows(Kind::Available), "True AvailableReason: Rollout has minimum availability");
        assert_eq!(story.shows(Kind::Healthy), "none");
        story.then(5, |status| {
            (status.stable_rs, status.current_step_index) = (Some("new".to_owned()), Some(2));
            status.updated_replicas = 2;
        });
        assert_eq!(story.shows(Kind::Healthy), "True RolloutHealthy: Rollout is healthy");
        assert_eq!(story.shows(Kind::Completed), "True RolloutCompleted: RolloutCompleted");
        let done = "True NewReplicaSetAvailable: ReplicaSet \"shop-new\" has successfully progressed.";
        assert_eq!(story.shows(Kind::Progressing), done);
        let recorded = story.rollout.status.clone();
        assert_eq!(story.then(1000, |_| {}), []);
        assert_eq!(story.rollout.status, recorded);
    }

    #[test]
    fn a_healthy_rollout_that_is_paused_is_recorded_once() {
        let mut story = Story::new();
        story.then(0, |status| {
            (status.stable_rs, status.current_step_index) = (Some("new".to_owned()), Some(2));
            status.updated_replicas = 2;
        });
        story.rollout.spec.paused = true;
        story.spec.paused = true;
        story.then(10, |_| {});
        assert_eq!(story.shows(Kind::Paused), "True RolloutPaused: Rollout is paused");
        let recorded = story.rollout.status.clone();
        assert_eq!(story.then(1, |_| {}), []);
        assert_eq!(story.rollout.status, recorded);
    }

    #[test]
    fn without_progress_the_deadline_passes_once() {
        let mut story = Story::new();
        story.then(0, |_| {});
        assert_eq!(story.then(60, |_| {}), []);
        let message = "ReplicaSet \"shop-new\" has timed out progressing.".to_owned();
        assert_eq!(story.then(1, |_| {}), [Transition::TimedOut { message }]);
        assert_eq!(story.then(1, |_| {}), []);
        story.then(1, |status| status.updated_replicas = 1);
        assert_eq!(
            story.shows(Kind::Progressing),
            "True ReplicaSetUpdated: ReplicaSet \"shop-new\" is progressing."
        );
    }

    #[test]
    fn a_deadline_that_passes_while_an_old_version_is_released_starts_anew() {
        let mut story = Story::new();
        story.then(0, |_| {});
        story.waiting = true;
        assert_eq!(story.then(61, |_| {}), []);
        story.waiting = false;
        assert_eq!(story.then(60, |_| {}), []);
        assert_eq!(story.then(1, |_| {}).len(), 1);
        story.waiting = true;
        story.then(1, |_| {});
        let told = "False ProgressDeadlineExceeded: ReplicaSet \"shop-new\" has timed out progressing.";
        assert_eq!(story.shows(Kind::Progressing), told);
    }

    #[test]
    fn a_pause_stops_the_deadline_and_its_end_starts_it_anew() {
        let mut story = Story::new();
        story.then(0, |_| {});
        story.then(10, pause);
        assert_eq!(story.shows(Kind::Paused), "True RolloutPaused: Rollout is paused");
        assert_eq!(story.shows(Kind::Progressing), "Unknown RolloutPaused: Rollout is paused");
        assert_eq!(story.then(1000, |_| {}), []);
        story.then(1, |status| status.pause_conditions.clear());
        assert_eq!(story.shows(Kind::Progressing), "Unknown RolloutResumed: Rollout is resumed");
        assert_eq!(story.shows(Kind::Paused), "False RolloutPaused: Rollout is paused");
        assert_eq!(story.then(60, |_| {}), []);
        assert_eq!(story.then(1, |_| {}).len(), 1);
    }

    #[test]
    fn an_abort_stays_until_it_is_retried() {
        let mut story = Story::new();
        story.then(0, |_| {});
        let message = "Rollout aborted update to revision 7".to_owned();
        assert_eq!(story.then(1, |status| status.abort = true), [Transition::Aborted { message }]);
        assert_eq!(story.then(1000, |_| {}), []);
        story.then(1, |status| status.abort = false);
        assert_eq!(story.shows(Kind::Progressing), "Unknown RolloutRetry: Retrying Rollout after abort");
    }

    #[test]
    fn a_new_update_has_its_own_deadline() {
        let mut story = Story::new();
        story.then(0, |status| {
            (status.stable_rs, status.current_step_index) = (Some("new".to_owned()), Some(2));
            status.updated_replicas = 2;
        });
        assert_eq!(
            story.then(1000, |status| status.current_pod_hash = Some("next".to_owned())),
            [Transition::NotCompleted]
        );
        assert_eq!(
            story.shows(Kind::Progressing),
            "True ReplicaSetUpdated: ReplicaSet \"shop-new\" is progressing."
        );
        assert_eq!(story.shows(Kind::Healthy), "False RolloutHealthy: Rollout is not healthy");
    }
}
