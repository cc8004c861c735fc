//! One stake on one alternative.
//!
//! With margin `f` (factor) and `d` (allowance), let `p` be the canary's and `q` the stable version's rate of bad
//! requests, and `n`, `k` their requests in this tick. A stake is a pair `(mu, u)` that is chosen before the tick's
//! outcomes are known; with `m = f mu + d` and `c = f n/k` it pays
//!
//! | | bad | good |
//! |---|---|---|
//! | each request of the canary | `1 + u (1 - m)` | `1 - u m` |
//! | each request of the stable version | `1 - u c (1 - mu)` | `1 + u c mu` |
//!
//! As `1 + x <= exp x`, the product's mean is at most `exp(n u (p - m) - k u c (q - mu)) = exp(n u (p - f q - d))`: with
//! `u > 0` it is at most 1 while `p <= f q + d`, and with `u < 0` at most 1 while `p >= f q + d`. So positive stakes
//! gather evidence that the canary is worse than allowed, and negative ones that it is not. Nothing is assumed of how
//! `p` and `q` move from tick to tick; only averages over an arm's requests enter.
//!
//! The pair is the one whose wealth grows fastest if `p` is `ratio` times the limit: the projection of `(p, q)` onto
//! the margin. At `f = 1, d = 0` it is the likelihood ratio of Turner, Ly & Grünwald, *Generic E-variables for exact
//! sequential k-sample tests* (2024). How exactly the optimum is met changes how fast wealth grows, not its fairness.

use crate::counts::{Arm, Counts, float};
use crate::margin::Margin;

/// The alternatives that evidence against a canary is gathered for: its rate is so many times the limit.
pub const WORSE: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// The alternatives that evidence for a canary is gathered for.
pub const HEALTHY: [f64; 8] = [0.8, 1.0 / 1.5, 0.5, 1.0 / 3.0, 0.2, 0.1, 1.0 / 30.0, 0.01];

/// The smallest rate that is reckoned with.
pub(crate) const LEAST: f64 = 1e-7;

/// No stake risks more than this part of the wealth on one request.
const MOST: f64 = 0.999;

/// Steps towards the optimum.
const STEPS: usize = 12;

/// How near to the optimum is near enough, relative to it.
const NEAR: f64 = 1e-3;

/// A stake, laid for requests of which only the numbers are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bet {
    /// The canary's reference rate.
    pub(crate) m: f64,
    /// The stable version's.
    pub(crate) mu: f64,
    /// The stake on a request of the canary.
    pub(crate) u: f64,
    /// The stake on a request of the stable version, times -1.
    pub(crate) v: f64,
}

/// What a stake is laid on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What is allowed.
    pub margin: Margin,
    /// The stable version's rate, as far as earlier ticks tell.
    pub stable: f64,
    /// The alternative: the canary's rate is so many times the limit. Above 1 the stake is against the canary, below
    /// 1 for it.
    pub ratio: f64,
}

impl Bet {
    /// The stake for a tick in which the canary has `canary` and the stable version `stable` requests, both above 0.
    /// `None` if the alternative differs from what is allowed by nothing.
    #[must_use]
    pub fn lay(terms: Terms, canary: f64, stable: f64) -> Option<Self> {
        let margin = terms.margin;
        let q = terms.stable.clamp(LEAST, 1.0 - LEAST);
        let limit = margin.limit(q);
        // The cap keeps the alternative below 1, also where half of the requests are bad.
        let p = (terms.ratio * limit).min(0.5 + 0.5 * limit).max(LEAST / 10.0);
        let against = terms.ratio > 1.0;
        if limit >= 1.0 || (p > limit) != against || canary <= 0.0 || stable <= 0.0 {
            return None;
        }
        let other = ((p - margin.allowance()) / margin.factor()).max(0.0);
        let mu = optimum(margin, (p, q), (canary, stable), other);
        let m = margin.limit(mu);
        let odds = margin.factor() * canary / stable;
        let wanted = (p - m) / (m * (1.0 - m));
        // Never all of it: the wealth stays above 0 whatever happens.
        let u = if against {
            wanted.max(0.0).min(MOST / m).min(MOST / (odds * (1.0 - mu)))
        } else {
            wanted.min(0.0).max(-MOST / (1.0 - m)).max(-MOST / (odds * mu))
        };
        (u != 0.0).then_some(Self { m, mu, u, v: u * odds })
    }

