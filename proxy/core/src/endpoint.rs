//! What a proxy remembers of one endpoint for as long as it routes to it or has requests there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use proxy_config::model::{Address, Draining, UnixMillis, Version};

use crate::outlier::Record;

/// Names an endpoint within one process, for ever: a pod that comes back at the same address is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// One server of one version in one cluster, shared by all snapshots that route to it and by the requests it has.
///
/// What requests write to is at the beginning, beside the count of the owners, which every request writes to as well. What
/// follows is never written to and longer than a cache line: it keeps what is written of two endpoints apart.
#[derive(Debug)]
#[repr(C)]
pub struct Endpoint {
    in_flight: AtomicU32,
    /// How many of its cluster's health checks it does not pass.
    failing: AtomicU32,
    routable: AtomicBool,
    /// Its failures; looked at only where its cluster asks for it.
    record: Record,
    /// In milliseconds since 1970; [`NEVER`] if there is no such time.
    ends: AtomicI64,
    /// Since when it gets requests, in milliseconds since 1970; [`NEVER`] if nobody has asked yet.
    begun: AtomicI64,
    /// Its name in this process.
    pub id: EndpointId,
    /// Where it listens.
    pub address: Address,
    /// Which version of pods it is.
    pub version: Version,
    /// The pod, in the version's namespace; empty for what is no pod.
    pub pod: Arc<str>,
}

const NEVER: i64 = i64::MAX;

/// What share of its requests an endpoint takes that is quite new, as one of so many (Envoy's `min_weight_percent`).
const COLD: u128 = 10;

/// What a request leaves behind when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// An endpoint that gets new requests, or still has others.
    Routine,
    /// An endpoint that gets no new requests, and this was its last: whoever waits for it wants to know.
    Drained,
}

impl Endpoint {
    /// An endpoint that no snapshot routes to yet.
    #[must_use]
    pub fn new(id: EndpointId, address: Address, version: Version, pod: Arc<str>) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            failing: AtomicU32::new(0),
            routable: AtomicBool::new(false),
            record: Record::default(),
            ends: AtomicI64::new(NEVER),
            begun: AtomicI64::new(NEVER),
            id,
            address,
            version,
            pod,
        }
    }

    /// Counts a request that will be sent to it. Each is ended by one [`leave`](Self::leave).
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// The request, its response and their bodies are over.
    pub fn leave(&self) -> Left {
        let before = self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if before == 1 && !self.is_routable() { Left::Drained } else { Left::Routine }
    }

    /// How many requests it has.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Whether the newest snapshot sends it new requests. Idle connections to one that is not are closed.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        self.routable.load(Ordering::Acquire)
    }

    /// Whether it drains and the time for that is over: what it still has is to be ended. `now` is asked for only if
    /// there is such a time.
    pub fn is_overdue(&self, now: impl FnOnce() -> UnixMillis) -> bool {
        let ends = self.ends.load(Ordering::Relaxed);
        ends != NEVER && ends <= now().0
    }

    /// Whether it passes all of its cluster's health checks, as far as is known.
    #[must_use]
    pub fn passes_checks(&self) -> bool {
        self.failing.load(Ordering::Relaxed) == 0
    }

    /// It does not pass one of them any more. Each is ended by one [`pass_check`](Self::pass_check).
    pub fn fail_check(&self) {
        self.failing.fetch_add(1, Ordering::Relaxed);
    }

    /// It passes one of them again, or is not asked any more. It is as if it were new.
    pub fn pass_check(&self) {
        self.failing.fetch_sub(1, Ordering::Relaxed);
        self.begun.store(NEVER, Ordering::Relaxed);
    }

    /// Whether it takes a request that it was drawn for. Within `window` from when this is first asked it does for a
    /// share of them only, from a tenth to all; `random` is a fresh random number.
    pub(crate) fn is_warm(&self, window: Duration, now: UnixMillis, random: u64) -> bool {
        let begun = match self.begun.compare_exchange(NEVER, now.0, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now.0,
            Err(begun) => begun,
        };
        let age = u128::from(now.0.saturating_sub(begun).max(0).unsigned_abs());
        let window = window.as_millis();
        let share = age.max(window / COLD);
        // Of the 2^64 random numbers, as many in proportion.
        share >= window || u128::from(random) * window < share << u64::BITS
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn set_draining(&self, draining: Option<Draining>) {
        let ends = draining.and_then(|it| it.until).map_or(NEVER, |until| until.0);
        self.ends.store(ends, Ordering::Relaxed);
    }

    pub(crate) fn set_routable(&self, routable: bool) {
        self.routable.store(routable, Ordering::Release);
    }
}
