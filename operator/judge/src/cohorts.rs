//! Counts by the second in which requests *began*.
//!
//! A request that times out is counted when it times out; by the second in which requests *end*, a canary that hangs
//! looks idle. So requests belong to the second in which they began, and a second is judged when all its requests have
//! ended. None is waited for longer than [`PATIENCE`]: what has no answer by then is bad, and slower than every edge, of
//! both versions alike. Seconds are judged in order, so that which of them are judged tells nothing of how they went.
//!
//! A second in which an arm sent requests to more than one version (a selector had just moved, a pod of an older
//! version was still there) is no second of either, and is left out.

use std::collections::BTreeMap;

use crate::counts::{Sample, Second, Tick};

/// How long a request may take to be anything but bad, in seconds.
pub const PATIENCE: Second = 30;

/// How many seconds after its own a second is known at the earliest: proxies report each second.
const KNOWN_AFTER: Second = 3;

/// Parts of the whole in which shares are told.
const WHOLE: u64 = 10_000;

/// An arm of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArmName {
    /// The one that the weight is about.
    Canary,
    /// The other.
    Stable,
}

/// What was counted of one arm and one version, of requests that began in one second.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    /// When the requests began.
    pub second: Second,
    /// The arm that was drawn.
    pub arm: ArmName,
    /// The version of the pods that got them: their pod-template hash. `None`: there was no pod, which is the arm's fault.
    pub version: Option<&'a str>,
    /// The counts, latencies included. A request that the client gave up is in none of them.
    pub sample: Sample,
    /// The sum over all requests of the share that the arm had, in 1/10 000; `None` where the arms are not the two of a
    /// split.
    pub shares: Option<u64>,
}

/// A second that is complete.
#[derive(Clone, Debug, PartialEq)]
pub enum Cohort {
    /// Each arm sent to its version alone.
    Pure(Tick),
    /// Versions were mixed.
    Mixed(Second),
}

/// What is known of the last seconds.
#[derive(Clone, Debug)]
pub struct Cohorts<'a> {
    canary: &'a str,
    stable: &'a str,
    seconds: BTreeMap<Second, Gathered>,
}

#[derive(Clone, Debug, Default)]
struct Gathered {
    canary: Arm,
    stable: Arm,
    mixed: bool,
}

#[derive(Clone, Debug, Default)]
struct Arm {
    sample: Sample,
    shares: u64,
    /// Some requests had no share.
    unknown: bool,
}

impl<'a> Cohorts<'a> {
    /// For these versions.
    #[must_use]
    pub fn new(canary: &'a str, stable: &'a str) -> Self {
        Self { canary, stable, seconds: BTreeMap::new() }
    }

    /// Takes counts in. Those of several splits and proxies are added up.
    pub fn report(&mut self, report: Report<'_>) {
        let Report { second, arm, version, sample, shares } = report;
        let gathered = self.seconds.entry(second).or_default();
        let (own, into) = match arm {
            ArmName::Canary => (self.canary, &mut gathered.canary),
            ArmName::Stable => (self.stable, &mut gathered.stable),
        };
        if version.is_some_and(|version| version != own) {
            gathered.mixed |= sample.arm.requests > 0;
            return;
        }
        into.sample.absorb(&sample);
        into.shares = into.shares.saturating_add(shares.unwrap_or_default());
        into.unknown |= shares.is_none() && sample.arm.requests > 0;
    }

    /// The seconds after `after` that are complete at `now`, in order.
    #[must_use]
    pub fn complete(&self, after: Option<Second>, now: Second) -> Vec<Cohort> {
        let after = after.unwrap_or(Second::MIN);
        let known = self.seconds.iter().filter(|(second, _)| **second > after);
        known
            .take_while(|(second, gathered)| {
                let age = now.saturating_sub(**second);
                age > PATIENCE || age >= KNOWN_AFTER && gathered.unfinished() == 0
            })
            .map(|(second, gathered)| gathered.cohort(*second))
            .collect()
    }
}

impl Gathered {
    fn unfinished(&self) -> u64 {
        self.canary.sample.unfinished() + self.stable.sample.unfinished()
    }

    fn cohort(&self, second: Second) -> Cohort {
        if self.mixed {
            return Cohort::Mixed(second);
        }
        let [canary, stable] = [&self.canary, &self.stable].map(|arm| {
            let mut sample = arm.sample.clone();
            sample.arm.bad = (sample.arm.bad + sample.unfinished()).min(sample.arm.requests);
            sample
        });
        Cohort::Pure(Tick { second, canary, stable, canary_share: self.canary_share() })
    }

