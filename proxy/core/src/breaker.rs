//! How much one proxy has with one cluster at a time (Envoy's circuit breakers), over all of its threads.
//!
//! What has no limit is not counted and costs nothing. A count is taken before what it stands for begins and given back
//! when that is over, whatever becomes of it; so a limit is exact, however many threads ask at once.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use proxy_config::model::Limits;

use crate::padded::Padded;

/// Of a cluster without a limit on retries: how much of its requests may be retries, as one of so many, and how many
/// always may. As Envoy's `retry_budget` with its defaults. When everything fails, a fifth more load is all that trying
/// again adds.
const RETRY_ONE_OF: u32 = 5;
const RETRIES_ALWAYS: u32 = 3;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections to the cluster's endpoints.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests, their bodies and responses included; connections that are not looked into count as one.
    Requests,
    /// Tries after the first of requests that an endpoint may have seen already.
    Retries,
}

/// What one process has with one cluster now, for as long as the cluster exists. Most clusters have no limits and no
/// retries, and nothing is ever counted.
#[derive(Debug, Default)]
pub(crate) struct Usage(OnceLock<Box<Padded<[AtomicU32; Limit::ALL.len()]>>>);

/// The limits of a cluster, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    limits: Limits,
    usage: Arc<Usage>,
}

/// One of what is limited, until it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct Taken {
    usage: Arc<Usage>,
    limit: Limit,
}

/// There is as much as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is as much under way to the upstream as its limits allow")]
pub struct Full(pub Limit);

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Pending, Self::Requests, Self::Retries];

    /// As it stands in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Pending => "pending",
            Self::Requests => "requests",
            Self::Retries => "retries",
        }
    }
}

impl Breaker {
    pub(crate) fn new(limits: Limits, usage: Arc<Usage>) -> Self {
        Self { limits, usage }
    }

    /// Whether there is a limit on connections or on who waits for one.
    #[must_use]
    pub fn limits_connections(&self) -> bool {
        self.limits.connections.is_some() || self.limits.pending.is_some()
    }

    /// Takes one of what is limited; `None` where it is not.
    ///
    /// # Errors
    /// There is as much as there may be.
    pub fn take(&self, limit: Limit) -> Result<Option<Taken>, Full> {
        let Limits { connections, pending, requests, retries } = self.limits;
        let most = match limit {
            Limit::Connections => connections,
            Limit::Pending => pending,
            Limit::Requests => requests,
            Limit::Retries => retries,
        };
        most.map(|most| self.take_up_to(limit, most)).transpose()
    }

    /// Takes a retry. `in_flight` is how many requests the cluster has; asked for only where nothing else is written.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn take_retry(&self, in_flight: impl FnOnce() -> u32) -> Result<Taken, Full> {
        let most = self.limits.retries.unwrap_or_else(|| (in_flight() / RETRY_ONE_OF).max(RETRIES_ALWAYS));
        self.take_up_to(Limit::Retries, most)
    }

    /// Takes a connection although there are as many as there may be, for a thread that would else never have one.
    pub fn take_the_first_connection(&self) -> Taken {
        let (usage, limit) = (Arc::clone(&self.usage), Limit::Connections);
        usage.of(limit).fetch_add(1, Ordering::Relaxed);
        Taken { usage, limit }
    }

    fn take_up_to(&self, limit: Limit, most: u32) -> Result<Taken, Full> {
        let more = |now: u32| (now < most).then_some(now + 1);
        match self.usage.of(limit).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Taken { usage: Arc::clone(&self.usage), limit }),
            Err(_) => Err(Full(limit)),
        }
    }
}

impl Usage {
    fn of(&self, limit: Limit) -> &AtomicU32 {
        let Padded(counts) = &**self.0.get_or_init(Box::default);
        &counts[limit as usize]
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.usage.of(self.limit).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(limits: Limits) -> Breaker {
        Breaker::new(limits, Arc::default())
    }

    #[test]
    fn no_more_is_taken_than_there_may_be_and_what_ends_is_given_back() {
        let breaker = breaker(Limits { requests: Some(2), ..Limits::default() });
        let first = breaker.take(Limit::Requests).unwrap();
        let _second = breaker.take(Limit::Requests).unwrap();
        assert_eq!(breaker.take(Limit::Requests).unwrap_err(), Full(Limit::Requests));
        drop(first);
        assert!(breaker.take(Limit::Requests).unwrap().is_some());
        for unlimited in [Limit::Connections, Limit::Pending, Limit::Retries] {
            assert!(breaker.take(unlimited).unwrap().is_none(), "{unlimited:?}");
        }
    }

    #[test]
    fn threads_that_ask_at_once_get_no_more_together() {
        let breaker = breaker(Limits { connections: Some(100), ..Limits::default() });
        let asking = || {
            let breaker = breaker.clone();
            std::thread::spawn(move || {
                let taken: Vec<_> = (0..60).filter_map(|_| breaker.take(Limit::Connections).ok()).collect();
                taken
            })
        };
        let threads: Vec<_> = (0..4).map(|_| asking()).collect();
        let taken: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(taken.iter().map(Vec::len).sum::<usize>(), 100);
    }

    #[test]
    fn a_limit_of_zero_lets_nobody_in_but_a_thread_has_its_first_connection() {
        let breaker = breaker(Limits { connections: Some(0), ..Limits::default() });
        assert!(breaker.take(Limit::Connections).is_err());
        let taken = breaker.take_the_first_connection();
        drop(taken);
        assert!(breaker.take(Limit::Connections).is_err(), "and it is given back once");
    }

    #[test]
    fn retries_are_a_fifth_of_the_requests_where_nothing_else_is_written() {
        for (limits, in_flight, expected) in [
            (Limits::default(), 0, 3),
            (Limits::default(), 100, 20),
            (Limits { retries: Some(7), ..Limits::default() }, 100, 7),
            (Limits { retries: Some(0), ..Limits::default() }, 100, 0),
        ] {
            let breaker = breaker(limits);
            let taken: Vec<_> = (0..50).map_while(|_| breaker.take_retry(|| in_flight).ok()).collect();
            assert_eq!(taken.len(), expected, "{limits:?} {in_flight}");
        }
    }
}
