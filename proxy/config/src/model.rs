//! Proxy configuration as values: what `operator-routes` compiles to and what the proxy routes by.
//!
//! A [`Config`] is a set of resources by id. Rules of one host are asked in the order of their [`Rank`]; the
//! first that matches takes the request. All ids are stable texts made from the object that the resource
//! comes from, so that the same object always gives the same id.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    sync::Arc,
};

/// A whole configuration of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where the proxy accepts connections.
    pub listeners: BTreeMap<ListenerId, Arc<Listener>>,
    /// Which request goes where.
    pub routes: BTreeMap<RouteId, Arc<Route>>,
    /// The endpoints behind the arms.
    pub clusters: BTreeMap<ClusterId, Arc<Cluster>>,
}

/// One change of a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New or changed.
    Listener(Arc<Listener>),
    /// New or changed.
    Route(Arc<Route>),
    /// New or changed.
    Cluster(Arc<Cluster>),
    /// Gone.
    Removed(Key),
}

/// Names one resource of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A listener.
    Listener(ListenerId),
    /// A route.
    Route(RouteId),
    /// A cluster.
    Cluster(ClusterId),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/// Names a [`Listener`].
    ListenerId);
id!(/// Names a [`Route`].
    RouteId);
id!(/// Names a [`Cluster`].
    ClusterId);
id!(/// Names a [`Split`]: the key of its route. Counters and draws live as long as the id does.
    SplitId);
id!(/// Names an [`Arm`] within its split: the object that gives it.
    ArmId);
id!(/// Names a [`Mirror`] within its split: the object that asks for it.
    MirrorId);

/// A port that the proxy accepts HTTP on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub id: ListenerId,
    /// The TCP port.
    pub port: u16,
}

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
    /// What becomes of the request.
    pub action: Action,
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

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes to an arm of the split.
    Split(Split),
    /// The proxy answers by itself.
    Refuse(Refusal),
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
    /// The host that the upstream sees; `None` keeps the request's.
    pub host_rewrite: Option<String>,
    /// From the request to the response head, retries included, in milliseconds; `None` never ends.
    pub timeout_ms: Option<u32>,
    /// Without a byte in either direction, in milliseconds; `None` never ends.
    pub idle_timeout_ms: Option<u32>,
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
    /// This text takes the place of the matched prefix.
    Prefix(String),
    /// This text takes the place of the whole path.
    Full(String),
}

/// An answer of the proxy itself, for a route that cannot be served as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub status: u16,
    /// One or two words with underscores, for the reason header and the counter.
    pub reason: String,
}

/// Endpoints that can replace one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub id: ClusterId,
    /// How long a connection may take to be made, in milliseconds.
    pub connect_timeout_ms: u32,
    /// In order of their addresses; may be empty, then requests are answered with 503.
    pub endpoints: Vec<Endpoint>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// Which version of pods it is.
    pub version: Version,
    /// The pod's name in the version's namespace; empty for what is no pod.
    pub pod: Arc<str>,
    /// Set for one that gets no new requests; those under way end.
    pub draining: Option<Draining>,
}

/// How an endpoint ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Draining {
    /// When what it still has is ended; `None`: it may take as long as it does.
    pub until: Option<UnixMillis>,
}

/// A time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An address.
    Socket(SocketAddr),
    /// A name that the proxy resolves when it connects.
    Name {
        /// The DNS name.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

/// The pods of one revision of one Rollout, or all that have no such mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Of the pods; empty for what is no pod.
    pub namespace: Arc<str>,
    /// Their `rollouts-pod-template-hash`; empty for pods without one.
    pub hash: Arc<str>,
}

/// The order of commits: a lease's holder counts up, the next holder has a higher epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which holder.
    pub epoch: Epoch,
    /// Which commit of it, from 1.
    pub seq: u64,
}

/// The order of the operators that held the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// When the lease was created, in seconds since 1970.
    pub created: i64,
    /// How often it changed hands.
    pub transitions: i64,
}

impl Config {
    /// Takes one change. Unknown removals change nothing.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Listener(listener) => drop(self.listeners.insert(listener.id.clone(), listener)),
            Change::Route(route) => drop(self.routes.insert(route.id.clone(), route)),
            Change::Cluster(cluster) => drop(self.clusters.insert(cluster.id.clone(), cluster)),
            Change::Removed(Key::Listener(id)) => drop(self.listeners.remove(&id)),
            Change::Removed(Key::Route(id)) => drop(self.routes.remove(&id)),
            Change::Removed(Key::Cluster(id)) => drop(self.clusters.remove(&id)),
        }
    }
}
