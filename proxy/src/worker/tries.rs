//! The tries of one request at the endpoints of its arm: which comes next, and what each comes to.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{Method, StatusCode};
use proxy_core::{
    answer::Reason,
    balance::Affinity,
    breaker::Taken,
    counters::FirstTry,
    endpoint::{Endpoint, EndpointId},
    outlier::Outcome,
    retry::{self, Failure, Next, Policy, Replay},
    snapshot::Arm,
};
use tokio::time::Instant;
use tracing::debug;

use super::{Worker, pool::InFlight};
use crate::{clock, shared::count};

/// The state of one request's tries. The first try's outcome is counted once, when it is known.
pub(super) struct Tries<'a> {
    worker: &'a Rc<Worker>,
    arm: &'a Arm,
    made: u32,
    /// The second in which the first try began, where versions are compared.
    began: Option<i64>,
    first_is_counted: bool,
    /// What the route wants to be tried again.
    policy: Option<&'a Policy>,
    /// What of the request decides its endpoint.
    affinity: &'a Affinity,
    /// When the request began.
    begun: Instant,
    /// Endpoints that could not be connected to.
    unreachable: Vec<EndpointId>,
    /// Endpoints that failed in another way: others are better.
    avoided: Vec<EndpointId>,
    /// Whether pooled connections are not to be trusted any more.
    fresh: bool,
    /// Where the last try went.
    placed: Option<Arc<Endpoint>>,
    /// While a retry is under way that counts as one.
    retrying: Cell<Option<Taken>>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        arm: &'a Arm,
        policy: Option<&'a Policy>,
        affinity: &'a Affinity,
        begun: Instant,
    ) -> Self {
        Self {
            worker,
            arm,
            made: 0,
            began: None,
            first_is_counted: false,
            policy,
            affinity,
            begun,
            unreachable: Vec::new(),
            avoided: Vec::new(),
            fresh: false,
            placed: None,
            retrying: Cell::new(None),
        }
    }

    /// Where the last try went; the answer is counted for its version.
    pub(super) fn placed(&self) -> Option<&Endpoint> {
        self.placed.as_deref()
    }

    /// How many tries there were.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Whether a connection from the pool may be used.
    pub(super) fn may_reuse(&self) -> bool {
        !self.fresh
    }

    /// What the route wants to be tried again.
    pub(super) fn policy(&self) -> Option<&'a Policy> {
        self.policy
    }

    /// Decides the endpoint of the next try and counts the request there, or says why there is none.
    pub(super) fn next(&mut self) -> Result<InFlight, Reason> {
        let Some(endpoint) = self.pick() else {
            self.count_first(FirstTry::Bad);
            // Endpoints that were tried and failed are a connect failure; none at all is another matter.
            return Err(match self.made {
                0 if self.arm.cluster.absent => Reason::NoBackend,
                0 => Reason::NoEndpoints,
                _ => Reason::ConnectFailed,
            });
        };
        let Ok(in_flight) = InFlight::new(&self.arm.cluster, &endpoint, self.worker) else {
            self.count_first(FirstTry::Bad);
            return Err(Reason::Overloaded);
        };
        self.made += 1;
        self.placed = Some(endpoint);
        if self.made == 1 {
            self.begin_first();
        }
        Ok(in_flight)
    }

    /// The try has a response with this status.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.note(Outcome::Answered(status));
        self.count_first(if status.is_server_error() { FirstTry::Bad } else { FirstTry::Good });
    }

    /// The try has a connection, which is all that is asked for.
    pub(super) fn connected(&mut self) {
        self.answered(StatusCode::OK);
    }

    /// Whether such a response is thrown away for another try, if there can be one.
    pub(super) fn discards(&self, status: StatusCode) -> bool {
        self.policy.is_some_and(|it| it.retries_status(status, self.made)) && self.may_retry()
    }

    /// A response was thrown away. Says how long to wait before the next try.
    pub(super) fn discarded(&mut self) -> Duration {
        count(&self.worker.shared.retries);
        self.avoid()
    }

    /// The try has failed. Says how long to wait before the next, or why there is none.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        method: &Method,
        replay: Replay,
    ) -> Result<Duration, Reason> {
        if failure != Failure::Full {
            self.note(Outcome::Failed);
        }
        self.count_first(FirstTry::Bad);
        let wait = match retry::next(failure, method, replay, self.made, self.policy) {
            Next::GiveUp(reason) => return Err(reason),
            Next::AnotherEndpoint if failure == Failure::Connect => {
                self.unreachable.extend(self.placed().map(|it| it.id));
                Duration::ZERO
            }
            Next::AnotherEndpoint if !self.may_retry() => return Err(failure.reason()),
            Next::AnotherEndpoint => self.avoid(),
            Next::FreshConnection => {
                self.fresh = true;
                Duration::ZERO
            }
        };
        count(&self.worker.shared.retries);
        Ok(wait)
    }

    /// Takes one of the retries that the cluster may have under way. What no endpoint has seen needs none: to send it
    /// again is no more load than it was.
    fn may_retry(&self) -> bool {
        let cluster = &self.arm.cluster;
        let taken = cluster.breaker.take_retry(|| cluster.in_flight());
        let taken = taken.inspect_err(|full| self.worker.shared.count_full(*full)).ok();
        let may = taken.is_some();
        self.retrying.set(taken);
        may
    }

    /// The time of the whole request was over before the outcome of the try was known.
    pub(super) fn expired(&mut self) {
        self.count_first(FirstTry::Bad);
    }

    fn begin_first(&mut self) {
        if let Some(cohorts) = self.arm.cohorts(self.placed()) {
            let second = clock::seconds();
            cohorts.begin(second, self.arm.share);
            self.began = Some(second);
        }
    }

    fn count_first(&mut self, outcome: FirstTry) {
        if std::mem::replace(&mut self.first_is_counted, true) {
            return;
        }
        if self.made == 0 {
            self.begin_first();
        }
        let latency = self.begun.elapsed();
        self.arm.counters(self.placed()).count_first_try(outcome, latency);
        if let Some((cohorts, second)) = self.arm.cohorts(self.placed()).zip(self.began) {
            cohorts.end(second, outcome, latency);
        }
    }

    /// How a try ended, for the endpoint's record where its cluster keeps one.
    fn note(&self, outcome: Outcome) {
        let Some((outliers, endpoint)) = self.arm.cluster.outliers.as_ref().zip(self.placed()) else {
            return;
        };
        let (all, random) = (self.arm.cluster.balancer.endpoints(), || self.worker.random.next());
        let ejections = outliers.note(endpoint, all, outcome, clock::now(), random);
        if ejections > 0 {
            self.worker.shared.ejections.fetch_add(ejections, Ordering::Relaxed);
            debug!(last = ?endpoint.address, ejections, "endpoints that fail are left out for a time");
        }
    }

    /// By the snapshot of this moment.
    fn pick(&self) -> Option<Arc<Endpoint>> {
        let random = self.worker.random.next();
        if self.made == 0 {
            return self.arm.cluster.pick(self.affinity, &[], &[], random, clock::now).cloned();
        }
        let now = self.worker.pin();
        let cluster = now.snapshot.cluster(&self.arm.cluster.id).unwrap_or(&self.arm.cluster);
        cluster.pick(self.affinity, &self.unreachable, &self.avoided, random, clock::now).cloned()
    }

    /// The last endpoint failed: others are better for a while, and all of them after a pause.
    fn avoid(&mut self) -> Duration {
        let failed = self.placed().map(|it| it.id);
        self.avoided.extend(failed);
        self.policy.map(|it| it.wait(self.made, self.worker.random.next())).unwrap_or_default()
    }
}

/// A request that ends before its first try has an outcome was given up by its client.
impl Drop for Tries<'_> {
    fn drop(&mut self) {
        if let Some(second) = self.began.filter(|_| !self.first_is_counted)
            && let Some(cohorts) = self.arm.cohorts(self.placed())
        {
            cohorts.withdraw(second, self.arm.share);
        }
    }
}
