//! Where requests go.

use std::{net::SocketAddr, sync::Arc};

use super::{CertificateId, ClusterId, HealthCheck, TlsVersions};

/// Endpoints that can replace one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub id: ClusterId,
    /// How long a connection may take to be made, in milliseconds.
    pub connect_timeout_ms: u32,
    /// In order of their addresses; may be empty, then requests are answered with 503.
    pub endpoints: Vec<Endpoint>,
    /// What its endpoints speak.
    pub protocol: UpstreamProtocol,
    /// How they are spoken to; `None`: in the clear.
    pub tls: Option<Box<UpstreamTls>>,
    /// Which of them takes a request.
    pub balance: Balance,
    /// How much one proxy has with them at a time.
    pub limits: Limits,
    /// When one of them is left out for what it answered.
    pub outliers: Outliers,
    /// What each of them is asked besides.
    pub checks: Vec<HealthCheck>,
    /// Whether nothing could ever stand behind it: requests are answered with 500 and not 503 for want of an endpoint.
    pub absent: bool,
}

impl Cluster {
    /// One that speaks HTTP/1.1 in the clear, balanced by load and without limits.
    #[must_use]
    pub fn plain(id: ClusterId, connect_timeout_ms: u32, endpoints: Vec<Endpoint>) -> Self {
        Self {
            id,
            connect_timeout_ms,
            endpoints,
            protocol: UpstreamProtocol::Http1,
            tls: None,
            balance: Balance::default(),
            limits: Limits::default(),
            outliers: Outliers::default(),
            checks: Vec::new(),
            absent: false,
        }
    }
}

/// What endpoints speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: with prior knowledge in the clear, by ALPN over TLS.
    Http2,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Sent to the endpoint (SNI); `None`: no name is.
    pub server_name: Option<String>,
    /// DNS names or URIs one of which its certificate must have; empty: the server name.
    pub names: Vec<String>,
    /// Who may have signed it.
    pub trust: Trust,
    /// What the endpoint is shown.
    pub certificate: Option<CertificateId>,
    /// Which versions are spoken.
    pub versions: TlsVersions,
}

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those signed by one of these, as PEM.
    Ca(String),
    /// Those that the web accepts.
    System,
    /// Any: the other end is not authenticated.
    Anyone,
}

/// Which endpoint takes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// By which rule.
    pub policy: BalancePolicy,
    /// How long a new endpoint takes to its full share, in milliseconds; `None`: none. Not with a hash.
    pub slow_start_ms: Option<u32>,
}

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalancePolicy {
    /// The less loaded of two drawn at random.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// The next on a ring of so many places, 1 to 8388608.
    RingHash(HashKey, u32),
    /// By a table in which endpoints have equally many places.
    Maglev(HashKey),
}

/// What is hashed. A request without it goes to any endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The first line of this header, in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(HashCookie),
    /// The client's address.
    SourceIp,
}

/// A cookie that keeps a client at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name.
    pub name: String,
    /// A client without it gets one that lives so long, in seconds, 0 for as long as the browser runs; `None`: gets none.
    pub ttl_s: Option<u32>,
    /// The `Path` of the one that is given; `None`: without.
    pub path: Option<String>,
}

/// How much one proxy has with a cluster at a time, over all its threads. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections; requests that find no more wait for one. A thread that needs one always has one.
    pub connections: Option<u32>,
    /// Requests that wait for a connection, or for one to be made.
    pub pending: Option<u32>,
    /// Requests under way.
    pub requests: Option<u32>,
    /// Retries under way of requests that an endpoint may have seen. `None`: a fifth of the requests under way, three
    /// always.
    pub retries: Option<u32>,
}

/// When an endpoint that fails is left out for a time. With all of the first four `None`, never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outliers {
    /// After so many 5xx, resets and connect failures one after the other.
    pub server_errors: Option<u32>,
    /// The same for 502, 503, 504, resets and connect failures.
    pub gateway_errors: Option<u32>,
    /// The same for resets and connect failures.
    pub local_failures: Option<u32>,
    /// With a share of good answers that is far below that of the others.
    pub success_rate: Option<SuccessRate>,
    /// How many of so many findings are acted on.
    pub enforced: Enforced,
    /// How often ejections are looked through, in milliseconds.
    pub interval_ms: u32,
    /// How long the first ejection takes, in milliseconds; the second takes twice that, and so on,
    pub base_ejection_ms: u32,
    /// up to this.
    pub max_ejection_ms: u32,
    /// How many endpoints at most, in percent. One may always be, the last never.
    pub max_ejection_percent: u32,
}

impl Default for Outliers {
    /// Nobody is left out; the times and the percentage are Envoy's.
    fn default() -> Self {
        Self {
            server_errors: None,
            gateway_errors: None,
            local_failures: None,
            success_rate: None,
            enforced: Enforced::default(),
            interval_ms: 10_000,
            base_ejection_ms: 30_000,
            max_ejection_ms: 300_000,
            max_ejection_percent: 10,
        }
    }
}

/// When the share of good answers of an endpoint is too far below that of the others, interval by interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// How many endpoints there must be with enough requests.
    pub minimum_hosts: u32,
    /// How many requests are enough.
    pub request_volume: u32,
    /// How far below the mean is too far, in thousandths of the standard deviation.
    pub deviations_per_mille: u32,
}

impl Default for SuccessRate {
    /// Envoy's.
    fn default() -> Self {
        Self { minimum_hosts: 5, request_volume: 100, deviations_per_mille: 1900 }
    }
}

/// How many of so many findings about endpoints are acted on, each in percent, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// Of errors of the server, one after the other.
    pub server_errors: u32,
    /// Of errors of a gateway, one after the other.
    pub gateway_errors: u32,
    /// Of resets and connect failures, one after the other.
    pub local_failures: u32,
    /// Of low shares of good answers.
    pub success_rate: u32,
}

impl Default for Enforced {
    /// All.
    fn default() -> Self {
        Self { server_errors: 100, gateway_errors: 100, local_failures: 100, success_rate: 100 }
    }
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
    /// Whose proxies prefer it to endpoints of other zones; empty: nobody's. Not with a hash, which is the same everywhere.
    pub zones: Vec<Arc<str>>,
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
