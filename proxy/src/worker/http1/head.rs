//! Heads as they go on.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use proxy_core::{
    forward::{self, Sender},
    router::{Headers, joined},
    snapshot::HostRewrite,
};
use proxy_http1::{Asked, Field, Fields, Framing, Persistence, Request, Response, Version, write};

use crate::random::Random;

/// The lines of a head, for rules to look at.
#[derive(Debug)]
pub(super) struct Lines<'a>(pub(super) Fields<'a, 'a>);

impl Headers for Lines<'_> {
    fn value(&self, name: &HeaderName) -> Option<Cow<'_, [u8]>> {
        joined(self.0.all(name.as_str()))
    }
}

/// A request as its upstream sees it.
#[derive(Debug)]
pub(super) struct Upward<'a> {
    pub(super) request: &'a Request<'a, 'a>,
    /// In normal form, and rewritten.
    pub(super) path: &'a str,
    pub(super) host: &'a HostRewrite,
    pub(super) sender: &'a Sender,
    /// The address of the client, as text.
    pub(super) client: &'a str,
    /// The protocol that is offered to the upstream as well.
    pub(super) upgrade: Option<&'a [u8]>,
    /// Its id, if it was made already.
    pub(super) id: Option<&'a HeaderValue>,
}

/// What the other end of the connection says of the client, which counts only if it is a trusted proxy.
#[derive(Debug, Default)]
struct Said {
    chain: bool,
    proto: bool,
    host: bool,
    id: bool,
}

impl Upward<'_> {
    /// Writes its head. `false`: it has no host, and needs one before it is sent.
    ///
    /// `X-Forwarded-Proto` is what the client spoke to us, whatever it says itself, unless it is a trusted proxy; so is
    /// `X-Forwarded-Host`, which is there if the upstream sees another host. `Expect` is answered by us when an
    /// upstream takes the body.
    pub(super) fn write(&self, out: &mut Vec<u8>, random: &Random) -> bool {
        let Self { request, path, host, sender, client, upgrade, id } = self;
        let (_, query) = request.target.path_and_query();
        let trusted = sender.trusted_hops > 0;
        write::request_line(out, request.method, path, query);
        let (host, rewritten) = match host {
            HostRewrite::Keep => (request.authority.map(str::as_bytes), false),
            HostRewrite::Literal(host) => (Some(host.as_bytes()), true),
            HostRewrite::Endpoint => (request.authority.map(str::as_bytes), true),
        };
        if let Some(host) = host {
            write::field(out, "host", host);
        }
        let mut said = Said::default();
        for field in request.fields.end_to_end() {
            match field.name.len() {
                4 if field.is("host") => {}
                6 if field.is("expect") => {}
                12 if field.is("x-request-id") => {
                    said.id = true;
                    write::field(out, field.name, field.value);
                }
                15 if field.is("x-forwarded-for") => said.chain = true,
                16 if field.is("x-forwarded-host") => {
                    said.host = true;
                    if trusted {
                        write::field(out, field.name, field.value);
                    }
                }
                17 if field.is("x-forwarded-proto") => {
                    said.proto = true;
                    if trusted {
                        write::field(out, field.name, field.value);
                    }
                }
                _ => write::field(out, field.name, field.value),
            }
        }
        out.extend_from_slice(b"x-forwarded-for: ");
        if said.chain {
            for value in request.fields.all("x-forwarded-for") {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        }
        out.extend_from_slice(client.as_bytes());
        out.extend_from_slice(b"\r\n");
        if !(trusted && said.proto) {
            write::field(out, "x-forwarded-proto", sender.scheme.as_str().as_bytes());
        }
        if (rewritten || said.host)
            && !(trusted && said.host)
            && let Some(asked) = request.authority
        {
            write::field(out, "x-forwarded-host", asked.as_bytes());
        }
        match (said.id, id) {
            (true, _) => {}
            (false, Some(id)) => write::field(out, "x-request-id", id.as_bytes()),
            (false, None) => write::field(out, "x-request-id", &random.uuid()),
        }
        end_request(out, *upgrade, request.framing);
        host.is_some()
    }
}

