//! What is kept of a `CustomResourceDefinition`: not its schema, which is the largest object of a cluster, but what it drops.

use crds::definition;
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Deserializer};

use crate::rollouts::resource;

/// A definition as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Definition {
    /// Name, uid and version.
    pub(super) metadata: ObjectMeta,
    /// The fields that the API server drops by it: see [`definition::pruned`].
    pub(super) pruned: Vec<String>,
}

resource!(Definition, CustomResourceDefinition);

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: String,
            uid: Option<String>,
            resource_version: Option<String>,
        }
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
            spec: definition::Definition,
        }
        let Object { metadata: Metadata { name, uid, resource_version }, spec } =
            Object::deserialize(deserializer)?;
        let pruned = definition::pruned(&name, &spec);
        Ok(Self {
            metadata: ObjectMeta { name: Some(name), uid, resource_version, ..ObjectMeta::default() },
            pruned,
        })
    }
}
