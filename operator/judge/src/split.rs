//! Did the split really happen?
//!
//! A comparison is worth what its counts are worth. If the canary was to get 5 % of the requests and 3 % were counted,
//! then pods crashed with their counts, or retries were counted for the other arm, and the rates mean nothing. The
//! test is the multinomial one of Lindon & Malek, *Anytime-valid inference for multinomial count data* (2022): the
//! Bayes factor of a Dirichlet prior around the intended shares. It may be looked at every second.
//!
//! The factor supposes that each request is drawn by itself; the proxies' split is more even than that, which makes the
//! test slower to speak and never wrong.

use libm::lgamma;

use crate::counts::float;

/// How tightly the alternative lies around the intended shares, in requests.
pub const CONCENTRATION: f64 = 100.0;

/// The evidence that requests were not split as intended. Intended shares may change: each stretch with the same share
/// is a test of its own, and the product of tests that follow one another is a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// The logarithm of what earlier stretches came to.
    pub(crate) before: f64,
    /// The intended share of the canary in the present stretch; `None` before the first.
    pub(crate) share: Option<f64>,
    /// The present stretch's requests: to the canary, to the stable version.
    pub(crate) counts: (u64, u64),
}

impl Split {
    /// Takes in how many requests each version got while the canary was to get `share` of them. A share of 0 or 1
    /// leaves nothing to split.
    pub fn take(&mut self, share: f64, canary: u64, stable: u64) {
        if !(share > 0.0 && share < 1.0) {
            return;
        }
        if self.share.is_some_and(|now| (now - share).abs() > f64::EPSILON) {
            self.before = self.log();
            self.counts = (0, 0);
        }
        self.share = Some(share);
        self.counts.0 = self.counts.0.saturating_add(canary);
        self.counts.1 = self.counts.1.saturating_add(stable);
    }

    /// The natural logarithm of the evidence.
    #[must_use]
    pub fn log(&self) -> f64 {
        let Some(share) = self.share else { return self.before };
        let (canary, stable) = self.counts;
        self.before + log_factor(CONCENTRATION, &[(canary, share), (stable, 1.0 - share)])
    }
}

/// The natural logarithm of the Bayes factor of these counts, each with its intended share: a Dirichlet of
/// `concentration` around the shares against the shares themselves. Shares are above 0 and sum to 1.
#[must_use]
pub fn log_factor(concentration: f64, counts: &[(u64, f64)]) -> f64 {
    let all: u64 = counts.iter().map(|(count, _)| count).sum();
    let total = lgamma(concentration) - lgamma(concentration + float(all));
    let each = counts.iter().map(|(count, share)| {
        let prior = concentration * share;
        lgamma(prior + float(*count)) - lgamma(prior) - float(*count) * share.ln()
    });
    total + each.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_changes_begins_another_stretch() {
        let mut split = Split::default();
        split.take(0.05, 50, 950);
        let first = split.log();
        split.take(0.2, 0, 0);
        assert!((split.log() - first).abs() < 1e-12);
        split.take(0.2, 100, 900);
        assert!(split.log() > first + 5.0);
        split.take(1.0, 100, 0);
        assert_eq!(split.share, Some(0.2));
    }
}
