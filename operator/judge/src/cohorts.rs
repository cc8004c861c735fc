//! Counts by the second in which requests *started*.
//!
//! A request that times out is counted when it times out; by the second in which requests *end*, a canary that hangs
//! looks idle. So requests belong to the second in which they started, and a second is judged when all its requests
//! have had their time. What has not ended by then is no known bad request and is slower than every edge: of both
//! versions alike.
//!
//! A second in which an arm sent requests to more than one version (a selector had just moved, a pod of an older
//! version was still there) is no second of either, and is left out.

use std::collections::BTreeMap;

use crate::counts::{Sample, Second, Tick};

/// An arm of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArmName {
    /// The one that the weight is about.
    Canary,
    /// The other.
    Stable,
}

/// What one proxy counted of one arm and one version, of requests that started in one second. A later report of the
/// same second adds to the earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// When the requests started.
    pub second: Second,
    /// The arm that was drawn.
    pub arm: ArmName,
    /// The version of the pods that got them: their pod-template hash.
    pub version: String,
    /// The counts. A request that the client gave up is in none of them.
    pub sample: Sample,
}

/// A second that is complete.
#[derive(Clone, Debug, PartialEq)]
pub enum Cohort {
    /// Each arm sent to its version alone.
    Pure(Tick),
    /// Versions were mixed.
    Mixed(Second),
}

/// Seconds that are not complete yet.
#[derive(Clone, Debug)]
pub struct Cohorts {
    canary: String,
    stable: String,
    lag: Second,
    seconds: BTreeMap<Second, BTreeMap<(ArmName, String), Sample>>,
    shares: BTreeMap<Second, Option<f64>>,
    taken_until: Second,
}

impl Cohorts {
    /// For these versions. A second is complete `lag` seconds after it: the time that a request may take.
    #[must_use]
    pub fn new(canary: impl Into<String>, stable: impl Into<String>, lag: u32) -> Self {
        Self {
            canary: canary.into(),
            stable: stable.into(),
            lag: lag.into(),
            seconds: BTreeMap::new(),
            shares: BTreeMap::new(),
            taken_until: Second::MIN,
        }
    }

    /// Takes counts in. What comes after its second was judged is too late and counts for nothing.
    pub fn report(&mut self, report: Report) {
        if report.second <= self.taken_until {
            return;
        }
        let second = self.seconds.entry(report.second).or_default();
        second.entry((report.arm, report.version)).or_default().absorb(&report.sample);
    }

    /// Says which share the canary was meant to get in a second. If it is said twice, differently, the share of that
    /// second is not known.
    pub fn intended(&mut self, second: Second, share: f64) {
        if second > self.taken_until {
            let known = self.shares.entry(second).or_insert(Some(share));
            if known.is_some_and(|it| (it - share).abs() > f64::EPSILON) {
                *known = None;
            }
        }
    }

    /// Takes out what is complete, in order.
    pub fn complete(&mut self, now: Second) -> Vec<Cohort> {
        let Some(last) = now.checked_sub(self.lag).filter(|last| *last > self.taken_until) else {
            return Vec::new();
        };
        let later = self.seconds.split_off(&last.saturating_add(1));
        let seconds = std::mem::replace(&mut self.seconds, later);
        let later = self.shares.split_off(&last.saturating_add(1));
        let shares = std::mem::replace(&mut self.shares, later);
        self.taken_until = last;
        let share = |second| shares.get(&second).copied().flatten();
        seconds.into_iter().map(|(second, arms)| self.cohort(second, arms, share(second))).collect()
    }

    fn cohort(
        &self,
        second: Second,
        arms: BTreeMap<(ArmName, String), Sample>,
        canary_share: Option<f64>,
    ) -> Cohort {
        let mut tick = Tick { second, canary_share, ..Tick::default() };
        for ((arm, version), sample) in arms {
            let (wanted, into) = match arm {
                ArmName::Canary => (&self.canary, &mut tick.canary),
                ArmName::Stable => (&self.stable, &mut tick.stable),
            };
            if version == *wanted {
                into.absorb(&sample);
            } else if sample.arm.requests > 0 {
                return Cohort::Mixed(second);
            }
        }
        Cohort::Pure(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::{Arm, Counts};

    fn report(second: Second, arm: ArmName, version: &str, requests: u64, bad: u64) -> Report {
        let sample = Sample { arm: Arm { requests, bad }, latency: Vec::new() };
        Report { second, arm, version: version.to_owned(), sample }
    }

    fn cohorts() -> Cohorts {
        let mut cohorts = Cohorts::new("v2", "v1", 5);
        for second in [10, 11, 12] {
            cohorts.report(report(second, ArmName::Canary, "v2", 5, 1));
            cohorts.report(report(second, ArmName::Stable, "v1", 95, 0));
            cohorts.intended(second, 0.05);
        }
        cohorts
    }

    #[test]
    fn a_second_waits_for_its_last_request_and_is_taken_once() {
        let mut cohorts = cohorts();
        assert_eq!(cohorts.complete(14), []);
        // A timeout, told late; and proxies are added up.
        cohorts.report(report(10, ArmName::Canary, "v2", 0, 2));
        cohorts.report(report(10, ArmName::Stable, "v1", 5, 1));
        let [Cohort::Pure(tick)] = &cohorts.complete(15)[..] else { panic!("one second is complete") };
        assert_eq!(tick.errors(), Counts::new((5, 3), (100, 1)));
        assert_eq!(tick.canary_share, Some(0.05));
        cohorts.report(report(10, ArmName::Canary, "v2", 9, 9));
        assert_eq!(cohorts.complete(15), []);
        assert_eq!(cohorts.complete(60).len(), 2);
    }

    #[test]
    fn a_second_that_mixes_versions_is_left_out() {
        let mut cohorts = cohorts();
        cohorts.report(report(11, ArmName::Canary, "v1", 1, 0));
        cohorts.report(report(12, ArmName::Stable, "v0", 0, 0));
        let complete = cohorts.complete(60);
        assert!(
            matches!(complete[..], [Cohort::Pure(_), Cohort::Mixed(11), Cohort::Pure(_)]),
            "{complete:?}"
        );
    }

    #[test]
    fn a_share_that_changed_within_a_second_is_not_known() {
        let mut cohorts = cohorts();
        cohorts.intended(11, 0.2);
        cohorts.intended(11, 0.05);
        let shares: Vec<_> = cohorts
            .complete(60)
            .into_iter()
            .map(|it| match it {
                Cohort::Pure(tick) => tick.canary_share,
                Cohort::Mixed(_) => None,
            })
            .collect();
        assert_eq!(shares, [Some(0.05), None, Some(0.05)]);
    }
}
