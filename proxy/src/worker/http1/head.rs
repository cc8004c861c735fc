//! Heads of requests as they go on.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use proxy_core::{
    forward::{self, Extra, Sender},
    router::{Headers, joined},
    snapshot::HostRewrite,
};
use proxy_http1::{Field, Fields, Framing, Request, Version, write};

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
    /// What it is told besides.
    pub(super) extra: Extra<'a>,
    /// The address of the client, as text.
    pub(super) client: &'a str,
    /// The protocol that is offered to the upstream as well.
    pub(super) upgrade: Option<&'a [u8]>,
    /// Its id, if it was made already.
    pub(super) id: Option<&'a HeaderValue>,
}

/// What the other end of the connection says of the client, which counts only if it is a trusted proxy.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a header that is there or not")]
struct Said {
    chain: bool,
    proto: bool,
    host: bool,
    id: bool,
}

impl Upward<'_> {
    /// Writes its head. `false`: its host is empty, and it needs one before it is sent.
    ///
    /// `X-Forwarded-Proto` is what the client spoke to us, whatever it says itself, unless it is a trusted proxy; so is
    /// `X-Forwarded-Host`, which is there if the upstream sees another host. `Expect` is answered by us when an
    /// upstream takes the body.
    pub(super) fn write(&self, out: &mut Vec<u8>, random: &Random) -> bool {
        let Self { request, path, host, sender, extra, client, upgrade, id } = self;
        let (_, query) = request.target.path_and_query();
        let trusted = sender.trusted_hops > 0;
        write::request_line(out, request.method, path, query);
        let (host, rewritten) = match host {
            HostRewrite::Keep => (request.authority.map(str::as_bytes), false),
            HostRewrite::Literal(host) => (Some(host.as_bytes()), true),
            HostRewrite::Endpoint => (request.authority.map(str::as_bytes), true),
        };
        // An empty one is another's to fill in.
        write::field(out, "host", host.unwrap_or_default());
        let mut said = Said::default();
        for field in request.fields.end_to_end() {
            match field.name.len() {
                4 if field.is("host") => {}
                6 if field.is("expect") => {}
                // Of whom nobody trusts it could swallow ours.
                9 if extra.forwarded && !trusted && field.is("forwarded") => {}
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
                // Pods would take it for ours.
                23 if field.is("x-forwarded-client-cert") => {}
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
        if extra.forwarded {
            out.extend_from_slice(b"forwarded: ");
            forward::write_forwarded(out, client, request.authority.map(str::as_bytes), sender.scheme);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(certificate) = extra.certificate {
            write::field(out, "x-forwarded-client-cert", certificate.as_bytes());
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

/// Writes a head anew with headers that were changed.
pub(super) fn rewrite(out: &mut Vec<u8>, parts: &Parts, upgrade: Option<&[u8]>, framing: Framing) {
    out.clear();
    write_request(out, (&parts.method, &parts.uri, &parts.headers), upgrade, framing);
}

/// Writes the head of a request in the form of other libraries.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    upgrade: Option<&[u8]>,
    framing: Framing,
) {
    write::request_line(out, method.as_str(), uri.path(), uri.query());
    write::field(out, "host", headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default());
    for (name, value) in headers.iter().filter(|(name, _)| **name != HOST && !is_ours(name)) {
        write::field(out, name.as_str(), value.as_bytes());
    }
    end_request(out, upgrade, framing);
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

/// Gives a head that was written another host. It is in the second line.
pub(super) fn set_host(head: &mut Vec<u8>, host: &str) {
    let end_of_line = |from: usize| {
        head[from..].windows(2).position(|it| it == b"\r\n").map_or(head.len(), |at| from + at + 2)
    };
    let begin = end_of_line(0);
    let end = end_of_line(begin);
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

/// The protocol that the client offers, if a tunnel of it may pass here.
pub(super) fn offered<'a>(request: &Request<'_, 'a>) -> Option<&'a [u8]> {
    request.upgrade.filter(|it| {
        let mut protocols = it.split(|it| *it == b',').map(<[u8]>::trim_ascii);
        !protocols.any(|it| std::str::from_utf8(it).is_ok_and(forward::carries_requests))
    })
}

/// Writes that the next protocol may be this one.
pub(super) fn offer_upgrade(out: &mut Vec<u8>, protocol: Option<&[u8]>) {
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
        for before in ["", "other"] {
            let mut head = format!("GET / HTTP/1.1\r\nhost: {before}\r\naccept: */*\r\n\r\n").into_bytes();
            set_host(&mut head, "127.0.0.1:80");
            assert_eq!(head, b"GET / HTTP/1.1\r\nhost: 127.0.0.1:80\r\naccept: */*\r\n\r\n");
        }
    }
}
