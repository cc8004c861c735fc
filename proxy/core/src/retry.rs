//! Whether a request that failed before its response head is sent again, and where.

use http::Method;

use crate::answer::Reason;

/// How many tries one request gets, the first included.
pub const TRIES: u32 = 3;

/// How a try ended without a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection within the cluster's connect timeout, or refused.
    Connect,
    /// The connection was closed before a byte of the request was written.
    Unsent,
    /// The connection broke after that.
    Broken(Connection),
    /// The upstream's bytes are no HTTP response.
    Protocol,
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
/// Nothing was sent after a failed connect or on a connection that was closed before: any method may go again.
/// A request that was written may have been acted on: it goes again only if repeating it is harmless (RFC 9110
/// §9.2.2) and the connection came from the pool, where a close between two requests is ordinary.
#[must_use]
pub fn next(failure: Failure, method: &Method, replay: Replay, tries: u32) -> Next {
    let reason = match failure {
        Failure::Connect => Reason::ConnectFailed,
        Failure::Unsent | Failure::Broken(_) => Reason::UpstreamReset,
        Failure::Protocol => Reason::UpstreamProtocol,
    };
    if replay == Replay::Impossible || tries >= TRIES {
        return Next::GiveUp(reason);
    }
    match failure {
        Failure::Connect => Next::AnotherEndpoint,
        Failure::Unsent => Next::FreshConnection,
        Failure::Broken(Connection::Pooled) if is_idempotent(method) => Next::FreshConnection,
        Failure::Broken(_) | Failure::Protocol => Next::GiveUp(reason),
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
        use Failure::{Broken, Connect, Protocol, Unsent};
        use Next::{AnotherEndpoint, FreshConnection, GiveUp};
        use Reason::{ConnectFailed, UpstreamProtocol, UpstreamReset};
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
            (Protocol, Method::GET, Possible, 1, GiveUp(UpstreamProtocol)),
        ];
        for (failure, method, replay, tries, expected) in table {
            assert_eq!(
                next(failure, &method, replay, tries),
                expected,
                "{failure:?} {method} {replay:?} {tries}"
            );
        }
    }
}
