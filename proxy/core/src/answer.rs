//! Why the proxy answers a request by itself.

use http::StatusCode;

/// Why a request got no upstream response. The text goes into the header [`REASON_HEADER`] and the label
/// `reason` of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It means different things to different readers (RFC 9112 §3.2, §6.1), or cannot be served as it is coded.
    BadRequest,
    /// Its head is larger than heads may be.
    HeadTooLarge,
    /// Tunnels are not offered.
    ConnectMethod,
    /// No rule matches.
    NoRoute,
    /// The host is for requests over TLS only.
    Insecure,
    /// The host belongs to another certificate than the connection showed (RFC 9110 §15.5.20).
    Misdirected,
    /// The route does not take requests from the client's address.
    AddressRefused,
    /// The client asks the route too often, or has as much under way as it may.
    RateLimited,
    /// The route wants a name with its password.
    Unauthorized,
    /// The service that the route asks does not let the request pass.
    AuthorizationRefused,
    /// The service that the route asks says nothing, or nothing that has a meaning.
    AuthorizationFailed,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The route does not allow the protocol that the client wants to switch to.
    UpgradeRefused,
    /// The upstream closed the connection before it answered, or broke off.
    UpstreamReset,
    /// What the upstream sent is no HTTP.
    UpstreamProtocol,
    /// What the arm stands for does not exist.
    NoBackend,
    /// The arm has no endpoint that takes new requests.
    NoEndpoints,
    /// No endpoint of the arm could be connected to.
    ConnectFailed,
    /// There is as much under way to the arm's cluster as its limits allow.
    Overloaded,
    /// No response head within the route's timeout.
    Timeout,
    /// Nothing moved in either direction for the route's idle timeout.
    IdleTimeout,
}

/// The response header that names the [`Reason`].
pub const REASON_HEADER: &str = "x-sluice-reason";

impl Reason {
    /// All of them, for counters that exist from the start.
    pub const ALL: [Self; 21] = [
        Self::BadRequest,
        Self::HeadTooLarge,
        Self::ConnectMethod,
        Self::NoRoute,
        Self::Insecure,
        Self::Misdirected,
        Self::AddressRefused,
        Self::RateLimited,
        Self::Unauthorized,
        Self::AuthorizationRefused,
        Self::AuthorizationFailed,
        Self::BodyTooLarge,
        Self::UpgradeRefused,
        Self::UpstreamReset,
        Self::UpstreamProtocol,
        Self::NoBackend,
        Self::NoEndpoints,
        Self::ConnectFailed,
        Self::Overloaded,
        Self::Timeout,
        Self::IdleTimeout,
    ];

    /// One or two words with underscores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::ConnectMethod => "connect_method",
            Self::NoRoute => "no_route",
            Self::Insecure => "insecure",
            Self::Misdirected => "misdirected",
            Self::AddressRefused => "address_refused",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::AuthorizationRefused => "authorization_refused",
            Self::AuthorizationFailed => "authorization_failed",
            Self::BodyTooLarge => "body_too_large",
            Self::UpgradeRefused => "upgrade_refused",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::NoBackend => "no_backend",
            Self::NoEndpoints => "no_endpoints",
            Self::ConnectFailed => "connect_failed",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::IdleTimeout => "idle_timeout",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ConnectMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoRoute | Self::Insecure => StatusCode::NOT_FOUND,
            Self::AddressRefused | Self::UpgradeRefused | Self::AuthorizationRefused => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::UpstreamReset | Self::UpstreamProtocol => StatusCode::BAD_GATEWAY,
            Self::NoBackend | Self::AuthorizationFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoEndpoints | Self::ConnectFailed | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout | Self::IdleTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The body of the answer: one line for whoever reads it in a terminal.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "sluice: the request is ambiguous or has no host\n",
            Self::HeadTooLarge => "sluice: the request's head is too large\n",
            Self::ConnectMethod => "sluice: CONNECT is not offered here\n",
            Self::NoRoute => "sluice: no route matches this request\n",
            Self::Insecure => "sluice: this host is served over TLS only\n",
            Self::Misdirected => "sluice: this connection is for other hosts, make another one\n",
            Self::AddressRefused => "sluice: this route is not for your address\n",
            Self::RateLimited => "sluice: this route takes no more of your requests for now\n",
            Self::Unauthorized => "sluice: this route wants a name with its password\n",
            Self::AuthorizationRefused => "sluice: the service that this route asks does not let you in\n",
            Self::AuthorizationFailed => "sluice: the service that this route asks gave no answer\n",
            Self::BodyTooLarge => "sluice: the body is longer than this route takes\n",
            Self::UpgradeRefused => "sluice: this route does not allow a switch to that protocol\n",
            Self::UpstreamReset => "sluice: the upstream closed the connection before it answered\n",
            Self::UpstreamProtocol => "sluice: the upstream's answer is no valid HTTP\n",
            Self::NoBackend => "sluice: the upstream that the route names does not exist\n",
            Self::NoEndpoints => "sluice: the upstream has no ready endpoint\n",
            Self::ConnectFailed => "sluice: no endpoint of the upstream could be connected to\n",
            Self::Overloaded => "sluice: there is as much under way to the upstream as its limits allow\n",
            Self::Timeout => "sluice: the upstream did not answer in time\n",
            Self::IdleTimeout => "sluice: the exchange was idle for too long\n",
        }
    }
}
