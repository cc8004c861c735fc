//! Endpoints that fail are left out for a time, the longer the more often (Envoy's outlier detection by consecutive
//! failures).
//!
//! Every proxy judges by what it sees itself. How many may be out at a time has a cap, and the last one never is: a fault
//! that all share is no reason to have nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use proxy_config::model::{Outliers, UnixMillis};

use crate::endpoint::{Endpoint, EndpointId};

/// When an endpoint of a cluster is left out.
#[derive(Clone, Copy, Debug)]
pub struct Policy(Outliers);

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
    ejections: AtomicU32,
    /// In milliseconds since 1970; 0: it was never out.
    out_until: AtomicI64,
}

impl Policy {
    /// `None` if nothing is looked at.
    #[must_use]
    pub fn new(outliers: &Outliers) -> Option<Self> {
        let Outliers { server_errors, gateway_errors, local_failures, .. } = outliers;
        let looks = server_errors.or(*gateway_errors).or(*local_failures).is_some();
        looks.then_some(Self(*outliers))
    }

    /// Notes how a try ended, and leaves the endpoint out if that was once too often. Says whether it did.
    pub fn note(
        &self,
        endpoint: &Endpoint,
        all: &[Arc<Endpoint>],
        outcome: Outcome,
        now: UnixMillis,
    ) -> bool {
        let record = endpoint.record();
        let (server, gateway, local) = match outcome {
            Outcome::Failed => (true, true, true),
            Outcome::Answered(status) => {
                (status.is_server_error(), (502..=504).contains(&status.as_u16()), false)
            }
        };
        let Outliers { server_errors, gateway_errors, local_failures, .. } = self.0;
        let judged = [
            (&record.server_errors, server, server_errors),
            (&record.gateway_errors, gateway, gateway_errors),
            (&record.local_failures, local, local_failures),
        ];
        let mut too_often = false;
        for (count, failed, limit) in judged {
            if failed {
                let count = count.fetch_add(1, Ordering::Relaxed) + 1;
                too_often |= limit.is_some_and(|limit| count >= limit);
            } else if count.load(Ordering::Relaxed) > 0 {
                count.store(0, Ordering::Relaxed);
            }
        }
        if !too_often || !self.may_leave_out(all, now) {
            return false;
        }
        record.leave_out(&self.0, now)
    }

    /// The endpoints that are out; most often none, and then this allocates nothing.
    pub fn left_out(&self, all: &[Arc<Endpoint>], now: UnixMillis) -> Vec<EndpointId> {
        all.iter().filter(|it| it.record().is_out(now)).map(|it| it.id).collect()
    }

    fn may_leave_out(&self, all: &[Arc<Endpoint>], now: UnixMillis) -> bool {
        let out = all.iter().filter(|it| it.record().is_out(now)).count();
        let percent = usize::try_from(self.0.max_ejection_percent).unwrap_or(100);
        let most = (all.len() * percent / 100).max(1).min(all.len().saturating_sub(1));
        out < most
    }
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
        Policy::new(&Outliers {
            server_errors: Some(3),
            interval_ms: 1_000,
            base_ejection_ms: 100,
            max_ejection_ms: 250,
            max_ejection_percent: percent,
            ..Outliers::default()
        })
        .unwrap()
    }

    const BAD: Outcome = Outcome::Answered(StatusCode::INTERNAL_SERVER_ERROR);
    const GOOD: Outcome = Outcome::Answered(StatusCode::OK);

    /// How long the endpoint is out after it has failed three times at `now`; 0 if it is not.
    fn fail(policy: &Policy, all: &[Arc<Endpoint>], index: usize, now: i64) -> i64 {
        for _ in 0..3 {
            policy.note(&all[index], all, BAD, UnixMillis(now));
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
            assert!(!policy.note(&all[0], &all, outcome, UnixMillis(1)));
        }
        assert!(policy.note(&all[0], &all, Outcome::Failed, UnixMillis(1)));
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
    fn without_a_limit_nothing_is_looked_at() {
        assert!(Policy::new(&Outliers::default()).is_none());
    }
}