/// Writes a head anew with headers that were changed. Whether it has a host.
pub(super) fn rewrite(out: &mut Vec<u8>, parts: &Parts, upgrade: Option<&[u8]>, framing: Framing) -> bool {
    out.clear();
    write::request_line(out, parts.method.as_str(), parts.uri.path(), parts.uri.query());
    let host = parts.headers.get(HOST);
    if let Some(host) = host {
        write::field(out, "host", host.as_bytes());
    }
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != HOST && !is_ours(name)) {
        write::field(out, name.as_str(), value.as_bytes());
    }
    end_request(out, upgrade, framing);
    host.is_some()
}

fn end_request(out: &mut Vec<u8>, upgrade: Option<&[u8]>, framing: Framing) {
    offer_upgrade(out, upgrade);
    write::framing(out, framing);
    write::end_of_head(out);
}

/// Writes headers, but for those that we decide on.
pub(super) fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
        write::field(out, name.as_str(), value.as_bytes());
    }
}

/// Whether it frames the message or is about the connection, which no configuration can change.
fn is_ours(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, TE].contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

/// Gives a head that was written another host. It is in the second line, if there is one.
pub(super) fn set_host(head: &mut Vec<u8>, host: &str) {
    let end_of_line =
        |from: usize| head[from..].windows(2).position(|it| it == b"\r\n").map(|at| from + at + 2);
    let begin = end_of_line(0).unwrap_or(head.len());
    let has_host = head[begin..].starts_with(b"host: ");
    let end = if has_host { end_of_line(begin).unwrap_or(head.len()) } else { begin };
    head.splice(begin..end, format!("host: {host}\r\n").into_bytes());
}

/// A request as its client sent it, in the form that filters look at.
pub(super) fn received(request: &Request<'_, '_>) -> Option<Parts> {
    parts(request, request.fields.iter())
}

/// A head that was written, for a copy that goes another way or for changes.
pub(super) fn written(head: &[u8]) -> Option<Parts> {
    let mut room = proxy_http1::Room::new();
    let request = Request::parse(head, &mut room).ok()?;
    parts(&request, request.fields.end_to_end())
}

fn parts<'a>(request: &Request<'_, '_>, fields: impl Iterator<Item = Field<'a>>) -> Option<Parts> {
    let (path, query) = request.target.path_and_query();
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = http::Request::builder().method(request.method).uri(target).body(()).ok()?.into_parts().0;
    parts.version = match request.version {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
    };
    parts.headers = headers(fields)?;
    Some(parts)
}

/// Fields as a map.
pub(super) fn headers<'a>(fields: impl Iterator<Item = Field<'a>>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(headers)
}

/// What the answer to a request depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) version: Version,
    pub(super) asked: Asked,
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
    pub(super) fn write_persistence(self, out: &mut Vec<u8>, persistence: Persistence) {
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

    /// Writes the head of a response as the client gets it, with a body of this framing, and with these headers if its
    /// own were changed.
    pub(super) fn write_response(
        self,
        out: &mut Vec<u8>,
        response: &Response<'_, '_>,
        changed: Option<&HeaderMap>,
        framing: Framing,
        persistence: Persistence,
    ) {
        write::status_line(out, self.version, response.status, response.reason);
        match changed {
            Some(headers) => write_headers(out, headers),
            None => response.fields.end_to_end().for_each(|it| write::field(out, it.name, it.value)),
        }
        match (framing, response.length) {
            (Framing::None, Some(length)) => write::content_length(out, length),
            (framing, _) => write::framing(out, framing),
        }
        self.write_persistence(out, persistence);
        write::end_of_head(out);
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

/// The protocol that the client offers, if a tunnel of it may pass here.
pub(super) fn offered<'a>(request: &Request<'_, 'a>) -> Option<&'a [u8]> {
    request.upgrade.filter(|it| {
        let mut protocols = it.split(|it| *it == b',').map(<[u8]>::trim_ascii);
        !protocols.any(|it| std::str::from_utf8(it).is_ok_and(forward::carries_requests))
    })
}

fn offer_upgrade(out: &mut Vec<u8>, protocol: Option<&[u8]>) {
    if let Some(protocol) = protocol {
        write::field(out, "connection", b"upgrade");
        write::field(out, "upgrade", protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_comes_right_after_the_request_line() {
        for begin in ["", "host: other\r\n"] {
            let mut head = format!("GET / HTTP/1.1\r\n{begin}accept: */*\r\n\r\n").into_bytes();
            set_host(&mut head, "127.0.0.1:80");
            assert_eq!(head, b"GET / HTTP/1.1\r\nhost: 127.0.0.1:80\r\naccept: */*\r\n\r\n");
        }
    }

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
