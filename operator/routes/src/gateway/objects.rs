//! The objects as they are read.

use std::{mem, sync::Arc};

use crds::gateway::{
    GrpcRouteSpec, HttpRouteSpec, RouteKind, StreamRouteSpec, read_spec, reference::ParentReference,
};
use serde::de::DeserializeOwned;

use super::{GatewayObject, hostname::HostName};

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
    pub(crate) rules: RouteRules,
}

/// The rules of a route, without the parents and hostnames beside them.
#[derive(Clone, Debug)]
pub(crate) enum RouteRules {
    Http(HttpRouteSpec),
    Grpc(GrpcRouteSpec),
    /// Of a TLSRoute, TCPRoute or UDPRoute.
    Stream(StreamRouteSpec),
    /// They cannot be read.
    Unreadable(String),
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
    pub(crate) fn route(kind: RouteKind, object: &GatewayObject) -> Self {
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
        let shared = |parents: Vec<ParentReference>| parents.into_iter().map(Arc::new).collect();
        let route = match rules {
            Err(reason) => read_spec(&object.spec).map(|Parents { parent_refs }| Route {
                parents: shared(parent_refs),
                hostnames: Ok(Vec::new()),
                rules: RouteRules::Unreadable(reason),
            }),
            Ok(mut rules) => {
                // What is read of them is kept once.
                let (parents, hostnames) = match &mut rules {
                    RouteRules::Http(spec) => {
                        (mem::take(&mut spec.parent_refs), mem::take(&mut spec.hostnames))
                    }
                    RouteRules::Grpc(spec) => {
                        (mem::take(&mut spec.parent_refs), mem::take(&mut spec.hostnames))
                    }
                    RouteRules::Stream(spec) => {
                        (mem::take(&mut spec.parent_refs), mem::take(&mut spec.hostnames))
                    }
                    RouteRules::Unreadable(_) => (Vec::new(), Vec::new()),
                };
                let named = !matches!(kind, RouteKind::Tcp | RouteKind::Udp);
                let hostnames = hostnames.iter().filter(|_| named);
                Ok(Route {
                    parents: shared(parents),
                    hostnames: hostnames.map(|name| HostName::parse(Some(name))).collect(),
                    rules,
                })
            }
        };
        Self::with(object, route)
    }

    /// Whom it wants to attach to.
    pub(crate) fn parents(&self) -> &[Arc<ParentReference>] {
        self.spec.as_ref().map_or(&[], |route| &route.parents)
    }
}
