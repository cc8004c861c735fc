//! Whether a request that failed before its response head is sent again, and where.

use std::time::Duration;

use http::{Method, StatusCode};
use proxy_config::model::{Retry, RetryOn};

use crate::answer::Reason;

/// How many tries one request gets, the first included, for what is tried again without a policy.
pub const TRIES: u32 = 3;

/// How much longer a wait may become than the first.
const BACKOFF_MOST: u32 = 10;

/// How a try ended without a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection within the cluster's connect timeout, or refused.
    Connect,
    /// The connection was closed before a byte of the request was written.
    Unsent,
    /// HTTP/2 `REFUSED_STREAM` or above the last stream of a `GOAWAY`: the upstream has not looked at the request
    /// (RFC 9113 §8.7).
    Refused,
    /// The connection broke after that.
    Broken(Connection),
    /// The upstream's bytes are no HTTP response.
    Protocol,
    /// No response head within the policy's time for each try.
    Late,
    /// The limits of the cluster leave no connection to wait for.
    Full,
}

/// What a route wants to be tried again.
#[derive(Clone, Debug)]
pub struct Policy {
    on: Box<[RetryOn]>,
    statuses: Box<[u16]>,
    retries: u32,
    /// How long each try may take up to its response head.
    pub per_try: Option<Duration>,
    backoff: Duration,
}

/// What the connection was when the request was given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Made for this request.
    Fresh,
    /// Taken from the pool: the upstream may have closed it at the same moment.
    Pooled,
}

/// Whether the request can be sent again from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It has no body, or nothing of it was read.
    Possible,
    /// Some of its body is gone.
    Impossible,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another endpoint of the same arm.
    AnotherEndpoint,
    /// Any endpoint of the same arm, this one included, on a connection made for it.
    FreshConnection,
    /// The client is told.
    GiveUp(Reason),
}

/// What follows after `failure`, the `tries`-th try.
///
/// Nothing was sent after a failed connect, on a connection that was closed before, or in a stream that was refused: any
/// method may go again. A request that was written may have been acted on: it goes again only if repeating it is
/// harmless (RFC 9110 §9.2.2) and the connection came from the pool, where a close between two requests is ordinary.
/// A policy may ask for more.
#[must_use]
pub fn next(failure: Failure, method: &Method, replay: Replay, tries: u32, policy: Option<&Policy>) -> Next {
    let reason = failure.reason();
    if replay == Replay::Impossible {
        return Next::GiveUp(reason);
    }
    let harmless = match failure {
        Failure::Connect => Some(Next::AnotherEndpoint),
        Failure::Unsent | Failure::Refused => Some(Next::FreshConnection),
        Failure::Broken(Connection::Pooled) if is_idempotent(method) => Some(Next::FreshConnection),
        Failure::Broken(_) | Failure::Protocol | Failure::Late => None,
        // More of what is too much already.
        Failure::Full => return Next::GiveUp(reason),
    };
    match harmless {
        Some(next) if tries < TRIES => next,
        Some(_) | None if policy.is_some_and(|it| it.allows(tries) && it.retries_failure(failure)) => {
            Next::AnotherEndpoint
        }
        Some(_) | None => Next::GiveUp(reason),
    }
}

impl Failure {
    /// What the client is told if no other try follows.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::ConnectFailed,
            Self::Unsent | Self::Refused | Self::Broken(_) => Reason::UpstreamReset,
            Self::Protocol => Reason::UpstreamProtocol,
            Self::Late => Reason::Timeout,
            Self::Full => Reason::Overloaded,
        }
    }
}

impl Policy {
    /// Prepares a policy.
    #[must_use]
    pub fn new(retry: &Retry) -> Self {
        let milliseconds = |it: u32| Duration::from_millis(u64::from(it));
        Self {
            on: retry.on.as_slice().into(),
            statuses: retry.statuses.as_slice().into(),
            retries: retry.retries,
            per_try: retry.per_try_timeout_ms.map(milliseconds),
            backoff: milliseconds(retry.backoff_ms),
        }
    }

    /// Whether a response with this status, of the `tries`-th try, is thrown away for another try.
    #[must_use]
    pub fn retries_status(&self, status: StatusCode, tries: u32) -> bool {
        let status = status.as_u16();
        self.allows(tries)
            && (self.statuses.contains(&status)
                || self.on.iter().any(|on| match on {
                    RetryOn::ServerError => (500..=599).contains(&status),
                    RetryOn::GatewayError => (502..=504).contains(&status),
                    RetryOn::Conflict => status == 409,
                    RetryOn::Reset | RetryOn::ConnectFailure | RetryOn::RefusedStream => false,
                }))
    }

    /// How long to wait before the try after the `tries`-th: at random between a half of the time and all of it, which
    /// doubles with each try, up to ten times the first. `random` is a fresh random number.
    #[must_use]
    pub fn wait(&self, tries: u32, random: u64) -> Duration {
        let times = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(BACKOFF_MOST).min(BACKOFF_MOST);
        let most = self.backoff * times;
        let share = u32::try_from(random >> 48).unwrap_or_default();
        most / 2 + most / 2 * share / (1 << 16)
    }

    fn allows(&self, tries: u32) -> bool {
        tries <= self.retries
    }

