//! One rate of both versions, compared in both directions.

use crate::counts::Counts;
use crate::evidence::{Evidence, Prior, smoothed};
use crate::margin::Margin;

/// What speaks against the canary and for it, and the counts that this rests on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) margin: Margin,
    pub(crate) prior: Prior,
    pub(crate) against: Evidence,
    pub(crate) healthy: Evidence,
    pub(crate) counts: Counts,
}

impl Comparison {
    pub(crate) fn new(worse: &'static [f64], healthy: &'static [f64], margin: Margin, prior: Prior) -> Self {
        let (against, healthy) = (Evidence::new(worse), Evidence::new(healthy));
        Self { margin, prior, against, healthy, counts: Counts::default() }
    }

    /// The stable version's rate, as all ticks until now tell it.
    pub(crate) fn stable_rate(&self) -> f64 {
        self.prior.and(self.counts.stable)
    }

    /// The canary's rate, as if it had had one request more, as good as the stable version's.
    pub(crate) fn canary_rate(&self) -> f64 {
        smoothed(self.counts.canary, self.stable_rate(), 1.0)
    }

    /// The highest rate that the margin allows the canary.
    pub(crate) fn limit(&self) -> f64 {
        self.margin.limit(self.stable_rate())
    }

    pub(crate) fn take(&mut self, counts: &Counts) {
        let stable = self.stable_rate();
        self.against.take(counts, self.margin, stable);
        self.healthy.take(counts, self.margin, stable);
        self.counts += *counts;
    }
}
