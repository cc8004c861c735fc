//! When each Rollout is looked at next: at most one worker a Rollout, the earliest wish wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use operator_core::traffic::ObjectName;
use tokio::time::Instant;

/// The first wait after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(10);
/// The longest wait after failures in a row, as Argo's.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How many passes in a row may write something before they are slowed down: more than any step of a Rollout needs.
const FREE_MOVES: u32 = 50;

/// The Rollouts that are due. Pure: time is an argument.
#[derive(Debug, Default)]
pub(super) struct Queue {
    due: BTreeMap<ObjectName, Instant>,
    order: BTreeSet<(Instant, ObjectName)>,
    busy: BTreeSet<ObjectName>,
    failures: BTreeMap<ObjectName, u32>,
    moves: BTreeMap<ObjectName, u32>,
}

impl Queue {
    /// Wishes to look at a Rollout at `at` or before.
    pub(super) fn add(&mut self, rollout: ObjectName, at: Instant) {
        if let Some(earlier) = self.due.get(&rollout) {
            if *earlier <= at {
                return;
            }
            self.order.remove(&(*earlier, rollout.clone()));
        }
        self.due.insert(rollout.clone(), at);
        self.order.insert((at, rollout));
    }

    /// The Rollout that has been due longest and that nobody works on; it is busy until [`Queue::finished`].
    pub(super) fn take(&mut self, now: Instant) -> Option<ObjectName> {
        let free = self.order.iter().find(|(_, rollout)| !self.busy.contains(rollout))?.clone();
        if free.0 > now {
            return None;
        }
        self.order.remove(&free);
        self.due.remove(&free.1);
        self.busy.insert(free.1.clone());
        Some(free.1)
    }

    /// When [`Queue::take`] has something next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.iter().find(|(_, rollout)| !self.busy.contains(rollout)).map(|(at, _)| *at)
    }

    /// The work on a Rollout has ended well, and there is nothing more to do.
    pub(super) fn finished(&mut self, rollout: &ObjectName) {
        self.busy.remove(rollout);
        self.failures.remove(rollout);
        self.moves.remove(rollout);
    }

    /// The work on a Rollout has ended well and has written something: it is due again at once. Should passes go on
    /// writing without an end, because something undoes what they write, they are slowed down as failures are.
    pub(super) fn moved(&mut self, rollout: &ObjectName, now: Instant) {
        self.busy.remove(rollout);
        self.failures.remove(rollout);
        let moves = self.moves.entry(rollout.clone()).or_default();
        *moves = moves.saturating_add(1);
        let wait = moves.checked_sub(FREE_MOVES).map_or(Duration::ZERO, wait);
        self.add(rollout.clone(), now + wait);
    }

    /// The work on a Rollout has failed; it is due again after a wait that doubles with each failure.
    pub(super) fn failed(&mut self, rollout: &ObjectName, now: Instant) {
        self.busy.remove(rollout);
        let failures = self.failures.entry(rollout.clone()).or_default();
        let wait = wait(*failures);
        *failures = failures.saturating_add(1);
        self.add(rollout.clone(), now + wait);
    }

    /// How many Rollouts are due or waiting for their time.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

/// The wait after a number of failures in a row.
fn wait(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(20)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> ObjectName {
        ObjectName::new("web", name)
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wish_wins() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(app("a"), now + Duration::from_secs(9));
        queue.add(app("a"), now + Duration::from_secs(3));
        queue.add(app("a"), now + Duration::from_secs(5));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(3)));
        assert_eq!(queue.take(now + Duration::from_secs(2)), None);
        assert_eq!(queue.take(now + Duration::from_secs(3)), Some(app("a")));
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_worker_a_rollout() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(app("a"), now);
        assert_eq!(queue.take(now), Some(app("a")));
        queue.add(app("a"), now);
        queue.add(app("b"), now + Duration::from_secs(1));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(queue.take(now), None);
        queue.finished(&app("a"));
        assert_eq!(queue.take(now), Some(app("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_and_success_forgets_them() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            queue.add(app("a"), now);
            queue.take(now).unwrap();
            queue.failed(&app("a"), now);
            waits.push(queue.next().unwrap() - now);
        }
        assert_eq!(waits[..3], [10, 20, 40].map(Duration::from_millis));
        assert_eq!(waits[11], LONGEST_RETRY);
        queue.take(now + LONGEST_RETRY).unwrap();
        queue.finished(&app("a"));
        queue.add(app("a"), now);
        queue.take(now).unwrap();
        queue.failed(&app("a"), now);
        assert_eq!(queue.next(), Some(now + FIRST_RETRY));
    }

    #[tokio::test(start_paused = true)]
    async fn passes_that_never_settle_are_slowed_down() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(app("a"), now);
        for _ in 1..FREE_MOVES {
            queue.take(now).unwrap();
            queue.moved(&app("a"), now);
            assert_eq!(queue.next(), Some(now));
        }
        for wait in [10, 20, 40] {
            let later = queue.next().unwrap();
            queue.take(later).unwrap();
            queue.moved(&app("a"), later);
            assert_eq!(queue.next(), Some(later + Duration::from_millis(wait)));
        }
    }
}
