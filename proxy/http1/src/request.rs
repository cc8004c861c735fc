//! The head of a request (RFC 9112 §3).

use crate::{
    Fields, Framing, Malformed, Persistence, Room, Target,
    connection::{self, Options},
    fields::{Field, malformed},
    framing::Declared,
    target::{is_authority, same},
};

/// The version of a message. A later 1.x does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 1945, with the fields of 1.1.
    Http10,
    /// RFC 9112.
    Http11,
}

/// The head of a request that means one thing only.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h, 'b> {
    /// A token; methods are case-sensitive.
    pub method: &'b str,
    /// What it is for.
    pub target: Target<'b>,
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: Fields<'h, 'b>,
    /// The host and port that it is for, in the case in which they came: those of the target before those of the host
    /// field (RFC 9112 §3.2.2). Empty ones are meant to be, `None` is for HTTP/1.0 without a host.
    pub authority: Option<&'b str>,
    /// How long its body is.
    pub framing: Framing,
    /// Whether the client wants to send another request.
    pub persistence: Persistence,
    /// Whether the client waits with its body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// The protocol that the client offers to switch to (RFC 9110 §7.8).
    pub upgrade: Option<&'b [u8]>,
}

impl<'h, 'b> Request<'h, 'b> {
    /// Reads a head that [`HeadEnd`](crate::HeadEnd) has found: exactly its bytes.
    pub fn parse(head: &'b [u8], room: &'h mut Room<'b>) -> Result<Self, Malformed> {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, room.places()) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Malformed::RequestLine),
            Err(httparse::Error::Version) => return Err(version_error(head)),
            Err(error) => return Err(malformed(error, Malformed::RequestLine)),
        }
        let httparse::Request { method, path, version, headers } = parsed;
        let (Some(method), Some(target), Some(version)) = (method, path, version) else {
            return Err(Malformed::RequestLine);
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        let headers: &'h [httparse::Header<'b>] = headers;
        let (mut options, mut declared) = (Options::default(), Declared::default());
        let (mut host, mut expects_continue) = (None, false);
        for header in headers {
            let field = Field { name: header.name, value: header.value };
            match field.name.len() {
                4 if field.is("host") && host.replace(field.value).is_some() => {
                    return Err(Malformed::SeveralHosts);
                }
                6 if field.is("expect") => {
                    expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue");
                }
                10 if field.is("connection") => options.add(field.value)?,
                14 | 17 => declared.add(field)?,
                _ => {}
            }
        }
        let target = Target::parse(method, target)?;
        let fields = Fields::new(headers, &options);
        Ok(Self {
            method,
            target,
            version,
            authority: authority(target, host, version)?,
            framing: declared.of_request(version)?,
            persistence: options.persistence(version),
            // RFC 9110 §10.1.1: of HTTP/1.0 it is ignored.
            expects_continue: expects_continue && version == Version::Http11,
            upgrade: connection::upgrade(&options, version, fields.iter()),
            fields,
        })
    }
}

fn authority<'b>(
    target: Target<'b>,
    host: Option<&'b [u8]>,
    version: Version,
) -> Result<Option<&'b str>, Malformed> {
    let host = match host {
        Some(host) => {
            let host = std::str::from_utf8(host).ok().filter(|it| is_authority(it));
            Some(host.ok_or(Malformed::Host)?)
        }
        None if version == Version::Http11 => return Err(Malformed::NoHost),
        None => None,
    };
    match (target.authority(), host) {
        (Some(named), Some(host)) if !same(named, host) => Err(Malformed::OtherHost),
        (Some(named), _) => Ok(Some(named)),
        (None, host) => Ok(host),
    }
}

/// A version that we do not speak is another matter than a line that ends in something else.
fn version_error(head: &[u8]) -> Malformed {
    let line = head.split(|it| *it == b'\r').next().unwrap_or_default();
    match line.rsplit(|it| *it == b' ').next().unwrap_or_default() {
        b"HTTP/1.0" | b"HTTP/1.1" => Malformed::RequestLine,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Malformed::Version,
        _ => Malformed::RequestLine,
    }
}
