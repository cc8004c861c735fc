//! What becomes of a request.

use super::{ArmId, Case, ClusterId, HeaderEdit, MirrorId, NamedMatch, PathMatch, SplitId, TextMatch};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes to an arm of the split.
    Split(Split),
    /// The proxy answers by itself.
    Refuse(Refusal),
    /// The client is sent elsewhere.
    Redirect(RedirectTo),
}

/// Arms that share the requests of one route. A single backend is a split with one arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Its name.
    pub id: SplitId,
    /// In order of their ids; at least one; the shares sum to [`Share::WHOLE`].
    pub arms: Vec<Arm>,
    /// Who gets copies of its requests, in order of their ids.
    pub mirrors: Vec<Mirror>,
}

impl Split {
    /// The clusters that its arms and mirrors name.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterId> {
        let arms = self.arms.iter().map(|arm| &arm.cluster);
        arms.chain(self.mirrors.iter().map(|mirror| &mirror.cluster))
    }
}

/// A receiver of copies. What it answers is thrown away, and it is in no arm's counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Its name within the split.
    pub id: MirrorId,
    /// Which part of the requests for which the conditions hold.
    pub share: Share,
    /// Where the copies go.
    pub cluster: ClusterId,
    /// Conditions beyond those of the route: its path, `None` for any,
    pub path: Option<PathMatch>,
    /// whether letter case counts in that,
    pub case: Case,
    /// its method,
    pub method: Option<TextMatch>,
    /// headers that must all match, by lower-case name,
    pub headers: Vec<NamedMatch>,
    /// and query parameters that must.
    pub query: Vec<NamedMatch>,
}

/// One receiver of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Its name within the split.
    pub id: ArmId,
    /// Its part of the requests; may be zero.
    pub share: Share,
    /// Where they go.
    pub cluster: ClusterId,
    /// What happens to the path.
    pub rewrite: Rewrite,
    /// The host that the upstream sees.
    pub host_rewrite: HostRewrite,
    /// From the request to the response head, retries included, in milliseconds; `None` never ends.
    pub timeout_ms: Option<u32>,
    /// Without a byte in either direction, in milliseconds; `None` never ends.
    pub idle_timeout_ms: Option<u32>,
    /// From the request to the last byte of the response, in milliseconds; `None` never ends.
    pub total_timeout_ms: Option<u32>,
    /// What happens to the request's headers after the route's edits.
    pub request_headers: Vec<HeaderEdit>,
    /// What happens to the response's headers before the route's edits.
    pub response_headers: Vec<HeaderEdit>,
}

/// What happens to the host before the request goes upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostRewrite {
    /// Nothing.
    #[default]
    Keep,
    /// This takes its place.
    Literal(String),
    /// The endpoint's DNS name takes its place; where the endpoint is an address, nothing happens.
    Endpoint,
}

/// A part of the requests of a split, in 1/10000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const WHOLE: Self = Self(10_000);

    /// `parts` of 10000, or `None` above that.
    #[must_use]
    pub fn of_10000(parts: u32) -> Option<Self> {
        u16::try_from(parts).ok().filter(|parts| *parts <= Self::WHOLE.0).map(Self)
    }

    /// In 1/10000.
    #[must_use]
    pub fn parts(self) -> u16 {
        self.0
    }
}

/// What happens to the path before the request goes upstream. The query stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing.
    #[default]
    None,
    /// This text takes the place of the matched prefix. Of path [elements](super::PathMatch::Elements): so that one
    /// slash is between it and the rest.
    Prefix(String),
    /// This text takes the place of the whole path.
    Full(String),
    /// Texts within the path are replaced.
    Regex(RegexRewrite),
}

/// Replaces every match of a pattern; without a match the path stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegexRewrite {
    /// What is replaced, anywhere in the path.
    pub pattern: String,
    /// By what: `\0` is the match, `\1` to `\9` its groups, `\\` a backslash.
    pub substitution: String,
}

/// Where a client should go instead. The query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTo {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `None`: as the client spoke.
    pub scheme: Option<Scheme>,
    /// Without port; `None`: the request's.
    pub host: Option<String>,
    /// `None`: the scheme's own if there is a scheme or a host, otherwise the request's.
    pub port: Option<u16>,
    /// What becomes of the path.
    pub path: Rewrite,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant where none is written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An answer of the proxy itself, for a route that cannot be served as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub status: u16,
    /// One or two words with underscores, for the reason header and the counter.
    pub reason: String,
}
