//! What can be wrong.

use super::cluster;
use crate::{
    model::{CertificateId, ClusterId},
    password::HashError,
    pattern::{PatternError, SubstitutionError},
};

/// What can be wrong with a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A listener cannot be on port 0.
    #[error("port 0 cannot be listened on")]
    PortZero,
    /// Two listeners cannot share a port.
    #[error("port {0} has another listener")]
    PortTaken(u16),
    /// The header of the PROXY protocol begins a connection.
    #[error("datagrams come without the PROXY protocol")]
    DatagramsWithHeader,
    /// The shares of a split are parts of one whole.
    #[error("the shares of split {split} sum to {sum} instead of 10000")]
    Shares {
        /// The split.
        split: String,
        /// What they sum to.
        sum: u32,
    },
    /// Draws and counters are kept by arm id.
    #[error("the arms of split {0} are not in order of their ids, each once")]
    ArmOrder(String),
    /// An arm without endpoints is a cluster without endpoints, not the absence of a cluster.
    #[error("arm {arm} names cluster {cluster}, which does not exist")]
    NoCluster {
        /// The arm.
        arm: String,
        /// What it names.
        cluster: ClusterId,
    },
    /// The same for a mirror.
    #[error("mirror {mirror} names cluster {cluster}, which does not exist")]
    NoMirrorCluster {
        /// The mirror.
        mirror: String,
        /// What it names.
        cluster: ClusterId,
    },
    /// Draws and counters of mirrors are kept by their id.
    #[error("the mirrors of split {0} are not in order of their ids, each once")]
    MirrorOrder(String),
    /// Two routes with one split id would share draws and counters.
    #[error("split {0} belongs to another route as well")]
    SplitTaken(String),
    /// Hosts are compared in lower case.
    #[error("host `{0}` is not in lower case")]
    HostCase(String),
    /// A host text that can match nothing.
    #[error("host text is empty")]
    HostEmpty,
    /// A path begins with a slash.
    #[error("path `{0}` does not begin with `/`")]
    Path(String),
    /// So does what takes its place.
    #[error("rewrite `{0}` does not begin with `/` or holds a character that no path has")]
    Rewrite(String),
    /// A host that the upstream sees must be a host.
    #[error("host rewrite `{0}` is no host")]
    HostRewrite(String),
    /// An expression that the engine refuses.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Header names are compared in lower case.
    #[error("header name `{0}` is empty, not in lower case or no header name")]
    HeaderName(String),
    /// Only errors are answered by the proxy itself.
    #[error("refusal status {0} is not within 400 to 599")]
    RefusalStatus(u16),
    /// The reason is a header value and a label.
    #[error("refusal reason `{0}` is not made of 1 to 64 lower-case letters, digits and underscores")]
    RefusalReason(String),
    /// A connection that may take no time at all never succeeds.
    #[error("connect timeout is zero")]
    ConnectTimeout,
    /// An endpoint that cannot be dialled.
    #[error("endpoint `{0}` has port 0 or no host")]
    Endpoint(String),
    /// In-flight and pools are kept by endpoint.
    #[error("the endpoints are not in order of their addresses, each once")]
    EndpointOrder,
    /// The text of an arm's edit, of a value or of a redirect.
    #[error("`{0}` holds a character that no header has")]
    HeaderValue(String),
    /// What frames a message or belongs to one connection is ours, and the host has fields of its own.
    #[error("header `{0}` cannot be edited")]
    ForbiddenHeader(String),
    /// A substitution that its pattern does not go with.
    #[error(transparent)]
    Substitution(#[from] SubstitutionError),
    /// Not every 3xx sends a client elsewhere.
    #[error("redirect status {0} is none of 301, 302, 303, 307, 308")]
    RedirectStatus(u16),
    /// A redirect to nowhere.
    #[error("redirect host `{0}` is no host name")]
    RedirectHost(String),
    /// `/a/` as elements is `/a`.
    #[error("path `{0}` is matched by elements and ends with `/`")]
    Elements(String),
    /// Methods are tokens.
    #[error("method `{0}` is no method")]
    Method(String),
    /// Protocols are tokens in lower case.
    #[error("protocol `{0}` is empty, not in lower case or no protocol name")]
    Protocol(String),
    /// Too many retries are a flood.
    #[error("{0} retries are not within 1 to {most}", most = crate::model::Retry::MOST)]
    Retries(u32),
    /// Only errors are tried again, and only errors get another text.
    #[error("status {0} is not within 400 to 599")]
    ErrorStatus(u16),
    /// One text a status.
    #[error("the error responses are not in order of their statuses, each once")]
    ErrorOrder,
    /// A cookie that no browser sends.
    #[error("cookie name `{0}` is empty or no cookie name")]
    Cookie(String),
    /// A ring without places, or one that takes all memory.
    #[error("ring size {0} is not within 1 to {most}", most = cluster::RING_MOST)]
    RingSize(u32),
    /// Slow start changes shares, which a hash does not have.
    #[error("slow start and a hash cannot be had together")]
    SlowStart,
    /// Times that never come, or more endpoints than there are.
    #[error("the outliers' interval or ejection time is zero, or a percentage above 100")]
    Outliers,
    /// A question that is asked without a pause, never waited for, or whose answers never count.
    #[error("a health check's interval, timeout or threshold is zero")]
    HealthCheckTimes,
    /// An endpoint that can never be good.
    #[error("a health check has no statuses, or a range that is not within 100 to 599")]
    HealthCheckStatuses,
    /// A name that no certificate has.
    #[error("name `{0}` is no host name in lower case, with at most one `*` as its beginning or its end")]
    ServerName(String),
    /// Something that nobody can ask for.
    #[error("there are no names")]
    NoNames,
    /// TLS without anything to show.
    #[error("there are no certificates")]
    NoCertificates,
    /// No version is between them.
    #[error("the lowest TLS version is above the highest")]
    TlsVersions,
    /// Nobody comes in.
    #[error("there are no listeners")]
    NoListeners,
    /// A name of a protocol (RFC 7301 §3.1).
    #[error("ALPN protocol `{0}` is empty or longer than 255 bytes")]
    Alpn(String),
    /// It is written into a header, between quotes.
    #[error("realm `{0}` holds a character that cannot stand between quotes in a header")]
    Realm(String),
    /// A name is looked for among them.
    #[error("the users are not in order of their names, each once")]
    UserOrder,
    /// What no client can send (RFC 7617 §2).
    #[error("user `{0}` has a colon or a control character in the name")]
    User(String),
    /// Nobody could come in by it.
    #[error("user `{user}`: {error}")]
    Password {
        /// The user's name.
        user: String,
        /// What is wrong.
        error: HashError,
    },
    /// Who is asked must be there.
    #[error("the authorization names cluster {0}, which does not exist")]
    NoAuthorizationCluster(ClusterId),
    /// An answer that comes too late always.
    #[error("the timeout of the authorization is zero")]
    AuthorizationTimeout,
    /// A service cannot be asked for it.
    #[error(
        "the target of the authorization does not begin with `/` or holds a character that no target has"
    )]
    AuthorizationTarget,
    /// Nobody could keep to it.
    #[error(
        "the limits of clients have a number that is zero, or more than {most} rates",
        most = crate::model::ClientLimits::MOST_RATES
    )]
    ClientLimits,
    /// What a host shows must be there.
    #[error("certificate {0} does not exist")]
    NoCertificate(CertificateId),
}
