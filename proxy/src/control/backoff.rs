//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from a tenth of a second to five, each with jitter, so that proxies that lost the same operator do
/// not come back all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half of the step and all of it.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = step / 2;
        let jitter = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_millis(random % jitter)
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_are_never_nothing() {
        let mut backoff = Backoff::default();
        let steps = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000];
        for step in steps {
            let mut twin = Backoff { failures: backoff.failures };
            assert_eq!(twin.next(0), Duration::from_millis(step / 2));
            assert!((step / 2..=step).contains(&u64::try_from(backoff.next(u64::MAX).as_millis()).unwrap()));
        }
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(50));
    }
}
