//! The chunked transfer coding (RFC 9112 §7.1).

use crate::{
    Malformed, Part, Step,
    fields::malformed,
    scan::{HeadEnd, Kind},
};

/// How long the extensions of all chunks of a body may be together. Nobody uses them; they are read because they are
/// allowed, and whoever sends many of them wants to keep us busy.
const MAX_EXTENSIONS: usize = 4096;
/// How long a trailer section may be.
const MAX_TRAILERS: usize = 8192;
/// How many fields a trailer section may have.
const MAX_TRAILER_FIELDS: usize = 32;
/// Enough digits for any size; a number with more zeros before it is meant to be misread.
const MAX_DIGITS: u8 = 16;

/// Where in a chunked body we are.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    place: Place,
    /// Of the chunk that comes or is under way: how much of it is left.
    size: u64,
    extensions: usize,
}

#[derive(Clone, Debug)]
enum Place {
    /// In the size, after this many digits.
    Size(u8),
    /// In white space after the size. RFC 9112 §7.1.1 allows it before an extension only.
    BeforeExtension,
    /// In an extension: between quotes or not.
    Extension(Quoted),
    /// After the CR of the line with the size.
    SizeCr,
    Data,
    /// After the data, and after the CR that follows it.
    DataEnd,
    DataCr,
    /// After the last chunk.
    Trailers(HeadEnd),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoted {
    No,
    Yes,
    /// After a backslash (RFC 9110 §5.6.4).
    Escaped,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self { place: Place::Size(0), size: 0, extensions: 0 }
    }

    pub(crate) fn step<'b>(&mut self, input: &'b [u8]) -> Result<Step<'b>, Malformed> {
        let mut taken = 0;
        while let Some(byte) = input.get(taken) {
            match &mut self.place {
                Place::Data => {
                    let rest = &input[taken..];
                    let length = usize::try_from(self.size).map_or(rest.len(), |size| size.min(rest.len()));
                    self.size -= length as u64;
                    if self.size == 0 {
                        self.place = Place::DataEnd;
                    }
                    return Ok(Step { taken: taken + length, part: Some(Part::Content(&rest[..length])) });
                }
                Place::Trailers(end) => {
                    let section = &input[taken..];
                    let Some(part) = trailers(end, section)? else { break };
                    let length = match part {
                        Part::Trailers(section) => section.len(),
                        Part::End | Part::Content(_) => 2,
                    };
                    return Ok(Step { taken: taken + length, part: Some(part) });
                }
                Place::Size(_)
                | Place::BeforeExtension
                | Place::Extension(_)
                | Place::SizeCr
                | Place::DataEnd
                | Place::DataCr => self.pass(*byte)?,
            }
            taken += 1;
        }
        Ok(Step { taken, part: None })
    }

    /// Takes one byte of what frames the chunks.
    fn pass(&mut self, byte: u8) -> Result<(), Malformed> {
        let next = match (&self.place, byte) {
            (Place::Size(1..) | Place::Extension(Quoted::No), b'\r') => Place::SizeCr,
            (Place::Size(1..) | Place::BeforeExtension, b';') => Place::Extension(Quoted::No),
            (Place::Size(1..) | Place::BeforeExtension, b' ' | b'\t') => Place::BeforeExtension,
            (Place::Size(digits), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed::ChunkSize)?;
                if *digits >= MAX_DIGITS {
                    return Err(Malformed::ChunkSize);
                }
                self.size = (self.size << 4) | u64::from(digit);
                Place::Size(digits + 1)
            }
            (Place::Extension(quoted), _) => Place::Extension(quoted.after(byte)?),
            (Place::SizeCr, b'\n') if self.size == 0 => Place::Trailers(HeadEnd::new(Kind::Request)),
            (Place::SizeCr, b'\n') => Place::Data,
            (Place::BeforeExtension | Place::SizeCr, _) => return Err(Malformed::ChunkSize),
            (Place::DataEnd, b'\r') => Place::DataCr,
            (Place::DataCr, b'\n') => Place::Size(0),
            (Place::DataEnd | Place::DataCr | Place::Data | Place::Trailers(_), _) => {
                return Err(Malformed::ChunkEnd);
            }
        };
        if matches!(next, Place::Extension(_) | Place::BeforeExtension) {
            self.extensions += 1;
            if self.extensions > MAX_EXTENSIONS {
                return Err(Malformed::ChunkExtension);
            }
        }
        self.place = next;
        Ok(())
    }
}

impl Quoted {
    /// Whether a quoted string has begun or ended with this byte. Control characters are nowhere in an extension: a
    /// lone LF is where others would see the line's end.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(Malformed::ChunkExtension);
        }
        Ok(match (self, byte) {
            (Self::No, b'"') | (Self::Escaped, _) => Self::Yes,
            (Self::Yes, b'"') => Self::No,
            (Self::Yes, b'\\') => Self::Escaped,
            (Self::No | Self::Yes, _) => self,
        })
    }
}

/// The trailer section at the front of `section`, or `None` if its end has not arrived (RFC 9112 §7.1.2).
fn trailers<'b>(end: &mut HeadEnd, section: &'b [u8]) -> Result<Option<Part<'b>>, Malformed> {
    match section {
        [b'\r', b'\n', ..] => return Ok(Some(Part::End)),
        [b'\r'] => return Ok(None),
        [b'\r', ..] => return Err(Malformed::FieldName),
        _ => {}
    }
    let Some((_, end)) = end.find(section, MAX_TRAILERS)? else { return Ok(None) };
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(&section[..end], &mut fields) {
        Ok(httparse::Status::Complete((length, _))) if length == end => {
            Ok(Some(Part::Trailers(&section[..end])))
        }
        Ok(_) => Err(Malformed::FieldName),
        Err(error) => Err(malformed(error, Malformed::FieldName)),
    }
}
