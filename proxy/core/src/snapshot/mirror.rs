//! Copies of requests, for a version that is to be seen under load before it answers anybody.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proxy_config::model::{MirrorId, SplitId};

use super::Cluster;
use crate::{
    router::{Condition, RequestHead},
    split::Draw,
};

/// One receiver of copies. What it answers is thrown away.
#[derive(Debug)]
pub struct Mirror {
    /// Where the copies go, as of this snapshot.
    pub cluster: Arc<Cluster>,
    /// What became of them.
    pub counters: Arc<MirrorCounters>,
    pub(super) condition: Condition,
    /// Between the copied requests, which are first, and the others.
    pub(super) draw: Draw,
}

/// What became of the copies of one mirror, for as long as the split has it. They are no part of any arm's counters.
#[derive(Debug)]
pub struct MirrorCounters {
    /// The split.
    pub split: SplitId,
    /// Its mirror.
    pub mirror: MirrorId,
    counts: [AtomicU64; Copied::ALL.len()],
}

/// What became of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It was answered, with whatever status.
    Answered,
    /// There was nobody to send it to, or the exchange broke.
    Failed,
    /// It was given up for the sake of the request: the receiver did not keep up, or too many copies are under way.
    Dropped,
}

impl Mirror {
    /// Whether this request of the mirror's split is copied.
    #[must_use = "a draw that is not followed is a copy that nobody gets"]
    pub fn takes(&self, request: &RequestHead<'_>) -> bool {
        self.condition.holds(request) && self.draw.draw() == 0
    }
}

impl MirrorCounters {
    pub(super) fn new(split: SplitId, mirror: MirrorId) -> Self {
        Self { split, mirror, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts one copy.
    pub fn count(&self, copied: Copied) {
        self.counts[copied as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many copies ended so.
    #[must_use]
    pub fn of(&self, copied: Copied) -> u64 {
        self.counts[copied as usize].load(Ordering::Relaxed)
    }
}

impl Copied {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Answered, Self::Failed, Self::Dropped];

    /// As it stands in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}
