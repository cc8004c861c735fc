//! What happens to the requests and responses of a route besides its action.

use super::{Access, ClientLimits, HeaderEdit, Value};

/// In this order: `access` looks at the client's address; `clients` counts; `cors` answers a preflight; `access` asks who it
/// is, by its password, then its service; `max_body_bytes` and `upgrades` refuse; `request_headers`, then those of the arm; on the way back `errors`, then
/// `response_headers` of the arm, those of the route, and `cors`. The default is nothing. There is one for each of thousands of
/// routes: what few of them have lies elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Of requests before they are sent, after the host was rewritten and our own headers are there.
    pub request_headers: Vec<HeaderEdit>,
    /// Of all responses, also of the proxy's own.
    pub response_headers: Vec<HeaderEdit>,
    /// Whose pages may use the route.
    pub cors: Option<Box<Cors>>,
    /// What is tried again.
    pub retry: Option<Box<Retry>>,
    /// Other texts for some statuses, in order of these.
    pub errors: Vec<ErrorResponse>,
    /// Which protocols a request may switch to.
    pub upgrades: Upgrades,
    /// Who may use the route; `None`: everybody.
    pub access: Option<Box<Access>>,
    /// How much of the route one client may have; `None`: as much as it wants.
    pub clients: Option<Box<ClientLimits>>,
    /// How long the body of a request may be; a longer one gets 413. `None`: any length.
    pub max_body_bytes: Option<u64>,
}

/// Answers for browsers that ask whether a page of one origin may use another (WHATWG Fetch §3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Pages of these origins may.
    pub origins: Vec<OriginMatch>,
    /// With these methods; `*`: with the one that is asked for.
    pub methods: Vec<String>,
    /// With these headers; `*`: with those that are asked for.
    pub headers: Vec<String>,
    /// They may read these headers of the response.
    pub exposed_headers: Vec<String>,
    /// Whether cookies and the like are sent along.
    pub credentials: bool,
    /// How long the answer holds, in seconds; `None`: as long as the browser thinks.
    pub max_age_s: Option<u32>,
    /// Whether questions of pages that may not are answered here, without leave (Gateway API); else they reach the
    /// backend as any request does (Emissary, ingress-nginx).
    pub answers_refused: bool,
}

/// Which origins are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OriginMatch {
    /// All.
    Any,
    /// `https://example.org:8443`.
    Exact(String),
    /// The whole origin matches.
    Regex(String),
}

/// What is tried again at another endpoint of the same arm, as long as nothing of the request's body is gone.
/// Independent of it, connects that fail and pooled connections that turn out to be closed are tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// After what, in order, each once.
    pub on: Vec<RetryOn>,
    /// After these statuses also, 400 to 599.
    pub statuses: Vec<u16>,
    /// How often beyond the first try, 1 to [`Retry::MOST`].
    pub retries: u32,
    /// Up to the response head of each try, in milliseconds; `None`: as long as the arm's timeouts let it. A try that
    /// takes longer counts as [`RetryOn::Reset`].
    pub per_try_timeout_ms: Option<u32>,
    /// The wait before the first retry, at random between a half of it and the whole, in milliseconds; it doubles each
    /// time.
    pub backoff_ms: u32,
}

impl Retry {
    /// More would turn a failure into a flood.
    pub const MOST: u32 = 10;
    /// As Envoy's base interval.
    pub const BACKOFF_MS: u32 = 25;
}

/// A reason to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryOn {
    /// 5xx, or no response head.
    ServerError,
    /// 502, 503, 504, or no response head.
    GatewayError,
    /// No response head.
    Reset,
    /// No connection.
    ConnectFailure,
    /// HTTP/2 `REFUSED_STREAM`.
    RefusedStream,
    /// 409.
    Conflict,
}

/// Another text for a status, whoever it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// 400 to 599.
    pub status: u16,
    /// The text.
    pub body: Value,
    /// Of what type it is.
    pub content_type: String,
}

/// Which protocols a request may switch to (RFC 9110 §7.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    /// Any.
    #[default]
    Any,
    /// Only these, in lower case, for example `websocket`; a request for another gets 403.
    Only(Vec<String>),
}
