//! `WebSocket` of clients over HTTP/2 (RFC 8441): a stream that is opened by `CONNECT` with a protocol. Towards endpoints it
//! is `worker/websocket.rs`.
//!
//! Rules, filters and endpoints know `WebSocket` as RFC 6455 has it, so the request becomes one of that form at once.

use std::rc::Rc;

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    response,
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::{
    random::Random,
    worker::{
        Worker,
        own::Draft,
        pool::InFlight,
        reply::{Offer, Reply},
        tunnel::{self, Protocol as Spoken},
        websocket::WEBSOCKET,
    },
};

/// The bytes of a stream, once the client has been told that it has what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Opening(OnUpgrade);

/// Gives a request for a `WebSocket` the form of RFC 6455 §4.1; others stay as they are.
pub(super) fn translate<B>(request: &mut Request<B>, random: &Random) {
    let protocol = request.extensions_mut().remove::<Protocol>();
    let is_ours = protocol.is_some_and(|it| it.as_str().eq_ignore_ascii_case(WEBSOCKET));
    if request.method() != Method::CONNECT || !is_ours {
        return;
    }
    let opening = Opening(hyper::upgrade::on(&mut *request));
    request.extensions_mut().insert(opening);
    request.extensions_mut().insert(Offer);
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    if let Ok(key) = HeaderValue::from_str(&key(random)) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
}

/// A key of 16 bytes in base64. Digits of base 16 are some of base 64 as well; the last stands for two bits.
fn key(random: &Random) -> String {
    let id = random.uuid();
    let mut key: String = id.iter().filter(|it| **it != b'-').take(21).map(|it| char::from(*it)).collect();
    key.push_str("A==");
    key
}

/// The endpoint has accepted: its bytes and those of the stream go to each other, for as long as both want. Says what the
/// client is told.
pub(super) fn accept(
    worker: &Rc<Worker>,
    opening: Opening,
    answered: (response::Parts, Reply),
    in_flight: InFlight,
    idle: Option<std::time::Duration>,
) -> Option<Draft> {
    let (mut parts, reply) = answered;
    let upstream = reply.into_stream()?;
    let served = Rc::clone(worker);
    worker.tasks.spawn_local(async move {
        match opening.0.await {
            Ok(client) => {
                let client = TokioIo::new(client);
                tunnel::run(served, Spoken::WebSocket, client, upstream, in_flight, idle).await;
            }
            Err(error) => debug!(%error, "a client does not wait for its WebSocket"),
        }
    });
    parts.status = StatusCode::OK;
    parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
    Some(Response::from_parts(parts, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        let key = key(&Random::new());
        assert_eq!(key.len(), 24);
        assert!(key.ends_with("A==") && key[..21].bytes().all(|it| it.is_ascii_hexdigit()), "{key}");
    }
}
