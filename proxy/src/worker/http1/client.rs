//! What a client gets: heads of responses as they go on, and whole answers of our own.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::DATE};
use proxy_http1::{Asked, Framing, Persistence, Response, Version, write};

use super::head::{offer_upgrade, write_headers};
use crate::{
    clock,
    worker::{own::Draft, websocket::WEBSOCKET},
};

/// What the answer to a request depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) version: Version,
    pub(super) asked: Asked,
    pub(super) persistence: Persistence,
}

/// How a response ends, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Close {
    pub(super) framing: Framing,
    /// The length that it would have, where it has no body.
    pub(super) length: Option<u64>,
    pub(super) persistence: Persistence,
}

impl Client {
    /// How a body of an upstream goes to this client. HTTP/1.0 has no chunks, so there it ends with the connection; for
    /// others one that ends with the upstream's connection has chunks here, and ours stays.
    pub(super) fn framing(self, from: Framing) -> Framing {
        match (self.version, from) {
            (Version::Http10, Framing::Chunked | Framing::UntilClose) => Framing::UntilClose,
            (Version::Http11, Framing::Chunked | Framing::UntilClose) => Framing::Chunked,
            (Version::Http10 | Version::Http11, Framing::None | Framing::Length(_)) => from,
        }
    }

    /// Writes the line about the connection, where the version says something else.
    fn write_persistence(self, out: &mut Vec<u8>, persistence: Persistence) {
        match (self.version, persistence) {
            (Version::Http11, Persistence::KeepAlive) => {}
            (Version::Http10, Persistence::KeepAlive) => {
                out.extend_from_slice(b"connection: keep-alive\r\n");
            }
            (Version::Http10 | Version::Http11, Persistence::Close) => {
                out.extend_from_slice(b"connection: close\r\n");
            }
        }
    }

    /// Writes the head of a response whose headers are the upstream's, and perhaps a cookie.
    pub(super) fn pass_response(
        self,
        out: &mut Vec<u8>,
        response: &Response<'_, '_>,
        cookie: Option<&HeaderValue>,
        close: Close,
    ) {
        write::status_line(out, self.version, response.status, response.reason);
        response.fields.end_to_end().for_each(|it| write::field(out, it.name, it.value));
        if let Some(cookie) = cookie {
            write::field(out, "set-cookie", cookie.as_bytes());
        }
        self.end_response(out, close);
    }

    /// Writes the head of a response whose headers were looked at or changed.
    pub(super) fn write_response(
        self,
        out: &mut Vec<u8>,
        (status, reason): (u16, &str),
        headers: &HeaderMap,
        close: Close,
    ) {
        write::status_line(out, self.version, status, reason);
        write_headers(out, headers);
        self.end_response(out, close);
    }

    fn end_response(self, out: &mut Vec<u8>, close: Close) {
        match (close.framing, close.length) {
            (Framing::None, Some(length)) => write::content_length(out, length),
            (framing, _) => write::framing(out, framing),
        }
        self.write_persistence(out, close.persistence);
        write::end_of_head(out);
    }

    /// Writes all of an answer that has a body of its own.
    pub(super) fn write_own(self, out: &mut Vec<u8>, mut response: Draft, persistence: Persistence) {
        let status = response.status();
        write::status_line(out, self.version, status.as_u16(), status.canonical_reason().unwrap_or_default());
        // RFC 9110 §6.6.1 asks for it of whoever has a clock.
        if !response.headers().contains_key(DATE)
            && let Ok(date) = HeaderValue::from_str(&clock::date())
        {
            response.headers_mut().insert(DATE, date);
        }
        write_headers(out, response.headers());
        let body: Bytes = response.into_body().unwrap_or_default();
        write::content_length(out, body.len() as u64);
        self.write_persistence(out, persistence);
        write::end_of_head(out);
        if self.asked != Asked::Head {
            out.extend_from_slice(&body);
        }
    }
}

/// Writes the head of the answer that switches to another protocol.
pub(super) fn write_switch(out: &mut Vec<u8>, response: &Response<'_, '_>) {
    write::status_line(out, Version::Http11, response.status, response.reason);
    for field in response.fields.end_to_end() {
        write::field(out, field.name, field.value);
    }
    offer_upgrade(out, response.upgrade);
    write::end_of_head(out);
}

/// The same for a `WebSocket` that a stream of HTTP/2 has become.
pub(super) fn write_opened(out: &mut Vec<u8>, headers: &HeaderMap) {
    write::status_line(out, Version::Http11, 101, "Switching Protocols");
    write_headers(out, headers);
    offer_upgrade(out, Some(WEBSOCKET.as_bytes()));
    write::end_of_head(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_go_to_each_client_in_a_way_that_it_reads() {
        use Framing::{Chunked, Length, None, UntilClose};
        let client = |version| Client { version, asked: Asked::Other, persistence: Persistence::KeepAlive };
        for (from, old, new) in [
            (None, None, None),
            (Length(0), Length(0), Length(0)),
            (Chunked, UntilClose, Chunked),
            (UntilClose, UntilClose, Chunked),
        ] {
            let to = [Version::Http10, Version::Http11].map(|version| client(version).framing(from));
            assert_eq!(to, [old, new], "{from:?}");
        }
    }
}
