//! What all threads see.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proxy_core::{
    answer::Reason,
    breaker::{Full, Limit},
};
use tokio::sync::{Notify, Semaphore};

use crate::access::AccessLog;

/// Counters of the whole process, and the bell that workers ring for the control thread.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Rung when a draining endpoint became idle or the last request left an old snapshot: the operator may be
    /// waiting for it.
    pub(crate) settled: Notify,
    /// Answers of the proxy itself.
    reasons: BTreeMap<Reason, AtomicU64>,
    /// Tries after the first.
    pub(crate) retries: AtomicU64,
    /// Requests and retries that a limit of their cluster kept back, in the order of [`Limit::ALL`].
    full: [AtomicU64; Limit::ALL.len()],
    /// Answers to health checks, good ones and bad ones.
    pub(crate) health_checks: [AtomicU64; 2],
    /// Endpoints that were left out for a time.
    pub(crate) ejections: AtomicU64,
    /// Connections to endpoints that could not be made.
    pub(crate) connect_failures: AtomicU64,
    /// Connections to endpoints that were made.
    pub(crate) connects: AtomicU64,
    /// How many connections of clients there may be.
    max_connections: u64,
    /// How many sessions of datagrams there may be.
    max_sessions: u64,
    /// Sessions of datagrams, ever.
    pub(crate) sessions: AtomicU64,
    /// Those that are over.
    pub(crate) sessions_ended: AtomicU64,
    /// Datagrams that were thrown away.
    pub(crate) datagrams_dropped: AtomicU64,
    /// What upstreams are told of clients besides.
    pub(crate) told: Told,
    /// Where requests are logged, if they are.
    pub(crate) access: Option<Arc<AccessLog>>,
    /// Connections of clients, ever.
    pub(crate) accepted: AtomicU64,
    /// Connections of clients that are over.
    pub(crate) closed: AtomicU64,
    /// Those that ended because the client stood still in the middle of a head or an answer.
    pub(crate) stalled: AtomicU64,
    /// Those that ended before TLS was agreed on.
    pub(crate) tls_failures: AtomicU64,
    /// Those that did not begin with the header that their peer has to send.
    pub(crate) header_failures: AtomicU64,
    /// Whoever has a permit may compare a password.
    pub(crate) comparisons: Arc<Semaphore>,
}

/// What upstreams are told of clients, if the user wants it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// `Forwarded`.
    pub(crate) forwarded: bool,
    /// `X-Forwarded-Client-Cert`.
    pub(crate) certificates: bool,
}

/// How many passwords are compared at the same time.
const COMPARISONS: usize = 2;

/// What the process is about to do; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serve.
    Serving,
    /// Serve, and ask clients to come back elsewhere.
    Leaving,
    /// End what is under way and accept nothing new.
    Draining,
    /// Tell what does not end by itself that it has to.
    Ending,
}

impl Shared {
    pub(crate) fn new(
        max_connections: u64,
        max_sessions: u64,
        told: Told,
        access: Option<Arc<AccessLog>>,
    ) -> Self {
        Self {
            max_connections,
            max_sessions,
            sessions: AtomicU64::new(0),
            sessions_ended: AtomicU64::new(0),
            datagrams_dropped: AtomicU64::new(0),
            told,
            access,
            settled: Notify::new(),
            reasons: Reason::ALL.into_iter().map(|it| (it, AtomicU64::new(0))).collect(),
            retries: AtomicU64::new(0),
            full: Default::default(),
            health_checks: Default::default(),
            ejections: AtomicU64::new(0),
            connect_failures: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            tls_failures: AtomicU64::new(0),
            header_failures: AtomicU64::new(0),
            comparisons: Arc::new(Semaphore::new(COMPARISONS)),
        }
    }

    /// Whether there are as many connections of clients as there may be, or a few more: each thread looks alone.
    pub(crate) fn is_full(&self) -> bool {
        let closed = self.closed.load(Ordering::Relaxed);
        self.accepted.load(Ordering::Relaxed).saturating_sub(closed) >= self.max_connections
    }

    /// The same of sessions of datagrams.
    pub(crate) fn is_full_of_sessions(&self) -> bool {
        let ended = self.sessions_ended.load(Ordering::Relaxed);
        self.sessions.load(Ordering::Relaxed).saturating_sub(ended) >= self.max_sessions
    }

    pub(crate) fn count_reason(&self, reason: Reason) {
        if let Some(count) = self.reasons.get(&reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_full(&self, Full(limit): Full) {
        count(&self.full[limit as usize]);
    }

    /// What limits kept back.
    pub(crate) fn full(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL.into_iter().map(|limit| (limit, self.full[limit as usize].load(Ordering::Relaxed)))
    }

    pub(crate) fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.reasons.iter().map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
