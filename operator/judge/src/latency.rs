//! The histogram of latencies, and where versions are compared in it.
//!
//! Each of its edges is 2^(1/4) times the one before (`proxy/core/src/latency.rs` counts in it), so "so many times
//! slower" is a number of buckets. At which edges is decided before the first comparison, by what the stable version
//! did until then: at edges that are chosen with the outcome in sight a comparison is not fair.

use std::fmt;

use crate::counts::{Sample, float};
use crate::evidence::Prior;
use crate::settings::Edge;

/// How many buckets the histogram has. The last has no edge.
pub const BUCKETS: usize = 74;

/// Requests of the stable version by which the edges are chosen.
pub const LEARNED_FROM: u64 = 200;

/// The quantiles at which versions are compared.
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.9, 0.95, 0.98, 0.995];

/// How far beyond the last of them one more edge lies, for what hangs: twice as slow.
const BEYOND: usize = 4;

/// The number of a bucket, shown as the latency at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub usize);

impl Until {
    /// In milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> f64 {
        0.262_144 * (float(u64::try_from(self.0).unwrap_or(u64::MAX)) / 4.0).exp2()
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.milliseconds() {
            short if short < 10.0 => write!(f, "{short:.1} ms"),
            short if short < 1_000.0 => write!(f, "{short:.0} ms"),
            long => write!(f, "{:.1} s", long / 1_000.0),
        }
    }
}

/// How many buckets further a latency lies that is `factor` times as long: rounded up, so that nothing is held against a
/// canary that is within the factor.
#[must_use]
pub fn shift(factor: f64) -> usize {
    // The buckets of factors that are powers of 2^(1/4) must not be missed by a rounding error.
    (0..BUCKETS)
        .find(|buckets| Until(*buckets).milliseconds() >= Until(0).milliseconds() * factor - 1e-9)
        .unwrap_or(BUCKETS)
}

/// The edges that these requests of the stable version suggest; at least one, each once, the fastest first.
#[must_use]
pub fn edges(stable: &Sample) -> Vec<Edge> {
    let requests = stable.arm.requests.max(1);
    let slower = |bucket: usize| float(stable.slower_than(bucket).bad) / float(requests);
    let last = BUCKETS - 2;
    let at = |quantile: f64| (0..=last).find(|bucket| slower(*bucket) <= 1.0 - quantile).unwrap_or(last);
    let mut buckets: Vec<usize> = QUANTILES.iter().map(|quantile| at(*quantile)).collect();
    buckets.push((at(1.0) + BEYOND).min(last));
    buckets.dedup();
    let weight = u32::try_from(requests).unwrap_or(u32::MAX);
    let edge = |bucket| {
        // As if one request more had been half beyond it: nothing is so rare that it never happens.
        let rate = (slower(bucket) * float(requests) + 0.5) / (float(requests) + 1.0);
        Edge { bucket, prior: Prior::new(rate, weight) }
    };
    buckets.into_iter().map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Arm;

    #[test]
    fn an_edge_is_read_as_time() {
        let shown: Vec<String> = [0, 20, 40, 56, 72].map(|it| Until(it).to_string()).into();
        assert_eq!(shown, ["0.3 ms", "8.4 ms", "268 ms", "4.3 s", "68.7 s"]);
    }

    #[test]
    fn a_factor_is_rounded_up_to_whole_buckets() {
        assert_eq!([1.0, 1.01, 1.189, 1.2, 1.5, 2.0, 4.0].map(shift), [0, 1, 1, 2, 3, 4, 8]);
    }

    #[test]
    fn edges_lie_at_the_quantiles_and_one_beyond() {
        // 100 requests in bucket 10, 80 in 20, 19 in 30, 1 in 40.
        let mut latency = vec![0; 41];
        (latency[10], latency[20], latency[30], latency[40]) = (100, 80, 19, 1);
        let found = edges(&Sample { arm: Arm { requests: 200, bad: 0 }, latency });
        let buckets: Vec<usize> = found.iter().map(|it| it.bucket).collect();
        assert_eq!(buckets, [10, 20, 30, 44]);
        assert!((found[0].prior.rate() - 0.5).abs() < 0.01 && found[3].prior.rate() < 0.01);
        let hanging = edges(&Sample { arm: Arm { requests: 200, bad: 0 }, latency: Vec::new() });
        assert_eq!(hanging.iter().map(|it| it.bucket).collect::<Vec<_>>(), [72]);
    }
}
