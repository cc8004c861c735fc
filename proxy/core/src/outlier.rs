//! Endpoints that fail are left out for a time, the longer the more often: those that fail time after time, and those that
//! do much worse than the others (Envoy's outlier detection by consecutive failures and by success rate).
//!
//! Every proxy judges by what it sees itself. How many may be out at a time has a cap, and the last one never is: a fault
//! that all share is no reason to have nobody.

mod success_rate;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use proxy_config::model::{Outliers, SuccessRate, UnixMillis};

pub(crate) use self::success_rate::Interval;
use self::success_rate::{Answers, Over, outliers};
use crate::endpoint::{Endpoint, EndpointId};

/// When an endpoint of a cluster is left out.
#[derive(Clone, Debug)]
pub struct Policy {
    settings: Outliers,
    interval: Arc<Interval>,
}

/// How one try at an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a response.
    Answered(StatusCode),
    /// Without one: it could not be connected to, broke off, or took too long.
    Failed,
}

/// What is known of an endpoint's failures, shared by all threads. Counts may be a little off when several threads
/// judge at once; it is a heuristic.
#[derive(Debug, Default)]
pub(crate) struct Record {
    server_errors: AtomicU32,
    gateway_errors: AtomicU32,
    local_failures: AtomicU32,
    answers: Answers,
    ejections: AtomicU32,
    /// In milliseconds since 1970; 0: it was never out.
    out_until: AtomicI64,
}

impl Policy {
    /// `None` if nothing is looked at. `interval` is that of the cluster.
    pub(crate) fn new(outliers: &Outliers, interval: impl FnOnce() -> Arc<Interval>) -> Option<Self> {
        let Outliers { server_errors, gateway_errors, local_failures, success_rate, .. } = outliers;
        let consecutive = server_errors.or(*gateway_errors).or(*local_failures);
        let looks = consecutive.is_some() || success_rate.is_some();
        looks.then(|| Self { settings: *outliers, interval: interval() })
    }

    /// Notes how a try ended, leaves the endpoint out if that was once too often, and at the end of an interval those that did
    /// much worse than the others. Says how many were left out by it. `random` gives fresh random numbers.
    pub fn note(
        &self,
        endpoint: &Endpoint,
        all: &[Arc<Endpoint>],
        outcome: Outcome,
        now: UnixMillis,
        mut random: impl FnMut() -> u64,
    ) -> u64 {
        let too_often = self.fails_too_often(endpoint, outcome, &mut random);
        let mut left_out = u64::from(too_often && self.leave_out(endpoint, all, now));
        if let Some(policy) = &self.settings.success_rate {
            let good = matches!(outcome, Outcome::Answered(status) if !status.is_server_error());
            endpoint.record().answers.note(good);
            if let Some(over) = self.interval.roll(self.settings.interval_ms, now) {
                left_out += self.compare(policy, all, over, now, random);
            }
        }
        left_out
    }

    /// The endpoints that are out; most often none, and then this allocates nothing.
    pub fn left_out(&self, all: &[Arc<Endpoint>], now: UnixMillis) -> Vec<EndpointId> {
        all.iter().filter(|it| it.record().is_out(now)).map(|it| it.id).collect()
    }

    /// Whether this failure of an endpoint is one too many after the others, and is to be acted on.
    fn fails_too_often(
        &self,
        endpoint: &Endpoint,
        outcome: Outcome,
        mut random: impl FnMut() -> u64,
    ) -> bool {
        let record = endpoint.record();
        let (server, gateway, local) = match outcome {
            Outcome::Failed => (true, true, true),
            Outcome::Answered(status) => {
                (status.is_server_error(), (502..=504).contains(&status.as_u16()), false)
            }
        };
        let Outliers { server_errors, gateway_errors, local_failures, enforced, .. } = self.settings;
        let judged = [
            (&record.server_errors, server, server_errors, enforced.server_errors),
            (&record.gateway_errors, gateway, gateway_errors, enforced.gateway_errors),
            (&record.local_failures, local, local_failures, enforced.local_failures),
        ];
        let mut too_often = false;
        for (count, failed, limit, percent) in judged {
            if failed {
                let seen = count.fetch_add(1, Ordering::Relaxed) + 1;
                if limit.is_some_and(|limit| seen >= limit) {
                    if is_enforced(percent, &mut random) {
                        too_often = true;
                    } else {
                        // Let off, it has to fail as often again.
                        count.store(0, Ordering::Relaxed);
                    }
                }
            } else if count.load(Ordering::Relaxed) > 0 {
                count.store(0, Ordering::Relaxed);
            }
        }
        too_often
    }