    /// By how much the logarithm of the wealth changes with these outcomes.
    #[must_use]
    pub fn pays(&self, counts: &Counts) -> f64 {
        let Self { m, mu, u, v } = *self;
        paid(counts.canary, u * (1.0 - m), -u * m) + paid(counts.stable, -v * (1.0 - mu), v * mu)
    }
}

fn paid(arm: Arm, bad: f64, good: f64) -> f64 {
    let goods = arm.requests.saturating_sub(arm.bad);
    let paid = if goods > 0 { float(goods) * good.ln_1p() } else { 0.0 };
    if arm.bad > 0 { paid + float(arm.bad) * bad.ln_1p() } else { paid }
}

/// The reference rate of the stable version at which the expected growth is greatest: the only root, between the stable
/// version's rate and `other`, of the growth's derivative. Found by false position with Illinois' correction, because
/// both the slope and a division are dearer than a few more steps. `rates` and `requests` are the canary's first.
fn optimum(margin: Margin, rates: (f64, f64), requests: (f64, f64), other: f64) -> f64 {
    let (canary, stable) = rates;
    let slope = |mu: f64| {
        let m = margin.limit(mu);
        margin.factor() * requests.0 * (canary - m) * mu * (1.0 - mu)
            + requests.1 * (stable - mu) * m * (1.0 - m)
    };
    let (mut low, mut high) = if stable < other { (stable, other) } else { (other, stable) };
    let (mut at_low, mut at_high) = (slope(low), slope(high));
    if at_low <= 0.0 || at_high >= 0.0 {
        return stable;
    }
    let mut mu = stable;
    for _ in 0..STEPS {
        mu = (low * at_high - high * at_low) / (at_high - at_low);
        if !(mu > low && mu < high) {
            mu = 0.5 * (low + high);
        }
        let at_mu = slope(mu);
        let moved;
        if at_mu > 0.0 {
            moved = mu - low;
            (low, at_low) = (mu, at_mu);
            at_high *= 0.5;
        } else {
            moved = high - mu;
            (high, at_high) = (mu, at_mu);
            at_low *= 0.5;
        }
        if moved < NEAR * mu || high - low < NEAR * mu {
            break;
        }
    }
    mu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_margin_it_is_the_likelihood_ratio_against_the_pooled_rate() {
        let terms = Terms { margin: Margin::NONE, stable: 0.01, ratio: 5.0 };
        let bet = Bet::lay(terms, 5.0, 95.0).unwrap();
        let pooled = (5.0 * 0.05 + 95.0 * 0.01) / 100.0;
        assert!((bet.mu / pooled - 1.0).abs() < 2e-3, "{bet:?}");
        let ratio = (0.05_f64 / pooled).ln();
        assert!((bet.pays(&Counts::new((1, 1), (0, 0))) - ratio).abs() < 5e-3, "{bet:?}");
    }

    #[test]
    fn a_stake_against_the_canary_gains_by_its_bad_requests_and_one_for_it_by_its_good_ones() {
        let margin = Margin::new(1.5, 0.001).unwrap();
        let bet = |ratio| Bet::lay(Terms { margin, stable: 0.01, ratio }, 50.0, 50.0).unwrap();
        let gains = |bet: Bet, canary| bet.pays(&Counts::new(canary, (0, 0))) > 0.0;
        assert!(gains(bet(3.0), (1, 1)) && !gains(bet(3.0), (1, 0)));
        assert!(gains(bet(0.5), (1, 0)) && !gains(bet(0.5), (1, 1)));
    }

    #[test]
    fn nothing_is_staked_where_everything_is_allowed() {
        let terms = Terms { margin: Margin::new(3.0, 0.0).unwrap(), stable: 0.5, ratio: 2.0 };
        assert_eq!(Bet::lay(terms, 5.0, 5.0), None);
    }
}
