//! The fields of a head or of a trailer section (RFC 9112 §5).

use std::{fmt, mem::MaybeUninit};

use crate::{Malformed, connection::Options};

/// How many fields a head may have (Envoy's default). It is below the number of bits of a [`Mask`].
pub const MAX_FIELDS: usize = 100;

/// One bit a field.
pub(crate) type Mask = u128;

/// Where a head's fields are noted while it is looked at. It costs nothing to make.
pub struct Room<'b>([MaybeUninit<httparse::Header<'b>>; MAX_FIELDS]);

/// One field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'b> {
    /// A token (RFC 9110 §5.6.2) in the case in which it came.
    pub name: &'b str,
    /// Without white space around it; no control characters but tabs.
    pub value: &'b [u8],
}

/// The fields of a head in the order in which they came.
#[derive(Clone, Copy)]
pub struct Fields<'h, 'b> {
    all: &'h [httparse::Header<'b>],
    /// Those that end here.
    hop_by_hop: Mask,
}

// === impl Room ===

impl<'b> Room<'b> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; MAX_FIELDS])
    }

    pub(crate) fn places(&mut self) -> &mut [MaybeUninit<httparse::Header<'b>>] {
        &mut self.0
    }
}

impl Default for Room<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Room").finish_non_exhaustive()
    }
}

// === impl Field ===

impl Field<'_> {
    /// Whether this is its name. `name` is in lower case.
    #[must_use]
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.value.escape_ascii())
    }
}

// === impl Fields ===

impl<'h, 'b> Fields<'h, 'b> {
    pub(crate) fn new(all: &'h [httparse::Header<'b>], options: &Options<'_>) -> Self {
        let mut hop_by_hop = 0;
        for (index, field) in all.iter().enumerate() {
            if options.ends_here(field.name) {
                hop_by_hop |= 1 << index;
            }
        }
        Self { all, hop_by_hop }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Field<'b>> + use<'h, 'b> {
        self.all.iter().map(|it| Field { name: it.name, value: it.value })
    }

    /// Those that are for everybody on the way, without those for this connection (RFC 9110 §7.6.1) and those that
    /// frame the message here (RFC 9112 §6).
    pub fn end_to_end(&self) -> impl Iterator<Item = Field<'b>> + use<'h, 'b> {
        let hop_by_hop = self.hop_by_hop;
        self.iter().enumerate().filter(move |(index, _)| (hop_by_hop >> index) & 1 == 0).map(|(_, it)| it)
    }

    /// The values of the fields with this name, which is in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.iter().filter(move |it| it.is(name)).map(|it| it.value)
    }
}

impl fmt::Debug for Fields<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// The members of a list that is written with commas (RFC 9110 §5.6.1), without the empty ones.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|it| *it == b',').map(trimmed).filter(|it| !it.is_empty())
}

/// Without the optional white space of RFC 9110 §5.6.3, which is less than what ASCII calls so.
pub(crate) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Says what `httparse` found wrong; `line` is for what is neither a field's name nor its value.
pub(crate) fn malformed(error: httparse::Error, line: Malformed) -> Malformed {
    match error {
        httparse::Error::HeaderName => Malformed::FieldName,
        httparse::Error::HeaderValue => Malformed::FieldValue,
        httparse::Error::TooManyHeaders => Malformed::TooManyFields,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => line,
    }
}
