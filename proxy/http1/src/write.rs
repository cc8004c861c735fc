//! Messages on their way out, into a buffer.
//!
//! Names and values are those of a head that was read, or constants: neither can have an end of line in it.

use std::io::Write as _;

use crate::{Field, Framing, Version, connection::Options};

/// `GET /path?query HTTP/1.1` (RFC 9112 §3).
pub fn request_line(out: &mut Vec<u8>, method: &str, path: &str, query: Option<&str>) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK` (RFC 9112 §4).
pub fn status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &str) {
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        Version::Http11 => b"HTTP/1.1 ",
    });
    for digit in [status / 100 % 10, status / 10 % 10, status % 10] {
        out.push(b'0' + u8::try_from(digit).unwrap_or_default());
    }
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// One line of a head.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The line that frames the body, if there is one.
pub fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => content_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// The line with a length, for a response without a body that says how long it would be.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// The empty line after a head.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// A chunk. Without content it is nothing: an empty chunk would be the last.
pub fn chunk(out: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return;
    }
    // A vector takes everything.
    let _ = write!(out, "{:x}\r\n", content.len());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, with the fields of a trailer section that [`Body`](crate::Body) has read; empty if there was none.
/// Those that frame or route the message or concern the connection are left out (RFC 9110 §6.5.1).
pub fn last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    if !trailers.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; crate::MAX_FIELDS];
        let options = Options::default();
        // A section that was read can be read again.
        let section = httparse::parse_headers(trailers, &mut fields);
        let lines = section.ok().filter(httparse::Status::is_complete).map(httparse::Status::unwrap);
        for it in lines.map_or(&[][..], |(_, lines)| lines) {
            let trailer = Field { name: it.name, value: it.value };
            if !options.ends_here(trailer.name) && !concerns_the_head(trailer) {
                field(out, trailer.name, trailer.value);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn concerns_the_head(trailer: Field<'_>) -> bool {
    ["host", "trailer", "authorization", "cookie", "set-cookie", "expect", "content-encoding", "content-type"]
        .iter()
        .any(|it| trailer.is(it))
        || trailer.name.get(..12).is_some_and(|it| it.eq_ignore_ascii_case("x-forwarded-"))
}

fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut left, mut first) = (number, digits.len());
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}
