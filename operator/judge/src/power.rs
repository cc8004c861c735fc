//! Before a rollout starts: what can be seen at this traffic, and when.
//!
//! The logarithm of the evidence is a sum over requests, so it moves like a random walk with a drift: its mean for each
//! request is the distance (Kullback-Leibler) of the true rates from the nearest ones that the margin allows, and the
//! moment at which it reaches what a verdict needs has the distribution of Wald (inverse Gaussian).

use libm::erfc;

use crate::counts::float;
use crate::evidence::LATER;
use crate::level::Level;
use crate::margin::Margin;

/// What the neighbours of the best alternative add to the evidence, as a logarithm: it is a mean, in which the best
/// one alone would be worth no more than its part.
const NEIGHBOURS: f64 = 0.8;

/// Predictions beyond this are none: thirty days.
const HORIZON: f64 = 30.0 * 86_400.0;

/// By how much the logarithm of the evidence grows with each request, of either version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// The mean.
    pub mean: f64,
    /// The variance.
    pub variance: f64,
    /// The most that one request adds.
    pub step: f64,
}

impl Growth {
    /// If the canary's and the stable version's rates are `rates`, and `share` of the requests go to the canary (above
    /// 0 and below 1). Above the limit of the margin it is evidence against the canary, below it evidence for it.
    #[must_use]
    pub fn of(margin: Margin, rates: (f64, f64), share: f64) -> Self {
        let [p, q] = [rates.0, rates.1].map(|rate| rate.clamp(1e-9, 1.0 - 1e-9));
        let limit = margin.limit(q);
        if limit >= 1.0 || !(share > 0.0 && share < 1.0) {
            return Self::default();
        }
        let mu = nearest(margin, (p, q), share);
        let m = margin.limit(mu);
        let (canary, stable) = (Self::between(p, m), Self::between(q, mu));
        Self {
            mean: share * canary.mean + (1.0 - share) * stable.mean,
            variance: share * canary.variance + (1.0 - share) * stable.variance,
            step: canary.step,
        }
    }

    /// Mean and variance of the log-likelihood ratio of two rates, where the first is true.
    fn between(p: f64, reference: f64) -> Self {
        let (bad, good) = ((p / reference).ln(), ((1.0 - p) / (1.0 - reference)).ln());
        Self {
            mean: p * bad + (1.0 - p) * good,
            variance: p * (1.0 - p) * (bad - good).powi(2),
            step: bad.max(good),
        }
    }

    /// Over so many requests.
    #[must_use]
    pub fn over(self, requests: f64) -> Self {
        Self { mean: self.mean * requests, variance: self.variance * requests, step: self.step }
    }

    /// The chance that the evidence has reached `needed`, at the end of what this growth is over. On the average it
    /// passes it by half a step.
    #[must_use]
    pub fn chance(self, needed: f64) -> f64 {
        let Self { mean, variance, step } = self;
        if variance <= 0.0 {
            return 0.0;
        }
        let (far, deviation) = (needed + 0.5 * step, variance.sqrt());
        let reflected = 2.0 * far * mean / variance;
        let back = normal((-mean - far) / deviation);
        let back = if back > 0.0 && reflected < 700.0 { reflected.exp() * back } else { 0.0 };
        (normal((mean - far) / deviation) + back).clamp(0.0, 1.0)
    }
}

impl std::ops::Add for Growth {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            variance: self.variance + other.variance,
            step: self.step.max(other.step),
        }
    }
}

/// A time with one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How long it is.
    pub seconds: f64,
    /// Requests a second, of both versions.
    pub rate: f64,
    /// The canary's share of them.
    pub share: f64,
}

/// What evidence is gathered for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// What is allowed.
    pub margin: Margin,
    /// How often the verdict may be wrong.
    pub level: Level,
    /// The stable version's rate of bad requests.
    pub stable: f64,
    /// How many alternatives the evidence is a mean of: those of a metric, at all its edges.
    pub alternatives: u32,
}

impl Question {
    /// About errors.
    #[must_use]
    pub fn of_errors(margin: Margin, level: Level, stable: f64) -> Self {
        Self { margin, level, stable, alternatives: 8 }
    }

