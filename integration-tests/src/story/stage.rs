//! What the pods got while one weight was in force.

use crate::tally::Tally;

/// Lines of the load closer than this to a change of weight are not counted: the clocks of the load and of the
/// status meet only so well. In milliseconds.
const MARGIN_MS: i64 = 600;

/// A proxy's split is off by less than two requests in any window.
const OFF_PER_PROXY: u64 = 2;

/// Requests that were drawn before a line of the load and answered after it.
const UNDER_WAY: u64 = 4;

/// One weight, from its confirmation by all proxies to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// In percent.
    pub weight: u32,
    /// Answers meanwhile.
    pub requests: u64,
    /// Those of the new version.
    pub canary: u64,
    /// How far `canary` may be from the exact number.
    pub allowed: u64,
}

impl Stage {
    /// The part of the new version, in percent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a story are far below 2^52")]
    pub fn share(&self) -> f64 {
        100.0 * self.canary as f64 / self.requests.max(1) as f64
    }

    /// A sentence if the share was off.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        // In hundredths of a request, to stay with whole numbers.
        let off = (self.canary * 100).abs_diff(self.requests * u64::from(self.weight)).div_ceil(100);
        let Self { weight, requests, canary, allowed } = self;
        (off > *allowed).then(|| {
            format!("at weight {weight} the new version got {canary} of {requests} requests, {off} from exact ({allowed} allowed)")
        })
    }
}

/// The weight that was seen last.
#[derive(Clone, Copy, Debug)]
struct Current {
    weight: u32,
    /// The end of the first look that saw it.
    since_ms: i64,
    /// The beginning of the last look that saw it: what came later is not known to be its own.
    until_ms: i64,
}

/// The weights of a story as they come and go.
#[derive(Debug)]
pub(super) struct Stages {
    version: String,
    proxies: usize,
    current: Option<Current>,
    ended: Vec<Stage>,
}

impl Stages {
    pub(super) fn new(version: String, proxies: usize) -> Self {
        Self { version, proxies, current: None, ended: Vec::new() }
    }

    /// Takes one look, from its beginning to its end: all proxies served `weight`, or something else was going on.
    pub(super) fn see(&mut self, look_ms: (i64, i64), weight: Option<u32>, tallies: &[Tally]) {
        let (begun_ms, ended_ms) = look_ms;
        match &mut self.current {
            Some(current) if Some(current.weight) == weight => current.until_ms = begun_ms,
            current => {
                let ended = current.take();
                self.ended.extend(ended.and_then(|it| self.measure(it, tallies)));
                self.current =
                    weight.map(|weight| Current { weight, since_ms: ended_ms, until_ms: begun_ms });
            }
        }
    }

    pub(super) fn end(&mut self, tallies: &[Tally]) -> Vec<Stage> {
        let now_ms = tallies.last().map_or(0, |tally| tally.at_ms);
        self.see((now_ms, now_ms), None, tallies);
        std::mem::take(&mut self.ended)
    }

    fn measure(&self, of: Current, tallies: &[Tally]) -> Option<Stage> {
        let Current { weight, since_ms, until_ms } = of;
        let first = tallies.iter().find(|tally| tally.at_ms >= since_ms + MARGIN_MS)?;
        let last = tallies.iter().rev().find(|tally| tally.at_ms <= until_ms - MARGIN_MS)?;
        let requests = last.answered().checked_sub(first.answered())?;
        let canary = last.answered_by(&self.version) - first.answered_by(&self.version);
        // Nothing and everything are exact.
        let allowed =
            if weight.is_multiple_of(100) { 0 } else { OFF_PER_PROXY * self.proxies as u64 + UNDER_WAY };
        (requests > 0).then_some(Stage { weight, requests, canary, allowed })
    }
}

/// The part of `version` among the answers of the last `window_ms`.
#[expect(clippy::cast_precision_loss, reason = "counts of a story are far below 2^52")]
pub(super) fn share(tallies: &[Tally], version: &str, window_ms: i64) -> Option<f64> {
    let last = tallies.last()?;
    let first = tallies.iter().rev().find(|tally| tally.at_ms <= last.at_ms - window_ms)?;
    let requests = last.answered() - first.answered();
    let canary = last.answered_by(version) - first.answered_by(version);
    (requests > 0).then(|| 100.0 * canary as f64 / requests as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Answers;

    fn line(at_ms: i64, stable: u64, canary: u64) -> Tally {
        let good = |good| Answers { good, bad: 0 };
        let versions = [("v1".to_owned(), good(stable)), ("v2".to_owned(), good(canary))].into();
        Tally { at_ms, versions, ..Tally::default() }
    }

    #[test]
    fn a_stage_counts_only_what_is_surely_its_own() {
        let tallies = [line(0, 10, 0), line(1_000, 80, 30), line(2_000, 150, 60), line(3_000, 160, 150)];
        let mut stages = Stages::new("v2".into(), 1);

        stages.see((250, 300), Some(30), &tallies[..1]);
        stages.see((2_650, 2_700), Some(30), &tallies[..3]);
        stages.see((3_650, 3_700), Some(60), &tallies);

        assert_eq!(stages.ended, [Stage { weight: 30, requests: 100, canary: 30, allowed: 6 }]);
    }

    #[test]
    fn what_comes_between_two_looks_belongs_to_nobody() {
        let tallies = [line(0, 10, 0), line(1_000, 80, 30), line(2_000, 150, 60), line(3_000, 150, 160)];
        let mut stages = Stages::new("v2".into(), 1);

        // The look that sees the next weight comes late: the weight may have been another one for long.
        stages.see((250, 300), Some(30), &tallies[..1]);
        stages.see((2_650, 2_700), Some(30), &tallies[..3]);
        stages.see((5_650, 5_700), Some(100), &tallies);

        assert_eq!(stages.ended, [Stage { weight: 30, requests: 100, canary: 30, allowed: 6 }]);
    }

    #[test]
    fn a_share_that_is_off_is_told() {
        let stage = |canary| Stage { weight: 30, requests: 1_000, canary, allowed: 6 };

        assert_eq!(stage(306).problem(), None);
        assert!(stage(307).problem().unwrap().contains("307 of 1000 requests, 7 from exact"));
    }
}
