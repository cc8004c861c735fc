//! Counts by the second in which requests began, for those who compare versions.
//!
//! By the second in which they end, a version that hangs looks idle. So a request belongs to the second in which its first
//! try began, and what comes of it is added to that second however late it comes, up to [`KEPT`] seconds later.
//!
//! The seconds lie in a ring of places. Only the one thread that also reads them makes a place ready for another second,
//! some seconds ahead; who counts looks whether the place is that of its second, and otherwise does not count. The ring is
//! made when the first request comes: of thousands of routes that are compared most have none.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use proxy_config::model::Share;

use crate::{
    counters::FirstTry,
    latency::{BUCKETS, bucket_of},
};

/// How long a second is added to, in seconds.
pub const KEPT: i64 = 36;

/// How many seconds beside the present one are ready: its thread may come late by so many.
const AHEAD: i64 = 3;

/// No second.
const NEVER: i64 = i64::MIN;

/// Every second that is kept has a place of its own.
const PLACES: i64 = KEPT + AHEAD + 1;

/// The requests of one arm to one version. It takes no room until the first comes.
#[derive(Debug)]
pub struct Cohorts {
    /// The second that was made ready last.
    present: AtomicI64,
    places: OnceLock<Box<[Place]>>,
}

/// What is known of one second.
#[derive(Debug, Default)]
struct Place {
    second: AtomicI64,
    requests: AtomicU32,
    bad: AtomicU32,
    shares: AtomicU64,
    ended: Buckets,
    /// Grows with every change, after it.
    changes: AtomicU32,
}

#[derive(Debug)]
struct Buckets([AtomicU32; BUCKETS]);

/// The requests of one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// When their first tries began, in Unix time.
    pub second: i64,
    /// How many they are, without those that their clients gave up.
    pub requests: u32,
    /// Those whose first try was [`FirstTry::Bad`].
    pub bad: u32,
    /// The sum, over all of them, of the share that the arm had when they were drawn, in 1/10 000.
    pub shares: u64,
    /// Those whose first try has ended, by the bucket of their latency.
    pub ended: [u32; BUCKETS],
    /// Another number than before if something has changed.
    pub changes: u32,
}

impl Default for Buckets {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl Default for Cohorts {
    fn default() -> Self {
        Self { present: AtomicI64::new(NEVER), places: OnceLock::new() }
    }
}

impl Cohorts {
    /// Makes the present second and the next ones ready to be counted in. For one thread alone.
    pub fn make_ready(&self, now: i64) {
        // A ring that is being made meanwhile may be that of the second before, whose places reach as far as this is late.
        self.present.store(now, Ordering::Relaxed);
        if let Some(places) = self.places.get() {
            make_ready(places, now);
        }
    }

