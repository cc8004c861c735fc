//! Proxy configuration as values: what `operator-routes` compiles to and what the proxy routes by.
//!
//! A [`Config`] is a set of resources by id. Rules of one host are asked in the order of their [`Rank`]; the
//! first that matches takes the request. All ids are stable texts made from the object that the resource
//! comes from, so that the same object always gives the same id.

mod access;
mod action;
mod authorization;
mod clients;
mod cluster;
mod filters;
mod health;
mod listener;
mod route;
mod value;

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

pub use self::{
    access::{Access, Login, Origin, User},
    action::{
        Action, Arm, HostRewrite, Mirror, RedirectTo, Refusal, RegexRewrite, Rewrite, Scheme, Share, Split,
    },
    authorization::{Absent, Authorization, AuthorizationFailure, Cookies, Refusals, Sees},
    clients::{ClientLimits, Rate},
    cluster::{
        Address, Balance, BalancePolicy, Cluster, Draining, Endpoint, Enforced, HashCookie, HashKey, Limits,
        Outliers, SuccessRate, Trust, UnixMillis, UpstreamProtocol, UpstreamTls, Version,
    },
    filters::{Cors, ErrorResponse, Filters, OriginMatch, Retry, RetryOn, Upgrades},
    health::{GrpcQuestion, HealthCheck, HttpQuestion, Question},
    listener::{
        Certificate, ClientValidation, Host, Insecure, Listener, Protocol, ProxyProtocol, Secret, Security,
        ServerTls, TcpRoute, TlsVersion, TlsVersions, Transport, Unverified,
    },
    route::{Case, HostMatch, NamedMatch, PathMatch, Rank, Route, TextMatch, ToHttps},
    value::{Edit, HeaderEdit, Value, ValuePart, Variable},
};
use crate::table::Table;

/// A whole configuration of one scope. Copies share what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where the proxy accepts connections.
    pub listeners: Table<ListenerId, Arc<Listener>>,
    /// Which request goes where.
    pub routes: Table<RouteId, Arc<Route>>,
    /// The endpoints behind the arms.
    pub clusters: Table<ClusterId, Arc<Cluster>>,
    /// What hosts show, and what clusters are shown.
    pub certificates: Table<CertificateId, Arc<Certificate>>,
    /// Names with TLS or with an opinion on requests in the clear.
    pub hosts: Table<HostId, Arc<Host>>,
    /// Connections that are not looked into.
    pub tcp_routes: Table<TcpRouteId, Arc<TcpRoute>>,
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
    /// New or changed.
    Certificate(Arc<Certificate>),
    /// New or changed.
    Host(Arc<Host>),
    /// New or changed.
    TcpRoute(Arc<TcpRoute>),
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
    /// A certificate.
    Certificate(CertificateId),
    /// A host.
    Host(HostId),
    /// A TCP route.
    TcpRoute(TcpRouteId),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
id!(/// Names a [`Certificate`].
    CertificateId);
id!(/// Names a [`Host`].
    HostId);
id!(/// Names a [`TcpRoute`].
    TcpRouteId);
id!(/// Names a [`Split`]: the key of its route. Counters and draws live as long as the id does.
    SplitId);
id!(/// Names an [`Arm`] within its split: the object that gives it.
    ArmId);
id!(/// Names a [`Mirror`] within its split: the object that asks for it.
    MirrorId);

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

impl Change {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Listener(listener) => Key::Listener(listener.id.clone()),
            Self::Route(route) => Key::Route(route.id.clone()),
            Self::Cluster(cluster) => Key::Cluster(cluster.id.clone()),
            Self::Certificate(certificate) => Key::Certificate(certificate.id.clone()),
            Self::Host(host) => Key::Host(host.id.clone()),
            Self::TcpRoute(route) => Key::TcpRoute(route.id.clone()),
            Self::Removed(key) => key.clone(),
        }
    }
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
            Change::Certificate(it) => drop(self.certificates.insert(it.id.clone(), it)),
            Change::Removed(Key::Certificate(id)) => drop(self.certificates.remove(&id)),
            Change::Host(host) => drop(self.hosts.insert(host.id.clone(), host)),
            Change::Removed(Key::Host(id)) => drop(self.hosts.remove(&id)),
            Change::TcpRoute(route) => drop(self.tcp_routes.insert(route.id.clone(), route)),
            Change::Removed(Key::TcpRoute(id)) => drop(self.tcp_routes.remove(&id)),
        }
    }
}