    /// Leaves out those that did much worse than the others. Says how many.
    fn compare(
        &self,
        policy: &SuccessRate,
        all: &[Arc<Endpoint>],
        over: Over,
        now: UnixMillis,
        mut random: impl FnMut() -> u64,
    ) -> u64 {
        // All begin anew, also those that have too few.
        let rates = all.iter().map(|it| (it, it.record().answers.take(policy.request_volume)));
        let rates: Vec<_> = rates.filter_map(|(it, rate)| Some((it, rate?))).collect();
        if over == Over::Stale {
            return 0;
        }
        let found = outliers(rates, policy).filter(|it| {
            is_enforced(self.settings.enforced.success_rate, &mut random) && self.leave_out(it, all, now)
        });
        found.count() as u64
    }

    /// Says whether it is this call that does it.
    fn leave_out(&self, endpoint: &Endpoint, all: &[Arc<Endpoint>], now: UnixMillis) -> bool {
        self.may_leave_out(all, now) && endpoint.record().leave_out(&self.settings, now)
    }

    fn may_leave_out(&self, all: &[Arc<Endpoint>], now: UnixMillis) -> bool {
        let out = all.iter().filter(|it| it.record().is_out(now)).count();
        let percent = usize::try_from(self.settings.max_ejection_percent).unwrap_or(100);
        let most = (all.len() * percent / 100).max(1).min(all.len().saturating_sub(1));
        out < most
    }
}

/// Whether one finding of so many, in percent, is acted on.
fn is_enforced(percent: u32, random: impl FnOnce() -> u64) -> bool {
    percent >= 100 || percent > 0 && random() % 100 < u64::from(percent)
}

impl Record {
    fn is_out(&self, now: UnixMillis) -> bool {
        self.out_until.load(Ordering::Relaxed) > now.0
    }

