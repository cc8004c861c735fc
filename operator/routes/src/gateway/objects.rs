//! The objects as they are read.

use std::sync::Arc;

use crds::gateway::{
    GrpcRouteSpec, HttpRouteSpec, RouteKind, StreamRouteSpec, read_spec, reference::ParentReference,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{GatewayObject, hostname::HostName};
use crate::recent::Recent;

/// An object and what is read of its spec, or why nothing could be.
#[derive(Clone, Debug)]
pub(crate) struct Read<T> {
    pub(crate) resource_version: Arc<str>,
    pub(crate) generation: i64,
    pub(crate) created: i64,
    pub(crate) uid: Arc<str>,
    /// The route whose place it takes.
    pub(crate) stands_in_for: Option<Arc<str>>,
    pub(crate) spec: Result<T, String>,
}

/// A route of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) parents: Vec<Arc<ParentReference>>,
    pub(crate) hostnames: Result<Vec<HostName>, String>,
    pub(crate) rules: KeptRules,
}

/// The rules of a route as they were written: as text they take a quarter of what is read of them, and they are read when
/// the route is compiled.
#[derive(Clone, Debug)]
pub(crate) struct KeptRules {
    kind: RouteKind,
    /// Why they cannot be read, if so.
    text: Result<Box<str>, String>,
}

/// The rules of a route, without parents and hostnames beside them.
#[derive(Clone, Debug)]
pub(crate) enum RouteRules {
    Http(HttpRouteSpec),
    Grpc(GrpcRouteSpec),
    /// Of a TLSRoute, TCPRoute or UDPRoute.
    Stream(StreamRouteSpec),
    /// They cannot be read: [`KeptRules::unreadable`] says why.
    Unreadable,
}

impl KeptRules {
    /// Those of a spec that can be read.
    fn of(kind: RouteKind, spec: &Value) -> Self {
        let rules = spec.get("rules").map_or_else(|| "[]".to_owned(), Value::to_string);
        Self { kind, text: Ok(format!("{{\"rules\":{rules}}}").into()) }
    }

    /// Why they cannot be read, if so.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.text.as_ref().err().map(String::as_str)
    }

    /// What they say.
    pub(crate) fn read(&self) -> RouteRules {
        let Ok(text) = &self.text else { return RouteRules::Unreadable };
        let rules = match self.kind {
            RouteKind::Http => serde_json::from_str(text).map(RouteRules::Http),
            RouteKind::Grpc => serde_json::from_str(text).map(RouteRules::Grpc),
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
                serde_json::from_str(text).map(RouteRules::Stream)
            }
        };
        // They were read before they were kept.
        rules.unwrap_or(RouteRules::Unreadable)
    }
}

impl<T: DeserializeOwned> Read<T> {
    pub(crate) fn new(object: &GatewayObject) -> Self {
        Self::with(object, read_spec(&object.spec))
    }
}

impl<T> Read<T> {
    fn with(object: &GatewayObject, spec: Result<T, String>) -> Self {
        Self {
            resource_version: Arc::clone(&object.resource_version),
            generation: object.generation,
            created: object.created,
            uid: Arc::clone(&object.uid),
            stands_in_for: object.stands_in_for.clone(),
            spec,
        }
    }
}

impl Read<Route> {
    /// A route, whatever can be read of it: whom it wants to attach to is told what is wrong.
    pub(crate) fn route(
        kind: RouteKind,
        object: &GatewayObject,
        references: &mut Recent<ParentReference>,
    ) -> Self {
        #[derive(serde::Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Parents {
            parent_refs: Vec<ParentReference>,
        }
        let rules = match kind {
            RouteKind::Http => read_spec(&object.spec).map(RouteRules::Http),
            RouteKind::Grpc => read_spec(&object.spec).map(RouteRules::Grpc),
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
                read_spec(&object.spec).map(RouteRules::Stream)
            }
        };
        let mut shared =
            |parents: Vec<ParentReference>| parents.into_iter().map(|it| references.share(it)).collect();
        let route = match rules {
            Err(reason) => read_spec(&object.spec).map(|Parents { parent_refs }| Route {
                parents: shared(parent_refs),
                hostnames: Ok(Vec::new()),
                rules: KeptRules { kind, text: Err(reason) },
            }),
            Ok(rules) => {
                let (parents, hostnames) = match rules {
                    RouteRules::Http(spec) => (spec.parent_refs, spec.hostnames),
                    RouteRules::Grpc(spec) => (spec.parent_refs, spec.hostnames),
                    RouteRules::Stream(spec) => (spec.parent_refs, spec.hostnames),
                    RouteRules::Unreadable => (Vec::new(), Vec::new()),
                };
                let named = !matches!(kind, RouteKind::Tcp | RouteKind::Udp);
                let hostnames = hostnames.iter().filter(|_| named);
                Ok(Route {
                    parents: shared(parents),
                    hostnames: hostnames.map(|name| HostName::parse(Some(name))).collect(),
                    rules: KeptRules::of(kind, &object.spec),
                })
            }
        };
        // Nobody asks for the uid of a route, of which there are thousands.
        Self { uid: Arc::default(), ..Self::with(object, route) }
    }

    /// Whom it wants to attach to.
    pub(crate) fn parents(&self) -> &[Arc<ParentReference>] {
        self.spec.as_ref().map_or(&[], |route| &route.parents)
    }
}