    /// The share that the canary was meant to get; `None` if it is not known or changed within the second.
    fn canary_share(&self) -> Option<f64> {
        let of = |arm: &Arm| {
            let requests = arm.sample.arm.requests;
            let exact = !arm.unknown && requests > 0 && arm.shares.is_multiple_of(requests);
            exact.then(|| arm.shares / requests)
        };
        let none = |arm: &Arm| arm.sample.arm.requests == 0;
        let share = match (of(&self.canary), of(&self.stable)) {
            (Some(canary), Some(stable)) => (canary + stable == WHOLE).then_some(canary),
            (Some(canary), None) => none(&self.stable).then_some(canary),
            (None, Some(stable)) => none(&self.canary).then(|| WHOLE.saturating_sub(stable)),
            (None, None) => None,
        };
        share.map(|share| crate::counts::float(share) / crate::counts::float(WHOLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::{Arm, Counts};

    fn report(second: Second, arm: ArmName, version: &str, (requests, bad): (u64, u64)) -> Report<'_> {
        let share = match arm {
            ArmName::Canary => 500,
            ArmName::Stable => 9_500,
        };
        let sample = Sample { arm: Arm { requests, bad }, latency: vec![requests] };
        let version = Some(version).filter(|it| !it.is_empty());
        Report { second, arm, version, sample, shares: Some(requests * share) }
    }

    fn cohorts() -> Cohorts<'static> {
        let mut cohorts = Cohorts::new("v2", "v1");
        for second in [10, 11, 12] {
            cohorts.report(report(second, ArmName::Canary, "v2", (5, 1)));
            cohorts.report(report(second, ArmName::Stable, "v1", (95, 0)));
        }
        cohorts
    }

    fn hanging(second: Second, requests: u64) -> Report<'static> {
        let sample = Sample { arm: Arm { requests, bad: 0 }, latency: Vec::new() };
        Report { sample, ..report(second, ArmName::Canary, "v2", (requests, 0)) }
    }

    fn seconds(complete: &[Cohort]) -> Vec<Second> {
        let second = |it: &Cohort| match it {
            Cohort::Pure(tick) => tick.second,
            Cohort::Mixed(second) => *second,
        };
        complete.iter().map(second).collect()
    }

    #[test]
    fn a_second_is_judged_once_and_not_before_it_is_known() {
        let mut cohorts = cohorts();
        assert_eq!(seconds(&cohorts.complete(None, 12)), Vec::<Second>::new());
        assert_eq!(seconds(&cohorts.complete(None, 14)), [10, 11]);
        assert_eq!(seconds(&cohorts.complete(Some(10), 15)), [11, 12]);
        // Proxies and splits are added up.
        cohorts.report(report(10, ArmName::Stable, "v1", (5, 1)));
        let [Cohort::Pure(tick)] = &cohorts.complete(None, 13)[..] else { panic!("one second is known") };
        assert_eq!(tick.errors(), Counts::new((5, 1), (100, 1)));
        assert_eq!(tick.canary_share, Some(0.05));
    }

    #[test]
    fn what_hangs_is_waited_for_in_order_and_is_bad_in_the_end() {
        let mut cohorts = cohorts();
        cohorts.report(hanging(11, 2));
        assert_eq!(seconds(&cohorts.complete(None, 41)), [10]);
        let complete = cohorts.complete(Some(10), 42);
        assert_eq!(seconds(&complete), [11, 12]);
        let Cohort::Pure(tick) = &complete[0] else { panic!("it is pure") };
        assert_eq!(tick.errors().canary, Arm { requests: 7, bad: 3 });
        assert_eq!(tick.canary.slower_than(70).bad, 2);
    }

    #[test]
    fn a_second_that_mixes_versions_is_left_out() {
        let mut cohorts = cohorts();
        cohorts.report(report(11, ArmName::Canary, "v1", (1, 0)));
        cohorts.report(report(12, ArmName::Stable, "v0", (0, 0)));
        let complete = cohorts.complete(None, 60);
        assert!(
            matches!(complete[..], [Cohort::Pure(_), Cohort::Mixed(11), Cohort::Pure(_)]),
            "{complete:?}"
        );
    }

    #[test]
    fn an_arm_without_pods_answers_for_itself() {
        let mut cohorts = cohorts();
        cohorts.report(report(10, ArmName::Canary, "", (4, 4)));
        let [Cohort::Pure(tick)] = &cohorts.complete(None, 13)[..] else { panic!("one second is known") };
        assert_eq!(tick.errors().canary, Arm { requests: 9, bad: 5 });
    }

    #[test]
    fn a_share_that_changed_within_a_second_or_is_not_of_two_is_not_known() {
        let mut cohorts = Cohorts::new("v2", "v1");
        cohorts.report(report(1, ArmName::Stable, "v1", (95, 0)));
        for (second, shares) in [(2, Some(100 * 9_500)), (3, Some(50 * 9_500 + 50 * 8_000)), (4, None)] {
            cohorts.report(report(second, ArmName::Canary, "v2", (5, 0)));
            cohorts.report(Report { shares, ..report(second, ArmName::Stable, "v1", (100, 0)) });
        }
        let shares: Vec<_> = cohorts
            .complete(None, 60)
            .into_iter()
            .map(|it| match it {
                Cohort::Pure(tick) => tick.canary_share,
                Cohort::Mixed(_) => None,
            })
            .collect();
        assert_eq!(shares, [Some(0.05), Some(0.05), None, None]);
    }
}