    /// Says whether it is this call that does it.
    fn leave_out(&self, policy: &Outliers, now: UnixMillis) -> bool {
        let until = self.out_until.load(Ordering::Relaxed);
        if until > now.0 {
            return false;
        }
        // Each interval without an ejection forgives one.
        let rested = (now.0 - until).max(0) / i64::from(policy.interval_ms.max(1));
        let before = self.ejections.load(Ordering::Relaxed);
        let forgiven = if until == 0 { 0 } else { u32::try_from(rested).unwrap_or(u32::MAX) };
        let ejections = before.saturating_sub(forgiven) + 1;
        let base = Duration::from_millis(u64::from(policy.base_ejection_ms));
        let most = Duration::from_millis(u64::from(policy.max_ejection_ms.max(policy.base_ejection_ms)));
        let time = base.saturating_mul(ejections).min(most);
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let next = now.0.saturating_add(time);
        if self.out_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        self.ejections.store(ejections, Ordering::Relaxed);
        for count in [&self.server_errors, &self.gateway_errors, &self.local_failures] {
            count.store(0, Ordering::Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{Address, Version};

    use super::*;

    fn endpoints(count: u64) -> Vec<Arc<Endpoint>> {
        let endpoint = |index| {
            let address = Address::Name { host: format!("pod-{index}"), port: 80 };
            Arc::new(Endpoint::new(EndpointId(index), address, Version::default(), "".into()))
        };
        (0..count).map(endpoint).collect()
    }

    fn policy(percent: u32) -> Policy {
        made(|it| (it.server_errors, it.max_ejection_percent) = (Some(3), percent))
    }

    fn made(change: impl FnOnce(&mut Outliers)) -> Policy {
        let times = Outliers {
            interval_ms: 1_000,
            base_ejection_ms: 100,
            max_ejection_ms: 250,
            ..Outliers::default()
        };
        let mut outliers = times;
        change(&mut outliers);
        Policy::new(&outliers, Arc::default).unwrap()
    }

    const BAD: Outcome = Outcome::Answered(StatusCode::INTERNAL_SERVER_ERROR);
    const GOOD: Outcome = Outcome::Answered(StatusCode::OK);

    /// How long the endpoint is out after it has failed three times at `now`; 0 if it is not.
    fn fail(policy: &Policy, all: &[Arc<Endpoint>], index: usize, now: i64) -> i64 {
        for _ in 0..3 {
            policy.note(&all[index], all, BAD, UnixMillis(now), || 0);
        }
        let out = (0..1_000).take_while(|ahead| !policy.left_out(all, UnixMillis(now + ahead)).is_empty());
        i64::try_from(out.count()).unwrap()
    }

    #[test]
    fn failures_in_a_row_leave_an_endpoint_out_and_longer_each_time() {
        let (policy, all) = (policy(100), endpoints(3));
        assert_eq!(fail(&policy, &all, 0, 10_000), 100);
        assert_eq!(fail(&policy, &all, 0, 10_200), 200);
        assert_eq!(fail(&policy, &all, 0, 10_500), 250, "no longer than the most");
        assert_eq!(fail(&policy, &all, 0, 20_000), 100, "what was long ago is forgiven");
    }

    #[test]
    fn a_success_in_between_begins_anew() {
        let (policy, all) = (policy(100), endpoints(3));
        for outcome in [BAD, BAD, GOOD, BAD, BAD, GOOD, BAD, Outcome::Failed] {
            assert_eq!(policy.note(&all[0], &all, outcome, UnixMillis(1), || 0), 0);
        }
        assert_eq!(policy.note(&all[0], &all, Outcome::Failed, UnixMillis(1), || 0), 1);
    }

    #[test]
    fn no_more_than_the_cap_are_out_and_never_the_last() {
        let (few, all) = (policy(50), endpoints(4));
        assert_eq!([0, 1, 2].map(|index| fail(&few, &all, index, 1) > 0), [true, true, true]);
        assert_eq!(few.left_out(&all, UnixMillis(2)).len(), 2);
        let (one, two) = (endpoints(1), endpoints(2));
        assert_eq!(fail(&policy(100), &one, 0, 1), 0);
        assert!(fail(&policy(0), &two, 0, 1) > 0, "one may always be");
        fail(&policy(100), &two, 1, 1);
        assert_eq!(policy(100).left_out(&two, UnixMillis(2)), [EndpointId(0)]);
    }

    #[test]
    fn what_is_enforced_in_part_is_acted_on_by_chance() {
        let (policy, all) =
            (made(|it| (it.server_errors, it.enforced.server_errors) = (Some(2), 30)), endpoints(3));
        let fails = |random: u64| policy.note(&all[0], &all, BAD, UnixMillis(1), || random);
        assert_eq!([fails(130), fails(130)], [0, 0], "30 of 100 is let off");
        assert_eq!([fails(129), fails(129)], [0, 1], "and has to fail twice again");
    }

    /// Ends an interval in which endpoint 0 was good 60 times of 100 and the others always.
    fn interval(policy: &Policy, all: &[Arc<Endpoint>], now: i64) -> u64 {
        let mut left_out = 0;
        for (index, endpoint) in all.iter().enumerate() {
            for number in 0..100 {
                let outcome = if index == 0 && number % 5 > 2 { BAD } else { GOOD };
                left_out += policy.note(endpoint, all, outcome, UnixMillis(now), || 0);
            }
        }
        left_out + policy.note(&all[1], all, GOOD, UnixMillis(now + 1_000), || 0)
    }

    #[test]
    fn who_does_much_worse_than_the_others_is_left_out_at_the_end_of_an_interval() {
        let compares = |it: &mut Outliers| it.success_rate = Some(SuccessRate::default());
        let (policy, all) = (made(compares), endpoints(6));
        policy.note(&all[1], &all, GOOD, UnixMillis(9_000), || 0);
        assert_eq!(interval(&policy, &all, 9_500), 1);
        assert_eq!(policy.left_out(&all, UnixMillis(10_550)), [EndpointId(0)]);
        let few = endpoints(4);
        policy.note(&few[1], &few, GOOD, UnixMillis(19_000), || 0);
        assert_eq!(interval(&policy, &few, 19_500), 0, "too few to compare");
        let off = made(|it| {
            compares(it);
            it.enforced.success_rate = 0;
        });
        off.note(&all[1], &all, GOOD, UnixMillis(29_000), || 0);
        assert_eq!(interval(&off, &all, 29_500), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_looked_at() {
        assert!(Policy::new(&Outliers::default(), Arc::default).is_none());
    }
}
