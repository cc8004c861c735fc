//! How long requests took, in buckets whose edges grow by a constant factor.
//!
//! Each edge is 2^(1/4) times the one before, so a latency that is longer by that factor is one bucket further, whatever
//! it is, and a comparison of two histograms with a tolerance is an exact one with a shift.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How many buckets there are. The last one has no edge.
pub const BUCKETS: usize = 74;

/// The first edge is 2^18 ns, a quarter of a millisecond; the last one 2^36 ns, 69 s.
const FIRST: u32 = 18;

/// 2^(1/4), 2^(2/4) and 2^(3/4), with 63 digits behind the point.
const QUARTERS: [u64; 3] = [0x9837_f051_8db8_a96f, 0xb504_f333_f9de_6484, 0xd744_fcca_d69d_6af4];

/// Counts latencies.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// By bucket, the fastest first.
    pub buckets: [u64; BUCKETS],
    /// The sum of all.
    pub total: Duration,
}

impl Default for Counted {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], total: Duration::ZERO }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], nanoseconds: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Counts one.
    pub(crate) fn count(&self, latency: Duration) {
        let nanoseconds = nanoseconds(latency);
        self.buckets[bucket(nanoseconds)].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far; `None`: nothing.
    pub(crate) fn counted(&self) -> Option<Counted> {
        let buckets = self.buckets.each_ref().map(|it| it.load(Ordering::Relaxed));
        let total = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        buckets.iter().any(|it| *it > 0).then_some(Counted { buckets, total })
    }
}

impl Counted {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(own, other)| *own += other);
        self.total += other.total;
    }
}

/// The bucket of a latency.
pub(crate) fn bucket_of(latency: Duration) -> usize {
    bucket(nanoseconds(latency))
}

fn nanoseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// The bucket of a latency: the first whose edge is not below it.
fn bucket(nanoseconds: u64) -> usize {
    let Some(octave) = nanoseconds.checked_ilog2().and_then(|it| it.checked_sub(FIRST)) else { return 0 };
    let mantissa = nanoseconds << nanoseconds.leading_zeros();
    // Of all edges only the powers of two are whole, and an edge belongs to the bucket that it ends.
    let beyond = if nanoseconds.is_power_of_two() {
        0
    } else {
        1 + QUARTERS.iter().filter(|it| mantissa >= **it).count()
    };
    let octave = usize::try_from(octave).unwrap_or(BUCKETS);
    (octave * 4 + beyond).min(BUCKETS - 1)
}

/// Where a bucket ends; `None` for the last one, which does not.
#[must_use]
pub fn edge(bucket: usize) -> Option<Duration> {
    let (octave, quarter) = (u32::try_from(bucket / 4).ok()?, bucket % 4);
    if bucket + 1 >= BUCKETS {
        return None;
    }
    let whole = 1_u64 << (FIRST + octave);
    let nanoseconds = match quarter.checked_sub(1) {
        None => whole,
        Some(index) => {
            let product = u128::from(whole) * u128::from(QUARTERS[index]);
            u64::try_from(product >> 63).ok()?
        }
    };
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_grow_by_the_fourth_root_of_two() {
        let edges: Vec<f64> = (0..BUCKETS).filter_map(edge).map(|it| it.as_secs_f64()).collect();
        assert_eq!(edges.len(), BUCKETS - 1);
        assert_eq!((edges[0], edges[72]), (0.000_262_144, 68.719_476_736));
        for pair in edges.windows(2) {
            assert!((pair[1] / pair[0] - 2_f64.powf(0.25)).abs() < 1e-4, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn a_latency_is_between_two_edges(nanoseconds in prop_oneof![any::<u64>(), 0..100_000_000_u64, 0..400_000_u64]) {
            let found = bucket(nanoseconds);
            let latency = Duration::from_nanos(nanoseconds);
            prop_assert!(edge(found).is_none_or(|edge| latency <= edge));
            prop_assert!(found == 0 || edge(found - 1).is_some_and(|edge| latency > edge));
        }
    }

    #[test]
    fn an_edge_belongs_to_the_bucket_that_it_ends() {
        for index in 0..BUCKETS - 1 {
            let nanoseconds = u64::try_from(edge(index).unwrap().as_nanos()).unwrap();
            assert_eq!((bucket(nanoseconds), bucket(nanoseconds + 1)), (index, index + 1));
        }
    }

    #[test]
    fn what_was_counted_adds_up() {
        let latencies = Latencies::default();
        assert_eq!(latencies.counted(), None);
        [1, 1, 100].map(Duration::from_millis).into_iter().for_each(|it| latencies.count(it));
        let mut counted = latencies.counted().unwrap();
        counted.add(&latencies.counted().unwrap());
        assert_eq!((counted.buckets.iter().sum::<u64>(), counted.total), (6, Duration::from_millis(204)));
    }
}
