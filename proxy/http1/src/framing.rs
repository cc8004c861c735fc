//! How long a body is (RFC 9112 §6.3).

use crate::{
    Asked, Malformed, Version,
    fields::{Field, trimmed},
};

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// It has this many bytes, as its head said; 0 was said too.
    Length(u64),
    /// It comes in chunks, the last of which says so.
    Chunked,
    /// It ends with the connection. Responses only.
    UntilClose,
}

/// The fields of a head that frame its message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Declared {
    length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
    OtherThenChunked,
    AfterChunked,
}

impl Declared {
    /// Notes a field, if it frames. Of two lengths none can be trusted (RFC 9110 §8.6).
    #[inline]
    pub(crate) fn add(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        if field.name.len() == 14 && field.is("content-length") {
            let several = self.length.is_some() || field.value.contains(&b',');
            self.length = match length(field.value) {
                Some(length) if !several => Some(length),
                None if !several => return Err(Malformed::Length),
                Some(_) | None => return Err(Malformed::SeveralLengths),
            };
            return Ok(());
        }
        if field.name.len() == 17 && field.is("transfer-encoding") {
            self.coding = coding(self.coding, field.value);
        }
        Ok(())
    }

    /// Of a request (RFC 9112 §6.3, rules 3 to 7).
    pub(crate) fn of_request(self, version: Version) -> Result<Framing, Malformed> {
        match (self.coding, self.length) {
            (None, None) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), _) if version == Version::Http10 => Err(Malformed::CodingInHttp10),
            (Some(_), Some(_)) => Err(Malformed::LengthAndCoding),
            (Some(coding), None) => coding.framing(),
        }
    }

    /// Of a response (RFC 9112 §6.3, rules 1 to 6 and 8). Of a length and a coding the coding counts, as there: many
    /// servers send both, and the length ends here. Their connection must not be used again.
    pub(crate) fn of_response(
        self,
        version: Version,
        status: u16,
        asked: Asked,
    ) -> Result<Framing, Malformed> {
        if asked == Asked::Head || matches!(status, 100..200 | 204 | 304) {
            return Ok(Framing::None);
        }
        match (self.coding, self.length) {
            (None, None) => Ok(Framing::UntilClose),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), _) if version == Version::Http10 => Err(Malformed::CodingInHttp10),
            (Some(coding), _) => coding.framing(),
        }
    }

    /// Whether the message is framed in two ways, of which one was chosen.
    pub(crate) fn is_ambiguous(self) -> bool {
        self.coding.is_some() && self.length.is_some()
    }

    /// The length that was said, whether or not the message has a body: that of what `HEAD` asks about, for example.
    pub(crate) fn length(self) -> Option<u64> {
        self.length.filter(|_| self.coding.is_none())
    }
}

impl Coding {
    fn framing(self) -> Result<Framing, Malformed> {
        match self {
            Self::Chunked => Ok(Framing::Chunked),
            Self::OtherThenChunked => Err(Malformed::UnknownCoding),
            Self::Other | Self::AfterChunked => Err(Malformed::NotChunkedLast),
        }
    }
}

/// Digits and nothing else (RFC 9110 §8.6); 18 of them always fit.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// What the codings are with those of one more field. Each line of the field continues the list (RFC 9110 §5.3), in
/// which an empty member is a coding that nobody knows.
fn coding(before: Option<Coding>, value: &[u8]) -> Option<Coding> {
    value.split(|it| *it == b',').map(trimmed).fold(before, |before, member| {
        let chunked = member.eq_ignore_ascii_case(b"chunked");
        Some(match before {
            None if chunked => Coding::Chunked,
            None | Some(Coding::Other) if !chunked => Coding::Other,
            None | Some(Coding::Other) => Coding::OtherThenChunked,
            Some(Coding::Chunked | Coding::OtherThenChunked | Coding::AfterChunked) => Coding::AfterChunked,
        })
    })
}
