//! Objects that split traffic, as they are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::DynamicObject;
use operator_core::traffic::ObjectName;
use operator_objects::Folded;

use super::{Index, controller, key};
use crate::rollouts::store::Stored;

/// A Mapping, an Ingress or a route. Rollouts name few of the thousands that a cluster may have: each is kept as text, a
/// tenth of what its values take, and read when it is looked at.
#[derive(Clone, Debug)]
pub(crate) struct SplitObject {
    name: ObjectName,
    uid: Option<String>,
    version: Option<String>,
    /// Whose it is.
    pub(crate) controller: Option<Box<OwnerReference>>,
    content: Folded<DynamicObject>,
}

impl SplitObject {
    /// Keeps an object.
    pub(crate) fn fold(object: DynamicObject) -> Self {
        Self {
            name: key(&object.metadata),
            uid: object.metadata.uid.clone(),
            version: object.metadata.resource_version.clone(),
            controller: controller(&object.metadata).cloned().map(Box::new),
            content: Folded::of(object),
        }
    }

    /// The object as it was.
    pub(crate) fn unfold(&self) -> DynamicObject {
        self.content.read()
    }

    /// How it is found that only a controller may own.
    pub(crate) fn index(&self) -> Vec<Index> {
        self.controller.iter().map(|owner| Index::Controller(owner.uid.clone())).collect()
    }
}

impl Stored for SplitObject {
    fn name(&self) -> ObjectName {
        self.name.clone()
    }

    fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_read_as_it_was() {
        let object = json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "Mapping",
            "metadata": {
                "namespace": "web", "name": "app", "uid": "u", "resourceVersion": "7",
                "annotations": {"a": "b"},
                "ownerReferences": [
                    {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "r", "uid": "o", "controller": true},
                ],
            },
            "spec": {"prefix": "/", "weight": 20, "labels": {"x": [1, null, 2.5]}},
        });
        let object = DynamicObject::deserialize(object).unwrap();
        let folded = SplitObject::fold(object.clone());
        assert_eq!(folded.unfold(), object);
        assert_eq!(
            (folded.name(), folded.uid(), folded.version()),
            (ObjectName::new("web", "app"), Some("u"), Some("7"))
        );
        assert_eq!(folded.index(), [Index::Controller("o".to_owned())]);
    }
}
