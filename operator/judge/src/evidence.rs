//! What has been gathered about one question.

use serde::{Deserialize, Serialize};

use crate::bet::{Bet, Terms};
use crate::counts::{Arm, Counts, float};
use crate::margin::Margin;

/// What was known of the stable version before the rollout: its rate of bad requests, counted as so many requests. It
/// only makes the first stakes better; a wrong one costs some time and no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, u32)", into = "(f64, u32)")]
pub struct Prior {
    rate: f64,
    requests: u32,
}

impl Prior {
    /// Nothing is known: one bad request in a thousand, forgotten after a few seconds.
    pub const UNKNOWN: Self = Self { rate: 0.001, requests: 20 };

    /// From the share of bad requests, of which seven digits count, and its weight in requests, at least 1.
    #[must_use]
    pub fn new(rate: f64, requests: u32) -> Self {
        let rate = if rate.is_nan() { Self::UNKNOWN.rate } else { rate.clamp(0.0, 1.0) };
        Self { rate: (rate * 1e7).round() / 1e7, requests: requests.max(1) }
    }

    /// The share of bad requests.
    #[must_use]
    pub const fn rate(self) -> f64 {
        self.rate
    }

    /// The rate with what has been seen since.
    pub(crate) fn and(self, seen: Arm) -> f64 {
        smoothed(seen, self.rate, f64::from(self.requests))
    }
}

impl From<(f64, u32)> for Prior {
    fn from((rate, requests): (f64, u32)) -> Self {
        Self::new(rate, requests)
    }
}

impl From<Prior> for (f64, u32) {
    fn from(prior: Prior) -> Self {
        (prior.rate, prior.requests)
    }
}

/// A rate, as if there had been so many requests more.
pub(crate) fn smoothed(seen: Arm, rate: f64, requests: f64) -> f64 {
    (float(seen.bad) + requests * rate) / (float(seen.requests) + requests)
}

/// The part of the wealth that is not staked from the first tick on, but later, bit by bit.
pub(crate) const LATER: f64 = 0.1;

/// So many ticks lie between two of these bits.
const STRETCH: u32 = 60;

/// The wealth of a grid of alternatives, as logarithms. The evidence is their mean: a mean of fair bets is fair.
///
/// Who bets for an hour on something that is not so has nothing left when it comes to be so, and a canary that leaks
/// memory is a good one for an hour. So a part of the wealth is kept, and the grid begins anew with a bit of it every
/// minute: of bit number `k` the part `1/(k (k+1))`, which makes one in all. Whatever is staked when, as long as no
/// outcome decides it, the sum is as fair as each.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    ratios: &'static [f64],
    wealth: Vec<f64>,
    ticks: u32,
}

impl Evidence {
    /// None yet. All `ratios` lie on one side of 1: above it is evidence against the canary, below it for the canary.
    #[must_use]
    pub fn new(ratios: &'static [f64]) -> Self {
        Self { ratios, wealth: vec![(1.0 - LATER).ln(); ratios.len()], ticks: 0 }
    }

    /// Takes a tick in. `stable` is the stable version's rate as earlier ticks tell it: if the tick itself had a part
    /// in it, the stake would know the outcome.
    pub fn take(&mut self, counts: &Counts, margin: Margin, stable: f64) {
        if !counts.comparable() {
            return;
        }
        if self.ticks > 0 && self.ticks.is_multiple_of(STRETCH) {
            let k = f64::from(self.ticks / STRETCH);
            let bit = (LATER / (k * (k + 1.0))).ln();
            self.wealth.iter_mut().for_each(|wealth| *wealth = log_sum(*wealth, bit));
        }
        let (n, k) = (float(counts.canary.requests), float(counts.stable.requests));
        for (ratio, wealth) in self.ratios.iter().zip(&mut self.wealth) {
            if let Some(bet) = Bet::lay(Terms { margin, stable, ratio: *ratio }, n, k) {
                *wealth += bet.pays(counts);
            }
        }
        self.ticks = self.ticks.saturating_add(1);
    }

    /// The natural logarithm of the evidence; a verdict needs `ln(1/level)`.
    #[must_use]
    pub fn log(&self) -> f64 {
        mean(std::iter::once(self))
    }

    /// It gathers none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ratios.is_empty()
    }

    /// The logarithms of the grid, and how many ticks it has seen.
    pub(crate) fn parts(&self) -> (&[f64], u32) {
        (&self.wealth, self.ticks)
    }

    /// With parts that were saved; `None` if they are not of this grid.
    pub(crate) fn with_parts(self, wealth: Vec<f64>, ticks: u32) -> Option<Self> {
        (wealth.len() == self.wealth.len()).then_some(Self { wealth, ticks, ..self })
    }
}

/// The natural logarithm of the mean of several grids that have seen the same ticks.
pub(crate) fn mean<'a>(all: impl Iterator<Item = &'a Evidence> + Clone) -> f64 {
    let Some(ticks) = all.clone().map(|it| it.ticks).max() else { return 0.0 };
    let wealth = all.flat_map(|it| it.wealth.iter().copied());
    // What is kept after so many bits: what remains of the sum of 1/(k (k+1)).
    let kept = LATER / f64::from(ticks.saturating_sub(1) / STRETCH + 1);
    log_sum(log_mean(wealth), kept.ln())
}

/// The logarithm of the sum of two numbers of which the logarithms are given.
fn log_sum(a: f64, b: f64) -> f64 {
    let (most, least) = if a > b { (a, b) } else { (b, a) };
    most + (least - most).exp().ln_1p()
}

/// The logarithm of the mean of numbers of which the logarithms are given.
fn log_mean(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return f64::NEG_INFINITY;
    }
    let (sum, count) = logs.fold((0.0, 0.0), |(sum, count), log| (sum + (log - most).exp(), count + 1.0));
    most + f64::ln(sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bet::{HEALTHY, WORSE};

    #[test]
    fn a_second_without_one_of_the_versions_says_nothing() {
        let mut evidence = Evidence::new(&WORSE);
        evidence.take(&Counts::new((0, 0), (95, 40)), Margin::NONE, 0.01);
        evidence.take(&Counts::new((5, 5), (0, 0)), Margin::NONE, 0.01);
        assert!(evidence.log().abs() < 1e-12);
    }

    #[test]
    fn bad_requests_speak_against_it_and_good_ones_for_it() {
        let margin = Margin::new(2.0, 0.0).unwrap();
        let (mut worse, mut healthy) = (Evidence::new(&WORSE), Evidence::new(&HEALTHY));
        for evidence in [&mut worse, &mut healthy] {
            evidence.take(&Counts::new((50, 10), (950, 9)), margin, 0.01);
        }
        assert!(worse.log() > 5.0 && healthy.log() < -1.0, "{} {}", worse.log(), healthy.log());
    }
}
