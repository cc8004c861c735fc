//! A Mapping, read once into a type that cannot be wrong.

mod connection;
mod headers;
mod health;
mod matching;
mod outliers;
mod parse;
mod policy;
mod rewriting;
mod service;

use std::{collections::BTreeMap, sync::Arc};

use proxy_config::model::{
    Case, Cors, ErrorResponse, HeaderEdit, HostMatch, HostRewrite, NamedMatch, RedirectTo, Retry, Rewrite,
    TextMatch,
};
use serde_json::Value;

pub(crate) use self::connection::limits;
pub use self::{
    connection::Connection,
    parse::parse,
    service::{ServiceHost, ServiceReference, parse_service},
};
use crate::weights::Written;

/// A Mapping that can have a part in a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Which requests; Mappings with equal ones share a route.
    pub key: Arc<MatchKey>,
    /// How the prefix is meant.
    pub path: PathKind,
    /// Whether it says itself for which hosts it is; otherwise the Hosts that select its labels do.
    pub named: bool,
    /// `case_sensitive`, if written.
    pub case: Option<Case>,
    /// `weight`: of a shadow, the part of the requests that is copied.
    pub weight: Written,
    /// Whether `weight` was written as more than 100.
    pub above_all: bool,
    /// `shadow`: it gets copies of the requests of others and no request of its own.
    pub shadow: bool,
    /// `service`.
    pub service: ServiceReference,
    /// `resolver`, if written here or in the Module.
    pub resolver: Option<String>,
    /// `host_redirect`: clients are sent elsewhere instead.
    pub redirect: Option<RedirectTo>,
    /// `rewrite` or `regex_rewrite`.
    pub rewrite: Rewrite,
    /// `host_rewrite` or `auto_host_rewrite`.
    pub host_rewrite: HostRewrite,
    /// `timeout_ms`; `None` is no limit.
    pub timeout_ms: Option<u32>,
    /// `idle_timeout_ms`; `None` is no limit.
    pub idle_timeout_ms: Option<u32>,
    /// Headers of requests that are changed.
    pub request_headers: Vec<HeaderEdit>,
    /// Headers of responses that are changed.
    pub response_headers: Vec<HeaderEdit>,
    /// `retry_policy`.
    pub retry: Option<Retry>,
    /// `cors`.
    pub cors: Option<Cors>,
    /// `error_response_overrides`.
    pub errors: Vec<ErrorResponse>,
    /// `allow_upgrade` or `use_websocket`; `None`: neither is written.
    pub upgrades: Option<Vec<String>>,
    /// How connections are made and spread.
    pub connection: Connection,
    /// Those of its fields in which the members of a group must agree in Emissary, in order of their names.
    pub core: Vec<(&'static str, Value)>,
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
    /// Only where Emissary is followed to the letter: the labels by which Hosts select a Mapping without a host of its
    /// own, which make another group of it there.
    pub selected_by: Option<BTreeMap<String, String>>,
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
