//! When each Rollout is looked at next: at most one worker a Rollout, the earliest wish wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use operator_core::traffic::ObjectName;
use tokio::time::Instant;

use crate::telemetry::Histogram;

/// The first wait after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(10);
/// The longest wait after failures in a row, as Argo's.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How many passes in a row may write something before they are slowed down: more than any step of a Rollout needs.
const FREE_MOVES: u32 = 50;

/// Upper bounds of the queue's histograms, in seconds: those of client-go.
const SECONDS: &[f64] = &[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];

/// The Rollouts that are due. Pure: time is an argument.
#[derive(Debug)]
pub(super) struct Queue {
    due: BTreeMap<ObjectName, Instant>,
    order: BTreeSet<(Instant, ObjectName)>,
    /// Those at work, and since when.
    busy: BTreeMap<ObjectName, Instant>,
    failures: BTreeMap<ObjectName, u32>,
    moves: BTreeMap<ObjectName, u32>,
    taken: u64,
    retries: u64,
    waits: Histogram,
    works: Histogram,
}

/// How a queue does.
#[derive(Clone, Debug)]
pub(crate) struct QueueMeasure {
    /// Rollouts that are due and that nobody works on.
    pub depth: u64,
    /// How often one became due.
    pub adds: u64,
    /// How often one became due because a pass failed.
    pub retries: u64,
    /// From due to taken.
    pub waits: Histogram,
    /// From taken to the end of the work.
    pub works: Histogram,
    /// How long all that are at work have been so.
    pub unfinished: Duration,
    /// The longest of it.
    pub longest: Duration,
}

impl Default for Queue {
    /// An empty one.
    fn default() -> Self {
        Self {
            due: BTreeMap::new(),
            order: BTreeSet::new(),
            busy: BTreeMap::new(),
            failures: BTreeMap::new(),
            moves: BTreeMap::new(),
            taken: 0,
            retries: 0,
            waits: Histogram::new(SECONDS),
            works: Histogram::new(SECONDS),
        }
    }
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
        let free = self.free().next()?.clone();
        if free.0 > now {
            return None;
        }
        self.order.remove(&free);
        self.due.remove(&free.1);
        self.busy.insert(free.1.clone(), now);
        self.taken += 1;
        self.waits.observe(now.duration_since(free.0).as_secs_f64());
        Some(free.1)
    }

    /// When [`Queue::take`] has something next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.free().next().map(|(at, _)| *at)
    }

    /// The work on a Rollout has ended well, and there is nothing more to do.
    pub(super) fn finished(&mut self, rollout: &ObjectName, now: Instant) {
        self.ended(rollout, now);
        self.failures.remove(rollout);
        self.moves.remove(rollout);
    }

    /// The work on a Rollout has ended well and has written something: it is due again at once. Should passes go on
    /// writing without an end, because something undoes what they write, they are slowed down as failures are.
    pub(super) fn moved(&mut self, rollout: &ObjectName, now: Instant) {
        self.ended(rollout, now);
        self.failures.remove(rollout);
        let moves = self.moves.entry(rollout.clone()).or_default();
        *moves = moves.saturating_add(1);
        let wait = moves.checked_sub(FREE_MOVES).map_or(Duration::ZERO, wait);
        self.add(rollout.clone(), now + wait);
    }

    /// The work on a Rollout has failed; it is due again after a wait that doubles with each failure.
    pub(super) fn failed(&mut self, rollout: &ObjectName, now: Instant) {
        self.ended(rollout, now);
        self.retries += 1;
        let failures = self.failures.entry(rollout.clone()).or_default();
        let wait = wait(*failures);
        *failures = failures.saturating_add(1);
        self.add(rollout.clone(), now + wait);
    }

    /// How it does.
    pub(super) fn measure(&self, now: Instant) -> QueueMeasure {
        let due = self.free().take_while(|(at, _)| *at <= now).count() as u64;
        let busy = || self.busy.values().map(|since| now.duration_since(*since));
        QueueMeasure {
            depth: due,
            adds: self.taken + due,
            retries: self.retries,
            waits: self.waits.clone(),
            works: self.works.clone(),
            unfinished: busy().sum(),
            longest: busy().max().unwrap_or_default(),
        }
    }

    /// Those that nobody works on, the earliest first.
    fn free(&self) -> impl Iterator<Item = &(Instant, ObjectName)> {
        self.order.iter().filter(|(_, rollout)| !self.busy.contains_key(rollout))
    }

    fn ended(&mut self, rollout: &ObjectName, now: Instant) {
        if let Some(since) = self.busy.remove(rollout) {
            self.works.observe(now.duration_since(since).as_secs_f64());
        }
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
        assert_eq!(queue.next(), None);
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
        queue.finished(&app("a"), now);
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
        queue.finished(&app("a"), now);
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

    #[tokio::test(start_paused = true)]
    async fn what_is_due_waits_and_what_is_not_due_does_not() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut queue = Queue::default();
        queue.add(app("a"), now);
        queue.add(app("b"), now);
        queue.add(app("c"), now + 60 * second);
        let measure = queue.measure(now);
        assert_eq!((measure.depth, measure.adds), (2, 2));
        assert_eq!(queue.take(now + second), Some(app("a")));
        let measure = queue.measure(now + 3 * second);
        assert_eq!((measure.depth, measure.adds, measure.longest), (1, 2, 2 * second));
        queue.failed(&app("a"), now + 3 * second);
        let measure = queue.measure(now + 4 * second);
        assert_eq!((measure.depth, measure.adds, measure.retries), (2, 3, 1));
        assert_eq!(measure.unfinished, Duration::ZERO);
    }
}
