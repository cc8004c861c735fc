//! How many requests come.

use crate::counts::{Counts, float};

/// Requests a second, as the last half minute had them. Only predictions use it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pace {
    pub(crate) canary: f64,
    pub(crate) stable: f64,
    /// The weight of what has been seen, which grows to 1.
    pub(crate) seen: f64,
}

/// How much of the picture a second leaves to those before it.
const KEPT: f64 = 1.0 - 1.0 / 30.0;

impl Pace {
    pub(crate) fn take(&mut self, counts: &Counts) {
        let mix = |old: f64, new: u64| KEPT * old + (1.0 - KEPT) * float(new);
        self.canary = mix(self.canary, counts.canary.requests);
        self.stable = mix(self.stable, counts.stable.requests);
        self.seen = KEPT * self.seen + 1.0 - KEPT;
    }

    /// Requests a second of the canary and of the stable version; `None` before there were any of both.
    pub(crate) fn now(self) -> Option<(f64, f64)> {
        let there = self.canary > 0.0 && self.stable > 0.0;
        there.then(|| (self.canary / self.seen, self.stable / self.seen))
    }
}
