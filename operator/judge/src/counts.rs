//! What is judged.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// A second of Unix time.
pub type Second = i64;

/// Requests of one version, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Requests that were sent to it, whatever came of them.
    pub requests: u64,
    /// Those that were bad; at most `requests`.
    pub bad: u64,
}

impl Arm {
    /// The share of bad ones; `None` without requests.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.requests > 0).then(|| float(self.bad) / float(self.requests))
    }
}

impl Add for Arm {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            bad: self.bad.saturating_add(other.bad),
        }
    }
}

/// Both versions, over the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The new version.
    pub canary: Arm,
    /// The version that it is compared with.
    pub stable: Arm,
}

impl Counts {
    /// From requests and bad requests of the canary, then of the stable version.
    #[must_use]
    pub const fn new(canary: (u64, u64), stable: (u64, u64)) -> Self {
        Self {
            canary: Arm { requests: canary.0, bad: canary.1 },
            stable: Arm { requests: stable.0, bad: stable.1 },
        }
    }

    /// Both versions had requests, so there is something to compare.
    #[must_use]
    pub const fn comparable(&self) -> bool {
        self.canary.requests > 0 && self.stable.requests > 0
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { canary: self.canary + other.canary, stable: self.stable + other.stable }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// What one version did with the requests that began in one second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Requests that began, and those whose first try turned out bad.
    pub arm: Arm,
    /// Requests that ended, by their latency: one count for each bucket of the histogram, fastest first. Empty where
    /// no latency is recorded. Requests that have not ended are slower than every edge that is judged.
    pub latency: Vec<u64>,
}

impl Sample {
    /// Requests, of which those that took longer than bucket number `edge` count as bad.
    #[must_use]
    pub fn slower_than(&self, edge: usize) -> Arm {
        let within = self.latency.iter().take(edge.saturating_add(1)).sum();
        Arm { requests: self.arm.requests, bad: self.arm.requests.saturating_sub(within) }
    }

    /// Requests that have not ended.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.arm.requests.saturating_sub(self.latency.iter().sum())
    }

    /// Takes another second's in.
    pub fn absorb(&mut self, other: &Self) {
        self.arm = self.arm + other.arm;
        if self.latency.len() < other.latency.len() {
            self.latency.resize(other.latency.len(), 0);
        }
        for (count, more) in self.latency.iter_mut().zip(&other.latency) {
            *count = count.saturating_add(*more);
        }
    }
}

/// One second of both versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// When its requests began.
    pub second: Second,
    /// The new version's.
    pub canary: Sample,
    /// The stable version's.
    pub stable: Sample,
    /// The share of the requests that the canary was meant to get, above 0 and below 1; `None` where it is not known
    /// or changed within the second. Only the test of the split needs it.
    pub canary_share: Option<f64>,
}

impl Tick {
    /// Requests and bad requests of both.
    #[must_use]
    pub fn errors(&self) -> Counts {
        Counts { canary: self.canary.arm, stable: self.stable.arm }
    }
}

/// Counts of requests fit into the 53 bits that a double has.
#[expect(clippy::cast_precision_loss, reason = "2^53 requests are 28 000 years at 10 000 a second")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_ended_is_slower_than_every_edge() {
        let sample = Sample { arm: Arm { requests: 10, bad: 1 }, latency: vec![4, 3, 2] };
        let slow: Vec<u64> = [0, 1, 2, 9].map(|edge| sample.slower_than(edge).bad).into();
        assert_eq!(slow, [6, 3, 1, 1]);
    }

    #[test]
    fn an_arm_without_requests_has_no_rate() {
        assert_eq!(Arm::default().rate(), None);
        assert_eq!(Arm { requests: 4, bad: 1 }.rate(), Some(0.25));
    }
}