    fn retries_failure(&self, failure: Failure) -> bool {
        self.on.iter().any(|on| match on {
            RetryOn::ServerError | RetryOn::GatewayError => true,
            RetryOn::Reset => failure != Failure::Connect,
            RetryOn::ConnectFailure => failure == Failure::Connect,
            RetryOn::RefusedStream => failure == Failure::Refused,
            RetryOn::Conflict => false,
        })
    }
}

/// RFC 9110 §9.2.2. Methods that we do not know may do anything.
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_repetitions_are_made() {
        use Connection::{Fresh, Pooled};
        use Failure::{Broken, Connect, Full, Late, Protocol, Refused, Unsent};
        use Next::{AnotherEndpoint, FreshConnection, GiveUp};
        use Reason::{ConnectFailed, Overloaded, Timeout, UpstreamProtocol, UpstreamReset};
        use Replay::{Impossible, Possible};
        let table = [
            (Connect, Method::GET, Possible, 1, AnotherEndpoint),
            (Connect, Method::POST, Possible, 2, AnotherEndpoint),
            (Connect, Method::POST, Possible, 3, GiveUp(ConnectFailed)),
            (Unsent, Method::POST, Possible, 1, FreshConnection),
            (Unsent, Method::POST, Impossible, 1, GiveUp(UpstreamReset)),
            (Broken(Pooled), Method::GET, Possible, 1, FreshConnection),
            (Broken(Pooled), Method::PUT, Possible, 1, FreshConnection),
            (Broken(Pooled), Method::PUT, Impossible, 1, GiveUp(UpstreamReset)),
            (Broken(Pooled), Method::POST, Possible, 1, GiveUp(UpstreamReset)),
            (Broken(Pooled), Method::PATCH, Possible, 1, GiveUp(UpstreamReset)),
            (Broken(Pooled), Method::GET, Possible, 3, GiveUp(UpstreamReset)),
            (Broken(Fresh), Method::GET, Possible, 1, GiveUp(UpstreamReset)),
            (Refused, Method::POST, Possible, 1, FreshConnection),
            (Refused, Method::POST, Possible, 3, GiveUp(UpstreamReset)),
            (Protocol, Method::GET, Possible, 1, GiveUp(UpstreamProtocol)),
            (Late, Method::GET, Possible, 1, GiveUp(Timeout)),
            (Full, Method::GET, Possible, 1, GiveUp(Overloaded)),
        ];
        for (failure, method, replay, tries, expected) in table {
            assert_eq!(
                next(failure, &method, replay, tries, None),
                expected,
                "{failure:?} {method} {replay:?} {tries}"
            );
        }
    }

    fn policy(on: &[RetryOn], retries: u32) -> Policy {
        let statuses = vec![429];
        Policy::new(&Retry { on: on.to_vec(), statuses, retries, per_try_timeout_ms: None, backoff_ms: 25 })
    }

    #[test]
    fn a_policy_asks_for_more() {
        use Connection::Fresh;
        use Failure::{Broken, Connect, Late, Refused};
        use RetryOn::{Conflict, ConnectFailure, GatewayError, RefusedStream, Reset, ServerError};
        let another = |yes: bool, reason| if yes { Next::AnotherEndpoint } else { Next::GiveUp(reason) };
        let table = [
            (Broken(Fresh), Reset, 1, true),
            (Broken(Fresh), ServerError, 5, true),
            (Broken(Fresh), ServerError, 6, false),
            (Broken(Fresh), GatewayError, 1, true),
            (Broken(Fresh), Conflict, 1, false),
            (Late, Reset, 1, true),
            (Connect, ConnectFailure, 5, true),
            (Connect, Reset, 5, false),
            (Refused, RefusedStream, 5, true),
        ];
        for (failure, on, tries, expected) in table {
            let policy = policy(&[on], 5);
            let next = next(failure, &Method::POST, Replay::Possible, tries, Some(&policy));
            let Next::GiveUp(reason) = super::next(failure, &Method::POST, Replay::Impossible, 1, None)
            else {
                unreachable!("it cannot be sent again");
            };
            assert_eq!(next, another(expected, reason), "{failure:?} {on:?} {tries}");
        }
    }

    #[test]
    fn statuses_are_retried_as_often_as_allowed() {
        use RetryOn::{Conflict, GatewayError, Reset, ServerError};
        let table = [
            (500, ServerError, 1, true),
            (500, GatewayError, 1, false),
            (503, GatewayError, 2, true),
            (503, GatewayError, 3, false),
            (409, Conflict, 1, true),
            (429, Reset, 1, true),
            (404, ServerError, 1, false),
        ];
        for (status, on, tries, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(policy(&[on], 2).retries_status(status, tries), expected, "{status} {on:?} {tries}");
        }
    }

    #[test]
    fn waits_double_up_to_ten_times_the_first() {
        let policy = policy(&[], 9);
        let waits = |tries| [0, u64::MAX].map(|random| policy.wait(tries, random).as_micros());
        assert_eq!(waits(1), [12_500, 24_999]);
        assert_eq!(waits(2)[0], 25_000);
        assert_eq!((waits(5)[0], waits(40)[0]), (125_000, 125_000));
    }
}
