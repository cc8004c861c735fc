//! How endpoints are asked whether they can take requests.

use super::HeaderEdit;

/// One question that every endpoint of a cluster is asked again and again. An endpoint that fails one of its cluster's
/// gets no requests while there are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// From an answer to the next question, in milliseconds.
    pub interval_ms: u32,
    /// For an answer, in milliseconds, the connection included.
    pub timeout_ms: u32,
    /// After so many bad answers one after the other a good endpoint is left out. The first answer of all counts alone.
    pub unhealthy_threshold: u32,
    /// After so many good answers one after the other it is back.
    pub healthy_threshold: u32,
    /// What it is asked.
    pub question: Question,
}

/// What an endpoint is asked, in the protocol of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A request.
    Http(HttpQuestion),
    /// gRPC's own service for it, `grpc.health.v1.Health/Check`.
    Grpc(GrpcQuestion),
}

/// A GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpQuestion {
    /// Its path, perhaps with a query.
    pub path: String,
    /// Its host; `None`: the endpoint's address.
    pub host: Option<String>,
    /// What is done to its headers; variables have no value.
    pub request_headers: Vec<HeaderEdit>,
    /// The statuses that are good, from the first to the last of each.
    pub statuses: Vec<(u16, u16)>,
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcQuestion {
    /// Which of the server's services is asked for; empty: the server as a whole.
    pub service: String,
    /// The host; `None`: the endpoint's address.
    pub authority: Option<String>,
}
