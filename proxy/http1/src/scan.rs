//! Where a head ends.

use memchr::memchr_iter;

use crate::Malformed;

/// What a head is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RFC 9112 §2.2: empty lines before it are skipped. They count for its size.
    Request,
    /// It begins with its status line.
    Response,
}

/// Finds the end of a head in bytes that arrive in pieces.
///
/// The same bytes give the same outcome however they are cut, and each of them is looked at once: a peer that sends
/// one byte at a time costs no more than its bytes.
#[derive(Clone, Debug)]
pub struct HeadEnd {
    kind: Kind,
    /// Where the first line begins.
    begin: usize,
    /// How much has been looked at.
    seen: usize,
}

impl HeadEnd {
    /// For a head of which nothing has arrived.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, begin: 0, seen: 0 }
    }

    /// Where in `input` the head begins and ends, or `None` if its end has not arrived. `input` is all that has
    /// arrived of it, and grows from call to call; `limit` is how many bytes a head may have.
    pub fn find(&mut self, input: &[u8], limit: usize) -> Result<Option<(usize, usize)>, Malformed> {
        let seeable = &input[..input.len().min(limit)];
        if self.kind == Kind::Request {
            while seeable[self.begin..].starts_with(b"\r\n") {
                self.begin += 2;
            }
            self.seen = self.seen.max(self.begin);
        }
        self.begins_well(&seeable[self.begin..])?;
        for found in memchr_iter(b'\n', &seeable[self.seen..]) {
            let lf = self.seen + found;
            let head = &seeable[self.begin..=lf];
            if !head.ends_with(b"\r\n") {
                return Err(Malformed::BareLf);
            }
            if head.ends_with(b"\r\n\r\n") {
                return Ok(Some((self.begin, lf + 1)));
            }
        }
        self.seen = seeable.len();
        if input.len() > limit { Err(Malformed::HeadTooLarge) } else { Ok(None) }
    }

    /// Whoever speaks something else altogether, TLS for example, is told at once and not when enough has come.
    fn begins_well(&self, head: &[u8]) -> Result<(), Malformed> {
        match (self.kind, head.first()) {
            // What may become an empty line.
            (Kind::Request, Some(b'\r')) if head.len() == 1 => Ok(()),
            (Kind::Request, Some(first)) if !first.is_ascii_graphic() => Err(match first {
                b'\n' => Malformed::BareLf,
                _ => Malformed::RequestLine,
            }),
            (Kind::Response, Some(first)) if *first != b'H' => Err(Malformed::StatusLine),
            (Kind::Request | Kind::Response, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: Kind, input: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
        HeadEnd::new(kind).find(input, 64)
    }

    #[test]
    fn heads_end_with_an_empty_line() {
        use Kind::{Request, Response};
        let long = [b'x'; 65];
        let table: [(Kind, &[u8], _); 17] = [
            (Request, b"", Ok(None)),
            (Request, b"GET / HTTP/1.1\r\n", Ok(None)),
            (Request, b"GET / HTTP/1.1\r\n\r\nrest", Ok(Some((0, 18)))),
            (Request, b"a: b\r\nc: d\r\n\r", Ok(None)),
            (Request, b"\r", Ok(None)),
            (Request, b"\r\n\r", Ok(None)),
            (Request, b"\r\n\r\n", Ok(None)),
            (Request, b"\r\n\r\nGET\r\n\r\n", Ok(Some((4, 11)))),
            (Request, b"\rGET", Err(Malformed::RequestLine)),
            (Request, b"\nGET", Err(Malformed::BareLf)),
            (Request, b"\x16\x03\x01", Err(Malformed::RequestLine)),
            (Request, b"GET / HTTP/1.1\n", Err(Malformed::BareLf)),
            (Request, b"GET / HTTP/1.1\r\n\n", Err(Malformed::BareLf)),
            (Request, &long, Err(Malformed::HeadTooLarge)),
            (Response, b"HTTP/1.1 200 OK\r\n\r\n", Ok(Some((0, 19)))),
            (Response, b"\r\nHTTP", Err(Malformed::StatusLine)),
            (Response, b"220 mail", Err(Malformed::StatusLine)),
        ];
        for (kind, input, expected) in table {
            assert_eq!(found(kind, input), expected, "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit() {
        let mut head = [b'x'; 64];
        head[60..].copy_from_slice(b"\r\n\r\n");
        assert_eq!(found(Kind::Request, &head), Ok(Some((0, 64))));
        let longer = [&b"x"[..], &head].concat();
        assert_eq!(found(Kind::Request, &longer), Err(Malformed::HeadTooLarge));
    }
}
