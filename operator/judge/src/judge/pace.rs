//! How many requests come.

use crate::counts::{Counts, Second, float};

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

    /// Takes in so many seconds without requests, of which nobody tells.
    pub(crate) fn rest(&mut self, seconds: Second) {
        // After some minutes nothing is left of what was.
        for _ in 0..seconds.min(300) {
            if self.seen > 0.0 {
                self.take(&Counts::default());
            }
        }
    }

    /// Requests a second of the canary and of the stable version; `None` before there were any of both.
    pub(crate) fn now(self) -> Option<(f64, f64)> {
        let there = self.canary > 0.0 && self.stable > 0.0;
        there.then(|| (self.canary / self.seen, self.stable / self.seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_without_requests_count() {
        let mut pace = Pace::default();
        pace.rest(1_000);
        for _ in 0..60 {
            pace.take(&Counts::new((2, 0), (8, 0)));
            pace.rest(9);
        }
        let (canary, stable) = pace.now().unwrap();
        assert!((canary - 0.2).abs() < 0.05 && (stable - 0.8).abs() < 0.2, "{canary} {stable}");
    }
}
