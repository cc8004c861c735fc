//! A service that is asked about requests before they go on.

use super::{ClusterId, HeaderEdit, Value};

/// A service that is asked about each request that goes to an arm, by a request without a body. An answer 2xx lets it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Who is asked.
    pub cluster: ClusterId,
    /// By which method; `None`: that of the request.
    pub method: Option<String>,
    /// For which host; `None`: that of the request.
    pub host: Option<String>,
    /// For which path and query.
    pub target: Value,
    /// Which headers of the request it sees. Those that a proxy makes are there already, and what only a trusted proxy may
    /// say of the client is not there of others.
    pub sees: Sees,
    /// What happens to these headers then.
    pub request_headers: Vec<HeaderEdit>,
    /// Headers of an answer 2xx that the endpoint sees in the place of the request's, in lower case.
    pub passed_on: Vec<String>,
    /// What becomes of such a header of the request where the answer has none.
    pub absent: Absent,
    /// What of the other answers the client gets.
    pub refusals: Refusals,
    /// Headers of an answer that refuses which the client gets, in lower case.
    pub told: Vec<String>,
    /// Where a client is sent with 302 instead of 401; `None`: nowhere.
    pub sign_in: Option<Value>,
    /// Which responses to the client have the cookies of the answer.
    pub cookies: Cookies,
    /// How long the whole question may take, in milliseconds.
    pub timeout_ms: u32,
    /// What happens when there is no answer in time, or none that means anything.
    pub failure: AuthorizationFailure,
}

/// Which headers of a request a service sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sees {
    /// All.
    #[default]
    All,
    /// These, in lower case.
    Only(Vec<String>),
}

/// What becomes of a header of the request that the service could have replaced and has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// It goes: only the service may say it.
    #[default]
    Removed,
    /// It stays.
    Kept,
}

/// What of an answer that does not let a request pass the client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusals {
    /// The status, if it is 401 or 403, with our own text; any other is a failure (nginx's `auth_request`).
    #[default]
    Status,
    /// The status and the text (Envoy's `ext_authz`).
    Whole,
}

/// Which responses to the client have the `Set-Cookie` lines of the service's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cookies {
    /// None, but for answers that refuse where `told` names them.
    #[default]
    Never,
    /// Those that are no errors: 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308 (nginx's `add_header`).
    Good,
    /// All.
    Always,
}

/// What happens to a request about which the service says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationFailure {
    /// It is answered with this status, 400 to 599.
    Refused(u16),
    /// It goes on.
    Passed,
}
