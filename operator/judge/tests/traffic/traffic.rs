//! Traffic to two versions, second by second, from a seed.

mod random;

pub(crate) use random::Random;

use operator_judge::Judge;
use operator_judge::counts::{Arm, Sample, Second, Tick};
use operator_judge::evidence::Prior;
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::settings::{Edge, Errors, Latency, Settings};

/// Requests and what becomes of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Requests a second, of both versions.
    pub(crate) rate: f64,
    /// The canary's share.
    pub(crate) share: f64,
    /// The share of bad requests: of the stable version, of the canary.
    pub(crate) bad: (f64, f64),
    /// Latencies are log-normal with this deviation; `None`: none are recorded.
    pub(crate) latency: Option<Slow>,
}

/// How the canary's latencies differ from the stable version's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    /// This share of its requests …
    pub(crate) some: f64,
    /// … takes so many times as long.
    pub(crate) times: f64,
}

/// The deviation of the logarithm of latencies.
const SPREAD: f64 = 0.8;

/// By which factor the edges of the histogram grow.
const GROWTH: f64 = 1.1;

/// The bucket that ends at the median.
const MEDIAN: i32 = 45;

/// Buckets of the histogram; what is slower is in none.
const BUCKETS: usize = 100;

/// The quantiles of the stable version whose buckets are edges, and how many deviations from the median they are.
const EDGES: [f64; 7] = [0.0, 0.674_49, 1.281_55, 1.644_85, 2.053_75, 2.575_83, 3.090_23];

impl Traffic {
    /// Errors alone.
    pub(crate) const fn errors(rate: f64, share: f64, stable: f64, canary: f64) -> Self {
        Self { rate, share, bad: (stable, canary), latency: None }
    }

    /// Latencies alone.
    pub(crate) const fn latency(rate: f64, share: f64, some: f64, times: f64) -> Self {
        Self { rate, share, bad: (0.0, 0.0), latency: Some(Slow { some, times }) }
    }

    /// One second of it. The split is exact: `carried` is what it owes the canary.
    pub(crate) fn tick(&self, second: Second, carried: &mut f64, random: &mut Random) -> Tick {
        let requests = random.poisson(self.rate);
        *carried += self.share * as_float(requests);
        let canary = carried.floor();
        *carried -= canary;
        let canary = requests.min(as_count(canary));
        let slow = |times: Slow| (times.some, times.times.ln());
        Tick {
            second,
            canary: sample(canary, self.bad.1, self.latency.map(slow), random),
            stable: sample(requests - canary, self.bad.0, self.latency.map(|_| (0.0, 0.0)), random),
            canary_share: Some(self.share),
        }
    }

    /// The second, counted from 1, in which the judge condemns the canary.
    pub(crate) fn condemned(&self, mut judge: Judge, seconds: u32, random: &mut Random) -> Option<u32> {
        let mut carried = random.unit();
        (1..=seconds).find(|second| {
            let tick = self.tick(Second::from(*second), &mut carried, random);
            judge.take(&tick);
            judge.condemned().is_some()
        })
    }
}

fn sample(requests: u64, bad: f64, slow: Option<(f64, f64)>, random: &mut Random) -> Sample {
    let arm = Arm { requests, bad: random.binomial(requests, bad) };
    let Some((some, slower)) = slow else { return Sample { arm, latency: Vec::new() } };
    let mut latency = vec![0; BUCKETS];
    for _ in 0..requests {
        let shift = if some > 0.0 && random.unit() < some { slower } else { 0.0 };
        let bucket = bucket(SPREAD * random.normal() + shift);
        if let Some(count) = usize::try_from(bucket.max(0)).ok().and_then(|it| latency.get_mut(it)) {
            *count += 1;
        }
    }
    Sample { arm, latency }
}

/// The bucket of a latency whose logarithm is so far above the median's.
#[expect(clippy::cast_possible_truncation, reason = "a few hundred buckets at the most")]
fn bucket(log: f64) -> i32 {
    MEDIAN + (log / GROWTH.ln()).ceil() as i32
}

/// A judge of errors who knows the stable version.
pub(crate) fn of_errors(stable: f64, margin: Margin, alpha: Level) -> Judge {
    let prior = Prior::new(stable, 2000);
    let errors = Some(Errors { margin, prior, part: 1.0 });
    Judge::new(Settings { alpha, errors, ..Settings::default() })
}

/// A judge of latencies who knows the stable version, and allows so many buckets more.
pub(crate) fn of_latency(shift: usize, alpha: Level) -> Judge {
    let edge = |deviations: &f64| {
        let bucket = bucket(SPREAD * deviations);
        let log = f64::from(bucket - MEDIAN) * GROWTH.ln();
        let rate = 0.5 * libm::erfc(log / SPREAD / std::f64::consts::SQRT_2);
        Edge { bucket: usize::try_from(bucket).expect("not negative"), prior: Prior::new(rate, 2000) }
    };
    let edges = EDGES.iter().map(edge).collect();
    let latency = Some(Latency { edges, shift, allowance: 0.0, part: 1.0 });
    Judge::new(Settings { alpha, errors: None, latency, ..Settings::default() })
}

/// The middle one of many runs; those that never ended count as longest.
pub(crate) fn median(mut runs: Vec<Option<u32>>) -> Option<u32> {
    runs.sort_by_key(|it| it.unwrap_or(u32::MAX));
    runs[runs.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "thousands of requests")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few requests, not negative")]
fn as_count(count: f64) -> u64 {
    count as u64
}

/// Errors whose rates swing together by four fifths, once in ten minutes.
pub(crate) fn swinging(rate: f64, share: f64, bad: (f64, f64), second: u32) -> Traffic {
    let swing = 1.0 + 0.8 * (f64::from(second) / 600.0 * std::f64::consts::TAU).sin();
    Traffic::errors(rate, share, bad.0 * swing, bad.1 * swing)
}