    /// A first try begins, of a request that was drawn while the arm had this share.
    pub fn begin(&self, second: i64, share: Share) {
        let places = self.places.get_or_init(|| ring(self.present.load(Ordering::Relaxed)));
        if let Some(place) = place(places, second) {
            place.requests.fetch_add(1, Ordering::Relaxed);
            place.shares.fetch_add(share.parts().into(), Ordering::Relaxed);
            place.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// A first try that began in that second has ended.
    pub fn end(&self, second: i64, outcome: FirstTry, latency: Duration) {
        if let Some(place) = self.places.get().and_then(|it| place(it, second)) {
            place.ended.0[bucket_of(latency)].fetch_add(1, Ordering::Relaxed);
            match outcome {
                FirstTry::Good => {}
                FirstTry::Bad => drop(place.bad.fetch_add(1, Ordering::Relaxed)),
            }
            place.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// The client of a request gave it up before its first try ended: it counts for nothing.
    pub fn withdraw(&self, second: i64, share: Share) {
        if let Some(place) = self.places.get().and_then(|it| place(it, second)) {
            place.requests.fetch_sub(1, Ordering::Relaxed);
            place.shares.fetch_sub(share.parts().into(), Ordering::Relaxed);
            place.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// The seconds in which requests began, in no order.
    pub fn counted(&self) -> impl Iterator<Item = Cohort> {
        let places = self.places.get().into_iter().flatten();
        places.filter(|it| it.changes.load(Ordering::Relaxed) > 0).map(Place::read)
    }
}

/// A new ring, ready for the present second and the next ones; for none if there is no present yet.
fn ring(present: i64) -> Box<[Place]> {
    let place = |_| Place { second: AtomicI64::new(NEVER), ..Place::default() };
    let places: Box<[Place]> = (0..PLACES).map(place).collect();
    if present != NEVER {
        // The request that it is made for may have read the clock before the second changed.
        make_ready(&places, present.saturating_sub(1));
        make_ready(&places, present);
    }
    places
}

fn make_ready(places: &[Place], now: i64) {
    for second in now..=now.saturating_add(AHEAD) {
        let place = &places[index(second)];
        if place.second.load(Ordering::Relaxed) != second {
            place.begin(second);
        }
    }
}

/// The place of a second, if it is ready for it.
fn place(places: &[Place], second: i64) -> Option<&Place> {
    let place = &places[index(second)];
    (place.second.load(Ordering::Relaxed) == second).then_some(place)
}

impl Place {
    fn begin(&self, second: i64) {
        let Self { second: own, requests, bad, shares, ended, changes } = self;
        // Nobody counts here meanwhile: the second before was long ago.
        own.store(NEVER, Ordering::Relaxed);
        ended.0.iter().chain([requests, bad, changes]).for_each(|it| it.store(0, Ordering::Relaxed));
        shares.store(0, Ordering::Relaxed);
        own.store(second, Ordering::Release);
    }

    fn read(&self) -> Cohort {
        // First: a change that comes meanwhile is told the next time.
        let changes = self.changes.load(Ordering::Acquire);
        Cohort {
            second: self.second.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
            shares: self.shares.load(Ordering::Relaxed),
            ended: self.ended.0.each_ref().map(|it| it.load(Ordering::Relaxed)),
            changes,
        }
    }
}

fn index(second: i64) -> usize {
    usize::try_from(second.rem_euclid(PLACES)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: u32 = 500;

    fn share() -> Share {
        Share::of_10000(SHARE).unwrap()
    }

    fn counted(cohorts: &Cohorts) -> Vec<(i64, u32, u32, u64, u32)> {
        let mut all: Vec<_> = cohorts
            .counted()
            .map(|it| (it.second, it.requests, it.bad, it.shares, it.ended.iter().sum()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn what_comes_of_a_request_belongs_to_the_second_in_which_it_began() {
        let cohorts = Cohorts::default();
        cohorts.make_ready(100);
        cohorts.begin(100, share());
        cohorts.begin(100, share());
        cohorts.begin(101, share());
        assert_eq!(counted(&cohorts), [(100, 2, 0, 1_000, 0), (101, 1, 0, 500, 0)]);
        cohorts.make_ready(130);
        cohorts.end(100, FirstTry::Bad, Duration::from_secs(30));
        cohorts.withdraw(100, share());
        assert_eq!(counted(&cohorts), [(100, 1, 1, 500, 1), (101, 1, 0, 500, 0)]);
    }

    #[test]
    fn a_second_is_kept_for_its_time_and_makes_room_for_another() {
        let cohorts = Cohorts::default();
        cohorts.make_ready(100);
        cohorts.begin(100, share());
        cohorts.make_ready(100 + KEPT);
        cohorts.end(100, FirstTry::Good, Duration::ZERO);
        assert_eq!(counted(&cohorts), [(100, 1, 0, 500, 1)]);
        cohorts.make_ready(101 + KEPT);
        cohorts.end(100, FirstTry::Good, Duration::ZERO);
        assert_eq!(counted(&cohorts), []);
        cohorts.begin(100 + KEPT + AHEAD + 2, share());
        assert_eq!(counted(&cohorts), [], "no place is ready for it");
    }

    #[test]
    fn nothing_takes_no_room_and_the_first_request_is_counted() {
        let cohorts = Cohorts::default();
        cohorts.begin(100, share());
        assert_eq!(counted(&cohorts), [], "no second is ready");
        let cohorts = Cohorts::default();
        for now in 98..=100 {
            cohorts.make_ready(now);
            cohorts.end(now, FirstTry::Good, Duration::ZERO);
            cohorts.withdraw(now, share());
        }
        assert!(cohorts.places.get().is_none() && counted(&cohorts).is_empty());
        for second in [98, 99, 100, 100 + AHEAD, 101 + AHEAD] {
            cohorts.begin(second, share());
        }
        let seconds: Vec<_> = counted(&cohorts).iter().map(|it| it.0).collect();
        assert_eq!(seconds, [99, 100, 100 + AHEAD]);
    }

    #[test]
    fn every_change_is_seen() {
        let cohorts = Cohorts::default();
        cohorts.make_ready(7);
        let changes = || cohorts.counted().map(|it| it.changes).next();
        let mut seen = vec![changes()];
        cohorts.begin(7, share());
        seen.push(changes());
        cohorts.end(7, FirstTry::Good, Duration::from_millis(1));
        seen.push(changes());
        seen.dedup();
        assert_eq!(seen.len(), 3);
    }
}
