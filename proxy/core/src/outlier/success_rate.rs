//! Whose share of good answers is far below that of the others, interval by interval.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use proxy_config::model::{SuccessRate, UnixMillis};

/// When the interval of a cluster ends, for as long as the cluster exists; shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Interval {
    /// In milliseconds since 1970; 0: none has begun.
    ends: AtomicI64,
}

/// What one endpoint has answered within the interval.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    all: AtomicU32,
    good: AtomicU32,
}

/// How an interval that is over is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// What was seen within it counts.
    Counts,
    /// It is long over, or the first: what was seen belongs to no time.
    Stale,
}

/// Below this, rates differ by how numbers are rounded.
const ROUNDING: f64 = 1e-9;

impl Interval {
    /// Begins the next interval if this one is over, and says so to one caller alone.
    pub(super) fn roll(&self, length_ms: u32, now: UnixMillis) -> Option<Over> {
        let ends = self.ends.load(Ordering::Relaxed);
        if now.0 < ends {
            return None;
        }
        let length = i64::from(length_ms);
        let next = now.0.saturating_add(length);
        self.ends.compare_exchange(ends, next, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        Some(if now.0 < ends.saturating_add(length) { Over::Counts } else { Over::Stale })
    }
}

impl Answers {
    pub(super) fn note(&self, good: bool) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if good {
            self.good.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Begins anew. The share of good answers, if there were enough of any.
    pub(super) fn take(&self, enough: u32) -> Option<f64> {
        let (all, good) = (self.all.swap(0, Ordering::Relaxed), self.good.swap(0, Ordering::Relaxed));
        // An answer that is noted just now may be in one of them only.
        (all >= enough.max(1)).then(|| f64::from(good.min(all)) / f64::from(all))
    }
}

/// Of these endpoints with their shares of good answers those that are too far below the mean, the worst first.
pub(super) fn outliers<E>(rates: Vec<(E, f64)>, policy: &SuccessRate) -> impl Iterator<Item = E> {
    let enough = rates.len() >= usize::try_from(policy.minimum_hosts).unwrap_or(usize::MAX);
    let count = f64::from(u32::try_from(rates.len()).unwrap_or(u32::MAX)).max(1.0);
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let least = mean - variance.sqrt() * f64::from(policy.deviations_per_mille) / 1000.0 - ROUNDING;
    let mut low: Vec<_> = rates.into_iter().filter(|(_, rate)| enough && *rate < least).collect();
    low.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    low.into_iter().map(|(endpoint, _)| endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_far_below_the_mean_is_an_outlier() {
        let far = |rates: &[f64], minimum_hosts, deviations_per_mille| {
            let policy = SuccessRate { minimum_hosts, request_volume: 1, deviations_per_mille };
            let rates = rates.iter().copied().enumerate().collect();
            outliers(rates, &policy).collect::<Vec<usize>>()
        };
        let (good, one, two) =
            ([0.99; 6], [1.0, 1.0, 0.5, 1.0, 1.0, 1.0], [0.2, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9]);
        assert_eq!(far(&good, 5, 1900), []);
        assert_eq!(far(&good, 5, 0), [], "equal ones are equal however they are rounded");
        assert_eq!(far(&one, 5, 1900), [2]);
        assert_eq!(far(&one, 7, 1900), [], "too few to compare");
        assert_eq!(far(&one, 5, 3000), [], "not far enough");
        assert_eq!(far(&two, 5, 1000), [4, 0], "the worst first");
        assert_eq!(far(&[], 0, 1900), []);
    }

    #[test]
    fn few_answers_say_nothing_and_each_counts_once() {
        let answers = Answers::default();
        for good in [true, false, true, true] {
            answers.note(good);
        }
        assert_eq!(answers.take(4), Some(0.75));
        assert_eq!(answers.take(0), None, "none is not enough either");
        answers.note(true);
        assert_eq!(answers.take(2), None);
        assert_eq!(answers.take(1), None);
    }

    #[test]
    fn an_interval_ends_once_and_counts_unless_it_is_long_over() {
        let interval = Interval::default();
        let rolled = [10_000, 10_999, 11_000, 11_500, 12_400, 20_000, 20_500].map(|now| {
            let over = interval.roll(1_000, UnixMillis(now));
            (now, over)
        });
        let expected = [
            (10_000, Some(Over::Stale)),
            (10_999, None),
            (11_000, Some(Over::Counts)),
            (11_500, None),
            (12_400, Some(Over::Counts)),
            (20_000, Some(Over::Stale)),
            (20_500, None),
        ];
        assert_eq!(rolled, expected);
    }
}
