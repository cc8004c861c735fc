//! What a head says about its connection (RFC 9110 §7.6.1, RFC 9112 §9).

use crate::{
    Malformed, Version,
    fields::{Field, members},
};

/// Whether the connection takes another message after this one (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It does.
    KeepAlive,
    /// It ends.
    Close,
}

/// How many fields `Connection` may name, `close`, `keep-alive` and `upgrade` apart.
const MAX_NAMED: usize = 16;

/// The options of all `Connection` fields of a head.
#[derive(Debug, Default)]
pub(crate) struct Options<'b> {
    pub(crate) close: bool,
    keep_alive: bool,
    pub(crate) upgrade: bool,
    named: [&'b [u8]; MAX_NAMED],
    count: usize,
}

impl<'b> Options<'b> {
    /// Adds what one field says.
    pub(crate) fn add(&mut self, value: &'b [u8]) -> Result<(), Malformed> {
        for option in members(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else {
                self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                *self.named.get_mut(self.count).ok_or(Malformed::TooManyFields)? = option;
                self.count += 1;
            }
        }
        Ok(())
    }

    /// RFC 9112 §9.3: 1.1 goes on unless somebody says `close`, 1.0 only if somebody says `keep-alive`.
    pub(crate) fn persistence(&self, version: Version) -> Persistence {
        match version {
            Version::Http11 if !self.close => Persistence::KeepAlive,
            Version::Http10 if self.keep_alive && !self.close => Persistence::KeepAlive,
            Version::Http11 | Version::Http10 => Persistence::Close,
        }
    }

    /// Whether a field is for this connection only or frames the message here. The host, the chain of clients and the
    /// request's id are for everybody: a client must not make us drop what rules and servers rely on (RFC 9110
    /// §7.6.1).
    #[inline]
    pub(crate) fn ends_here(&self, name: &str) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let always = match name.len() {
            2 => is("te"),
            7 => is("upgrade"),
            10 => is("connection") || is("keep-alive"),
            14 => is("content-length"),
            16 => is("proxy-connection"),
            17 => is("transfer-encoding"),
            _ => false,
        };
        always || self.count > 0 && self.names(name) && !is_for_everybody(name)
    }

    fn names(&self, name: &str) -> bool {
        self.named[..self.count].iter().any(|it| it.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn is_for_everybody(name: &str) -> bool {
    const FORWARDED: &str = "x-forwarded-";
    name.eq_ignore_ascii_case("host")
        || name.eq_ignore_ascii_case("x-request-id")
        || name.get(..FORWARDED.len()).is_some_and(|it| it.eq_ignore_ascii_case(FORWARDED))
}

/// What is offered or agreed on in the only `Upgrade` field, if there is a `Connection: upgrade` as well (RFC 9110
/// §7.8). HTTP/1.0 has no upgrades.
pub(crate) fn upgrade<'b>(
    options: &Options<'_>,
    version: Version,
    fields: impl Iterator<Item = Field<'b>>,
) -> Option<&'b [u8]> {
    if !options.upgrade || version == Version::Http10 {
        return None;
    }
    let mut offers = fields.filter(|it| it.is("upgrade")).map(|it| it.value);
    match (offers.next(), offers.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
