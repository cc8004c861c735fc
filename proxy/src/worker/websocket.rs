//! `WebSocket` towards endpoints that speak HTTP/2 (RFC 8441): a stream that `CONNECT` opens with a protocol.
//!
//! Rules, filters and tries know `WebSocket` as RFC 6455 has it. A request gets the other form when it is given to a
//! connection whose endpoint offers that, and what comes back gets the form of RFC 6455 at once.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use hyper::{
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};

use super::reply::Offer;

/// The name of the protocol, in both forms.
pub(super) const WEBSOCKET: &str = "websocket";
/// What a server appends to a key before it hashes it (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The bytes of a stream that is a `WebSocket`.
pub(super) type Opened = TokioIo<Upgraded>;

/// Gives a request that offers `WebSocket` the form of RFC 8441 §5, and returns its key. Others stay as they are.
pub(super) fn ask<B>(request: &mut Request<B>) -> Option<HeaderValue> {
    request.extensions().get::<Offer>()?;
    let key = request.headers_mut().remove(SEC_WEBSOCKET_KEY)?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
    Some(key)
}

/// Gives an answer that accepts the form of RFC 6455 §4.2.2. Others stay as they are.
pub(super) fn answered<B>(response: &mut Response<B>, key: &HeaderValue) {
    if response.status() != StatusCode::OK || response.extensions().get::<OnUpgrade>().is_none() {
        return;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    if let Ok(accept) = HeaderValue::from_str(&accept(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
}

/// The stream behind an answer that accepts. `None`: it is none of ours.
pub(super) async fn open<B>(response: &mut Response<B>) -> Option<Opened> {
    let opening = response.extensions_mut().remove::<OnUpgrade>()?;
    // It is there already: hyper has it when it has the answer.
    opening.await.ok().map(TokioIo::new)
}

/// What proves to the client that its key was read.
fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_standard() {
        // RFC 6455 §1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_what_is_an_offer_is_asked_for_in_the_other_form() {
        let mut plain = Request::get("/").header(SEC_WEBSOCKET_KEY, "k").body(()).unwrap();
        assert_eq!((ask(&mut plain), plain.method()), (None, &Method::GET));
        plain.extensions_mut().insert(Offer);
        assert_eq!(ask(&mut plain), Some(HeaderValue::from_static("k")));
        assert_eq!(plain.method(), Method::CONNECT);
        // It came back unsent, and goes to another connection.
        assert_eq!((ask(&mut plain), plain.method()), (None, &Method::CONNECT));
    }
}
