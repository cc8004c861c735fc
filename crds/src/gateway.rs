//! The kinds of the Gateway API (`gateway.networking.k8s.io`), as of v1.6.
//!
//! | file | kinds |
//! |---|---|
//! | [`class`] | `GatewayClass` |
//! | [`listener`] | `Gateway`, `ListenerSet`: where connections come in |
//! | [`http_route`] | `HTTPRoute` |
//! | [`grpc_route`] | `GRPCRoute` |
//! | [`stream_route`] | `TLSRoute`, `TCPRoute`, `UDPRoute` |
//! | [`filter`] | what a rule does to requests, of HTTP and gRPC alike |
//! | [`reference`] | how objects name each other, `ReferenceGrant` |
//! | [`policy`] | `BackendTLSPolicy` |
//!
//! Only specs, and of these the fields that are acted on; fields of the experimental channel are read as well, and are
//! there where that channel is installed. What an absent field means is in the type: the API server writes most defaults
//! into the objects, a file does not have them. Words of a closed set stay texts where a value that is not known is
//! reported on the object instead of making it unreadable.
//!
//! The definitions for the API server are the project's of that API, not ours: nothing of this is in
//! [`definition`](crate::definition).

pub mod class;
pub mod filter;
pub mod grpc_route;
pub mod http_route;
pub mod listener;
pub mod policy;
pub mod reference;
pub mod stream_route;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::{
    class::GatewayClassSpec,
    grpc_route::GrpcRouteSpec,
    http_route::HttpRouteSpec,
    listener::{GatewaySpec, ListenerSetSpec},
    policy::BackendTlsPolicySpec,
    reference::ReferenceGrantSpec,
    stream_route::StreamRouteSpec,
};

/// The group of all these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayKind {
    /// Which controller has which Gateways; without namespace.
    GatewayClass,
    /// Where connections come in.
    Gateway,
    /// More listeners of a Gateway.
    ListenerSet,
    /// Who may refer to whom in another namespace.
    ReferenceGrant,
    /// How backends are spoken to with TLS.
    BackendTlsPolicy,
    /// A route of one of the kinds.
    Route(RouteKind),
}

/// The kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// HTTP requests.
    Http,
    /// Calls of gRPC.
    Grpc,
    /// Connections by their server name.
    Tls,
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl GatewayKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::ReferenceGrant,
        Self::BackendTlsPolicy,
        Self::Route(RouteKind::Http),
        Self::Route(RouteKind::Grpc),
        Self::Route(RouteKind::Tls),
        Self::Route(RouteKind::Tcp),
        Self::Route(RouteKind::Udp),
    ];

    /// Its Kubernetes name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
            Self::Route(kind) => kind.as_str(),
        }
    }

    /// Whether its objects are in namespaces.
    #[must_use]
    pub fn namespaced(self) -> bool {
        self != Self::GatewayClass
    }
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Http, Self::Grpc, Self::Tls, Self::Tcp, Self::Udp];

    /// Its Kubernetes name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::Udp => "UDPRoute",
        }
    }

    /// The kind of this Kubernetes name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Reads a spec; an absent one is empty.
///
/// # Errors
///
/// If a value has the wrong type or a required field is missing, in words that name its path; unknown fields are no error.
pub fn read_spec<T: DeserializeOwned>(spec: &Value) -> Result<T, String> {
    static EMPTY: std::sync::LazyLock<Value> =
        std::sync::LazyLock::new(|| Value::Object(serde_json::Map::new()));
    let spec = if spec.is_null() { &*EMPTY } else { spec };
    serde_path_to_error::deserialize(spec).map_err(|error| match error.path().to_string().as_str() {
        "." => format!("spec: {}", error.inner()),
        path => format!("spec.{path}: {}", error.inner()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::filter::Filter;

    #[test]
    fn a_spec_that_cannot_be_read_says_where() {
        let spec = json!({"rules": [{"matches": [{"path": {"type": 7}}]}]});
        let error = read_spec::<HttpRouteSpec>(&spec).unwrap_err();
        assert_eq!(error, "spec.rules[0].matches[0].path.type: invalid type: integer `7`, expected a string");
        let error = read_spec::<GatewaySpec>(&json!(7)).unwrap_err();
        assert!(error.starts_with("spec: "), "{error}");
    }

    #[test]
    fn absent_lists_of_a_route_are_told_from_empty_ones_only_where_it_matters() {
        let route: HttpRouteSpec = read_spec(&json!({"rules": [{}], "unknown": {"a": 1}})).unwrap();
        assert_eq!(route.rules.len(), 1);
        assert!(route.parent_refs.is_empty() && route.hostnames.is_empty());
    }

    #[test]
    fn an_unknown_filter_is_read_as_one() {
        let route: HttpRouteSpec =
            read_spec(&json!({"rules": [{"filters": [{"type": "Rust", "rust": {}}]}]})).unwrap();
        assert_eq!(route.rules[0].filters, [Filter::Unknown("Rust".to_owned())]);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = GatewayKind::ALL.iter().map(|it| it.as_str()).collect();
        assert_eq!(names.len(), GatewayKind::ALL.len());
    }
}
