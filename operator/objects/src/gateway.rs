//! What is needed of objects of the Gateway API.

use std::sync::Arc;

use crds::contract::STANDS_IN_ANNOTATION;
use kube::core::DynamicObject;
use operator_routes::GatewayObject;
use serde_json::Value;

use crate::{Folded, version};

/// What an object of the Gateway API says of itself.
#[derive(Clone, Debug)]
pub struct SeenGateway {
    /// `metadata.resourceVersion`: a write is on top of what was seen, or not at all.
    pub resource_version: Arc<str>,
    /// `metadata.finalizers`.
    pub finalizers: Box<[String]>,
    /// `status`, as it is.
    pub status: Folded<Value>,
}

/// An object of the Gateway API, its spec as it was written.
#[must_use]
pub fn gateway(object: &mut DynamicObject) -> GatewayObject {
    GatewayObject {
        resource_version: version(&object.metadata),
        generation: object.metadata.generation.unwrap_or_default(),
        created: object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
        stands_in_for: object
            .metadata
            .annotations
            .as_ref()
            .and_then(|it| it.get(STANDS_IN_ANNOTATION))
            .map(|base| base.as_str().into()),
        spec: object.data.get_mut("spec").map(Value::take).unwrap_or_default(),
    }
}

/// What its status says; the version is that of the object as it was read.
#[must_use]
pub fn seen_gateway(object: &mut DynamicObject, version: &Arc<str>) -> SeenGateway {
    SeenGateway {
        resource_version: Arc::clone(version),
        finalizers: object.metadata.finalizers.clone().unwrap_or_default().into(),
        status: Folded::of(object.data.get_mut("status").map(Value::take).unwrap_or_default()),
    }
}
