//! What is counted per arm of a split and version of pods, for reports and metrics.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use proxy_config::model::{ArmId, SplitId, Version};

use crate::{
    latency::{Counted, Latencies},
    padded::Padded,
};

/// The counters of one arm for one version of pods. They only grow, for as long as the split exists. What they count with
/// is made by the first request: most of thousands of arms have none.
#[derive(Debug)]
pub struct ArmCounters {
    /// The split.
    pub split: SplitId,
    /// Its arm.
    pub arm: ArmId,
    /// The version's pod-template hash; empty for pods without one and for requests that found no endpoint.
    pub hash: Arc<str>,
    /// The namespace of its pods; empty where the hash is.
    pub namespace: Arc<str>,
    counts: OnceLock<Box<Padded<Counts>>>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bad: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
    latencies: Latencies,
}

/// How the first try of a request ended, when its response head is there or never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstTry {
    /// With a response below 500.
    Good,
    /// With a 5xx, a connect failure, a reset, a timeout or our own 503.
    Bad,
}

/// The label values of status codes, `1xx` to `5xx`.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl ArmCounters {
    pub(crate) fn new(split: SplitId, arm: ArmId, version: &Version) -> Self {
        let Version { namespace, hash } = version.clone();
        Self { split, arm, hash, namespace, counts: OnceLock::new() }
    }

    /// Counts a request by the outcome of its first try, and how long it took until that was known. A request that its
    /// client gave up is not counted.
    pub fn count_first_try(&self, outcome: FirstTry, latency: Duration) {
        let counts = self.counts_to_add_to();
        counts.latencies.count(latency);
        counts.requests.fetch_add(1, Ordering::Relaxed);
        match outcome {
            FirstTry::Good => {}
            FirstTry::Bad => drop(counts.bad.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Counts the answer that the client got in the end.
    pub fn count_answer(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.counts_to_add_to().classes[class].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests, by first tries.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts().map_or(0, |it| it.requests.load(Ordering::Relaxed))
    }

    /// Requests whose first try was [`FirstTry::Bad`].
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.counts().map_or(0, |it| it.bad.load(Ordering::Relaxed))
    }

    /// How long first tries took, up to the response head or the failure; `None`: there was none.
    #[must_use]
    pub fn latencies(&self) -> Option<Counted> {
        self.counts()?.latencies.counted()
    }

    /// Answers by class, in the order of [`CLASSES`].
    #[must_use]
    pub fn answers(&self) -> [u64; CLASSES.len()] {
        let classes = self.counts().map(|it| it.classes.each_ref().map(|it| it.load(Ordering::Relaxed)));
        classes.unwrap_or_default()
    }

    /// What was counted; `None`: nothing.
    fn counts(&self) -> Option<&Counts> {
        self.counts.get().map(|it| &it.0)
    }

    fn counts_to_add_to(&self) -> &Counts {
        &self.counts.get_or_init(Box::default).0
    }
}
