//! The head of a response (RFC 9112 §4).

use crate::{
    Fields, Framing, Malformed, Persistence, Room, Version,
    connection::{self, Options},
    fields::{Field, malformed},
    framing::Declared,
};

/// What a response answers, as far as its framing depends on it (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `HEAD`: there is no body, whatever the head says.
    Head,
    /// Any other method but `CONNECT`, which is not sent to upstreams.
    Other,
}

impl Asked {
    /// By the method of the request.
    #[must_use]
    pub fn by(method: &str) -> Self {
        if method == "HEAD" { Self::Head } else { Self::Other }
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Response<'h, 'b> {
    /// Its version.
    pub version: Version,
    /// From 100 to 999; up to 199 another response follows, but after 101.
    pub status: u16,
    /// The text after the status. It may be empty, and nobody depends on it.
    pub reason: &'b str,
    /// Its fields.
    pub fields: Fields<'h, 'b>,
    /// How long its body is.
    pub framing: Framing,
    /// The length that it declares, also where it has no body: `HEAD` asks for it.
    pub length: Option<u64>,
    /// Whether the connection can take another request once the response is read.
    pub persistence: Persistence,
    /// The protocol that the server switches to, if the status is 101 (RFC 9110 §7.8).
    pub upgrade: Option<&'b [u8]>,
}

impl<'h, 'b> Response<'h, 'b> {
    /// Reads a head that [`HeadEnd`](crate::HeadEnd) has found: exactly its bytes.
    pub fn parse(head: &'b [u8], room: &'h mut Room<'b>, asked: Asked) -> Result<Self, Malformed> {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, head, room.places()) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Malformed::StatusLine),
            Err(error) => return Err(malformed(error, Malformed::StatusLine)),
        }
        let httparse::Response { version, code, reason, headers } = parsed;
        let (Some(version), Some(status @ 100..=999)) = (version, code) else {
            return Err(Malformed::StatusLine);
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        let headers: &'h [httparse::Header<'b>] = headers;
        let (mut options, mut declared) = (Options::default(), Declared::default());
        for header in headers {
            let field = Field { name: header.name, value: header.value };
            match field.name.len() {
                10 if field.is("connection") => options.add(field.value)?,
                14 | 17 => declared.add(field)?,
                _ => {}
            }
        }
        let fields = Fields::new(headers, &options);
        let framing = declared.of_response(version, status, asked)?;
        let reusable = framing != Framing::UntilClose && !declared.is_ambiguous();
        Ok(Self {
            version,
            status,
            reason: reason.unwrap_or_default(),
            framing,
            // RFC 9110 §8.6: these have none.
            length: declared.length().filter(|_| !matches!(status, 100..200 | 204)),
            persistence: if reusable { options.persistence(version) } else { Persistence::Close },
            upgrade: connection::upgrade(&options, version, fields.iter()),
            fields,
        })
    }

    /// Whether another response to the same request follows (RFC 9110 §15.2).
    #[must_use]
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}
