//! Which rule takes a request.
//!
//! Rules of every host bucket that the request's host falls into compete; the smallest rank that matches wins
//! (the compiler puts the specificity of hosts and paths into the rank). What it costs does not grow with the
//! number of rules: hosts are found in hash maps, one look-up per distinct length of wildcard; paths in a trie,
//! one step per byte. Only rules with a regular expression of the host or path are tried one after the other.

mod headers;
mod hosts;
mod matcher;
mod named;
mod paths;
mod trie;

use http::Method;
use proxy_config::model::ListenerId;

pub use self::headers::{Headers, joined};
pub(crate) use self::{
    hosts::Hosts,
    matcher::{Condition, Matcher},
};

/// Where a rule is in its snapshot. A rule keeps its slot for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Where it came in.
    pub listener: &'a ListenerId,
    /// The `Host` header or the authority of an absolute target, with its port, in lower case. May be empty.
    pub authority: &'a str,
    /// The path in [normal form](crate::path::normalize).
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a dyn Headers,
}

impl<'a> RequestHead<'a> {
    /// The authority without its port.
    #[must_use]
    pub fn host(&self) -> &'a str {
        without_port(self.authority)
    }
}

/// The name in an authority.
pub(crate) fn without_port(authority: &str) -> &str {
    let name_ends = authority.rfind(']').map_or(0, |it| it + 1);
    match authority[name_ends..].rfind(':') {
        Some(colon) => &authority[..name_ends + colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests;
