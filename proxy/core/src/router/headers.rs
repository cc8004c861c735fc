//! Where rules find the headers of a request.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName};

/// The headers of a request, in whatever form its protocol has left them.
pub trait Headers: fmt::Debug {
    /// What the header of this name says. Several lines of one header are one value with commas (RFC 9110 §5.3), as
    /// Envoy compares them.
    fn value(&self, name: &HeaderName) -> Option<Cow<'_, [u8]>>;
}

impl Headers for HeaderMap {
    fn value(&self, name: &HeaderName) -> Option<Cow<'_, [u8]>> {
        joined(self.get_all(name).iter().map(http::HeaderValue::as_bytes))
    }
}

/// Lines of one header as one value; without copying if there is one only.
pub fn joined<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, [u8]>> {
    let first = Cow::Borrowed(lines.next()?);
    Some(lines.fold(first, |whole, line| Cow::Owned([&*whole, line].join(&b","[..]))))
}
