//! Which requests a rule is for.

use super::{Action, Authorization, Filters, ListenerId, RouteId, Split};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
    /// Its place among the rules of the same host.
    pub rank: Rank,
    /// Which hosts.
    pub host: HostMatch,
    /// Which paths, without the query.
    pub path: PathMatch,
    /// Whether letter case counts in `path`; a regex decides for itself.
    pub case: Case,
    /// Which methods; `None` is any.
    pub method: Option<TextMatch>,
    /// Headers that must all match, by lower-case name.
    pub headers: Vec<NamedMatch>,
    /// Query parameters that must all match.
    pub query: Vec<NamedMatch>,
    /// Only requests of these listeners; empty: of all.
    pub listeners: Vec<ListenerId>,
    /// Only requests whose host has one of these [classes](super::Host::class); empty: whatever host they have, or none.
    pub classes: Vec<String>,
    /// What requests that are not secure get instead of the action; `None`: they are like others.
    pub to_https: Option<ToHttps>,
    /// What else happens to requests and responses.
    pub filters: Filters,
    /// What becomes of the request.
    pub action: Action,
}

impl Route {
    /// Who is asked about its requests, if somebody is.
    #[must_use]
    pub fn authorization(&self) -> Option<&Authorization> {
        self.filters.access.as_ref()?.authorization.as_ref()
    }

    /// How its requests are divided, if they go to endpoints.
    #[must_use]
    pub fn split(&self) -> Option<&Split> {
        match &self.action {
            Action::Split(split) => Some(split),
            Action::Refuse(_) | Action::Redirect(_) => None,
        }
    }
}

/// Sends clients to `https`, but for `/.well-known/acme-challenge/`. What the host says about such requests goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToHttps {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Left out of the location if it is 443.
    pub port: u16,
}

/// The order of rules of one host: smaller bytes are asked first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub Vec<u8>);

/// Which hosts a rule is for. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostMatch {
    /// This name on any port.
    Exact(String),
    /// This `name:port` to the letter.
    Authority(String),
    /// `.example.org`: every longer name that ends so.
    Suffix(String),
    /// `.example.org`: every name with one more label before it.
    Label(String),
    /// `example.`: every longer name that begins so.
    Prefix(String),
    /// The whole authority matches.
    Regex(String),
    /// Every host.
    Any,
}

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathMatch {
    /// Begins with this text; not by segments (Emissary's prefix).
    Prefix(String),
    /// Is this text.
    Exact(String),
    /// The whole path matches.
    Regex(String),
    /// `/a`: is `/a` or `/a/` or begins with `/a/`, as the Gateway API's `PathPrefix`. Without a slash at the end, but
    /// for `/` itself, which is every path.
    Elements(String),
}

/// Whether letter case counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Case {
    /// `/A` is not `/a`.
    #[default]
    Counts,
    /// `/A` is `/a` (ASCII).
    Ignored,
}

/// What a text must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextMatch {
    /// Exactly this.
    Exact(String),
    /// The whole text matches.
    Regex(String),
    /// Anything, but there.
    Present,
}

/// What a header or query parameter must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedMatch {
    /// Its name; headers in lower case.
    pub name: String,
    /// Its value.
    pub value: TextMatch,
}
