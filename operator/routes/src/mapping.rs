//! A Mapping, read once into a type that cannot be wrong.

mod fields;
mod host;
mod parse;
mod service;

use proxy_config::model::{Case, HostMatch, NamedMatch, Rewrite, TextMatch};

pub(crate) use self::host::show as show_host;
pub use self::{
    parse::{Parsed, parse},
    service::{ServiceHost, ServiceReference, parse_service},
};
use crate::weights::Written;

/// A Mapping that can become an arm of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Which requests; Mappings with equal ones share a route.
    pub key: MatchKey,
    /// How the prefix is meant.
    pub path: PathKind,
    /// `case_sensitive`, if written.
    pub case: Option<Case>,
    /// `weight`: of a shadow, the part of the requests that is copied.
    pub weight: Written,
    /// `shadow`: it gets copies of the requests of others and no request of its own.
    pub shadow: bool,
    /// `service`.
    pub service: ServiceReference,
    /// `resolver`, if written.
    pub resolver: Option<String>,
    /// `rewrite`.
    pub rewrite: Rewrite,
    /// `host_rewrite`.
    pub host_rewrite: Option<String>,
    /// `timeout_ms`; `None` is no limit.
    pub timeout_ms: Option<u32>,
    /// `idle_timeout_ms`; `None` is no limit.
    pub idle_timeout_ms: Option<u32>,
    /// `connect_timeout_ms`.
    pub connect_timeout_ms: u32,
    /// What the user should know, in whole sentences.
    pub remarks: Vec<String>,
}

/// What makes Mappings members of one group, field by field as Emissary lists them (emissary.md §2.1), but compared
/// as values and not as one concatenated text, which can collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey {
    /// Which hosts.
    pub host: HostMatch,
    /// The text of `prefix`, whatever it means.
    pub prefix: String,
    /// Which methods; `None` is any.
    pub method: Option<TextMatch>,
    /// `headers`, then `regex_headers`, each in order of their names, which are in lower case.
    pub headers: Vec<NamedMatch>,
    /// `query_parameters`, then `regex_query_parameters`.
    pub query: Vec<NamedMatch>,
    /// `precedence`: higher is asked first.
    pub precedence: i32,
}

/// How the text of `prefix` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// The path begins with it.
    Prefix,
    /// The path is it (`prefix_exact`).
    Exact,
    /// The path matches it whole (`prefix_regex`).
    Regex,
}

impl PathKind {
    /// The field that asks for it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "prefix_exact",
            Self::Regex => "prefix_regex",
        }
    }
}