    /// The chance of a verdict by the end of these stretches, on a canary with this rate: against it where the rate is
    /// above the limit, for it where it is below.
    #[must_use]
    pub fn chance(&self, canary: f64, stretches: &[Stretch]) -> f64 {
        let each = stretches
            .iter()
            .map(|it| Growth::of(self.margin, (canary, self.stable), it.share).over(it.seconds * it.rate));
        each.fold(Growth::default(), std::ops::Add::add).chance(self.needed())
    }

    /// What the best alternative has to reach, so that the mean of those that bet from the start reaches what the level
    /// needs.
    fn needed(&self) -> f64 {
        self.level.needed() - (1.0 - LATER).ln() + f64::from(self.alternatives.max(1)).ln() - NEIGHBOURS
    }

    /// The seconds after which a canary with this rate has a verdict with probability `chance`; `None` if that is after
    /// the end of the stretches.
    #[must_use]
    pub fn seconds(&self, canary: f64, stretches: &[Stretch], chance: f64) -> Option<f64> {
        let all: f64 = stretches.iter().map(|it| it.seconds).sum();
        let early_enough = |seconds: f64| self.chance(canary, &first(stretches, seconds)) >= chance;
        early_enough(all).then(|| bisect(0.0, all, early_enough))
    }

    /// The lowest rate of a canary that is condemned with probability `chance` by the end of the stretches; `None` if
    /// no rate is.
    #[must_use]
    pub fn detectable(&self, stretches: &[Stretch], chance: f64) -> Option<f64> {
        let limit = self.margin.limit(self.stable);
        let found = |rate: f64| self.chance(rate, stretches) >= chance;
        (limit < 1.0 && found(1.0)).then(|| bisect(limit, 1.0, found))
    }

    /// Requests of the canary after which, on the average, a canary with this rate has a verdict, if `share` of all
    /// requests go to it. Of an ideal test that knows the rates; infinite at the limit.
    #[must_use]
    pub fn canary_requests(&self, canary: f64, share: f64) -> f64 {
        let growth = Growth::of(self.margin, (canary, self.stable), share).mean;
        if growth > 0.0 { self.level.needed() * share / growth } else { f64::INFINITY }
    }
}

/// How far out, in deviations, the edges lie at which latencies are compared: the quantiles 50, 75, 90, 95, 98, 99.5 and
/// 99.9 % of the stable version.
const EDGES: [f64; 7] = [0.0, 0.674_49, 1.281_55, 1.644_85, 2.053_75, 2.575_83, 3.090_23];

/// The least factor by which all latencies of a canary have grown if it is condemned for that with probability `chance`
/// by the end of the stretches; `None` if not even a hundredfold one is. Latencies are taken to be log-normal, their
/// logarithm with this deviation; nothing is allowed.
#[must_use]
pub fn detectable_slowdown(level: Level, deviation: f64, stretches: &[Stretch], chance: f64) -> Option<f64> {
    let alternatives = u32::try_from(EDGES.len() * crate::judge::SLOWER.len()).unwrap_or(u32::MAX);
    let found = |factor: f64| {
        let chances = EDGES.iter().map(|edge| {
            let question = Question { margin: Margin::NONE, level, stable: normal(-edge), alternatives };
            question.chance(normal(factor.ln() / deviation - edge), stretches)
        });
        chances.fold(0.0, f64::max) >= chance
    };
    found(100.0).then(|| bisect(1.0, 100.0, found))
}

/// Whole seconds until `missing` is gathered, at `rate` requests a second; `None` beyond thirty days.
pub(crate) fn seconds_to(missing: f64, growth: Growth, rate: f64) -> Option<u64> {
    let seconds = Some((missing.max(0.0) / (growth.mean * rate)).ceil()).filter(|it| *it <= HORIZON)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the horizon")]
    Some(seconds as u64)
}

/// The stable version's rate, between `q` and that at which the canary's is allowed, from which both are least far.
fn nearest(margin: Margin, (p, q): (f64, f64), share: f64) -> f64 {
    let other = ((p - margin.allowance()) / margin.factor()).clamp(1e-12, 1.0 - 1e-12);
    let falls = |mu: f64| {
        let m = margin.limit(mu);
        let slope = share * margin.factor() * (p - m) / (m * (1.0 - m))
            + (1.0 - share) * (q - mu) / (mu * (1.0 - mu));
        slope <= 0.0
    };
    let top = ((1.0 - margin.allowance()) / margin.factor()).min(1.0 - 1e-12);
    bisect(q.min(other), q.max(other).min(top), falls)
}

/// The first part of the stretches, this long.
fn first(stretches: &[Stretch], seconds: f64) -> Vec<Stretch> {
    let mut left = seconds;
    let cut = stretches.iter().map(|it| {
        let part = Stretch { seconds: it.seconds.min(left.max(0.0)), ..*it };
        left -= it.seconds;
        part
    });
    cut.collect()
}

/// Where `holds` begins to hold, between two numbers.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

impl Stretch {
    /// How many requests go to the canary.
    #[must_use]
    pub fn canary_requests(&self) -> f64 {
        self.seconds * self.rate * self.share
    }

    /// Of whole seconds.
    #[must_use]
    pub fn whole(seconds: u64, rate: f64, share: f64) -> Self {
        Self { seconds: float(seconds), rate, share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an ideal test needs at odds of 20 to 1 and 5 % of the requests, by numeric optimisation elsewhere.
    #[test]
    fn an_ideal_test_needs_a_fixed_number_of_canary_requests() {
        let table = [
            // stable, canary, factor, requests
            (0.001, 0.002, 1.0, 8_000.0),
            (0.001, 0.005, 1.0, 800.0),
            (0.001, 0.01, 1.0, 245.0),
            (0.001, 0.05, 1.0, 27.0),
            (0.01, 0.015, 1.0, 2_900.0),
            (0.01, 0.02, 1.0, 810.0),
            (0.01, 0.05, 1.0, 80.0),
            // A proof that it is not worse by the factor.
            (0.01, 0.01, 1.5, 3_346.0),
            (0.01, 0.01, 2.0, 1_044.0),
            (0.01, 0.01, 3.0, 364.0),
            (0.001, 0.001, 1.5, 33_850.0),
            (0.001, 0.001, 2.0, 10_582.0),
            (0.001, 0.001, 3.0, 3_702.0),
            (0.000_1, 0.000_1, 1.5, 338_890.0),
            (0.000_1, 0.000_1, 2.0, 105_969.0),
            (0.000_1, 0.000_1, 3.0, 37_087.0),
        ];
        for (stable, canary, factor, requests) in table {
            let margin = Margin::new(factor, 0.0).unwrap();
            let question = Question::of_errors(margin, Level::ONE_IN_TWENTY, stable);
            let needed = question.canary_requests(canary, 0.05);
            // The first seven are rounded to what is known of them.
            assert!((needed / requests - 1.0).abs() < 0.04, "{stable} {canary} {factor}: {needed}");
        }
    }

    #[test]
    fn stricter_levels_cost_what_their_logarithm_does() {
        let needed = |level| Question::of_errors(Margin::NONE, level, 0.001).canary_requests(0.01, 0.05);
        let ratio = needed(Level::ONE_IN_A_THOUSAND) / needed(Level::ONE_IN_TWENTY);
        assert!((ratio - 2.306).abs() < 0.001, "{ratio}");
    }

    /// Against the medians of `tests/power.rs`: what was found by half of the runs in so many seconds.
    #[test]
    fn a_slowdown_is_predicted_as_it_is_found() {
        for (factor, seconds) in [(1.1, 200), (1.2, 53), (1.5, 9)] {
            let steps = [Stretch::whole(seconds, 100.0, 0.05)];
            let found = detectable_slowdown(Level::ONE_IN_TWENTY, 0.8, &steps, 0.5).unwrap();
            let off = found.ln() / f64::ln(factor);
            assert!((0.8..1.3).contains(&off), "{factor}: {found}");
        }
    }

    #[test]
    fn what_can_be_found_is_found_in_time_and_more_of_it_sooner() {
        let question = Question::of_errors(Margin::NONE, Level::ONE_IN_TWENTY, 0.001);
        let steps = [Stretch::whole(300, 100.0, 0.05), Stretch::whole(300, 100.0, 0.2)];
        let rate = question.detectable(&steps, 0.95).unwrap();
        assert!(rate > 0.002 && rate < 0.01, "{rate}");
        let seconds = question.seconds(rate * 1.001, &steps, 0.95).unwrap();
        assert!(seconds > 590.0 && seconds <= 600.0, "{seconds}");
        assert!(question.seconds(0.3, &steps, 0.95).unwrap() < 10.0);
        assert_eq!(question.seconds(0.0011, &steps, 0.95), None);
        assert_eq!(question.detectable(&[Stretch::whole(1, 1.0, 0.05)], 0.95), None);
    }
}
