//! The Experiment that a step of a Rollout starts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::effect::Target;

/// An Experiment that is complete but for its pod templates. These are taken from ReplicaSets when it is created, with
/// all that the API server has put into them, as in Argo: so their hashes are not those of the Rollout's versions, and
/// no Service of the Rollout selects the pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    manifest: Value,
    pods: Vec<Pods>,
}

/// Where the pod template of one of `spec.templates` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// The ReplicaSet that has it.
    pub replica_set: Target,
    /// Labels that the pods get in addition.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the pods get in addition.
    pub annotations: BTreeMap<String, String>,
}

impl Blueprint {
    /// `manifest`: the object, with a list `spec.templates` without pod templates; `pods`: one for each of them.
    #[must_use]
    pub fn new(manifest: Value, pods: Vec<Pods>) -> Self {
        Self { manifest, pods }
    }

    /// The ReplicaSets whose pod templates it needs, one for each of `spec.templates`.
    pub fn replica_sets(&self) -> impl Iterator<Item = &Target> {
        self.pods.iter().map(|it| &it.replica_set)
    }

    /// The complete object. `templates` are the pod templates of [`Blueprint::replica_sets`], in the same order.
    #[must_use]
    pub fn manifest(&self, templates: &[Value]) -> Value {
        let mut manifest = self.manifest.clone();
        let listed = manifest.pointer_mut("/spec/templates").and_then(Value::as_array_mut);
        for ((entry, pods), template) in listed.into_iter().flatten().zip(&self.pods).zip(templates) {
            entry["template"] = pods.dress(template.clone());
        }
        manifest
    }
}

impl Pods {
    /// A pod template with the metadata that its pods get in addition.
    fn dress(&self, mut template: Value) -> Value {
        for (field, added) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            for (key, value) in added {
                let metadata = object(&mut template["metadata"]);
                object(&mut metadata[field])[key] = json!(value);
            }
        }
        template
    }
}

/// The value, made an object where it is none.
fn object(value: &mut Value) -> &mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_templates_are_filled_in_with_the_metadata_of_the_step() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            uid: name.to_owned(),
            resource_version: "1".to_owned(),
        };
        let plain =
            Pods { replica_set: target("old"), labels: BTreeMap::new(), annotations: BTreeMap::new() };
        let marked = Pods {
            replica_set: target("new"),
            labels: BTreeMap::from([("role".to_owned(), "trial".to_owned())]),
            annotations: BTreeMap::from([("note".to_owned(), "n".to_owned())]),
        };
        let manifest = json!({"spec": {"templates": [{"name": "a"}, {"name": "b", "replicas": 2}]}});
        let blueprint = Blueprint::new(manifest, vec![plain, marked]);
        assert_eq!(blueprint.replica_sets().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["old", "new"]);
        let templates = [
            json!({"spec": {"x": 1}}),
            json!({"metadata": {"labels": {"app": "shop"}, "annotations": null}}),
        ];
        assert_eq!(
            blueprint.manifest(&templates),
            json!({"spec": {"templates": [
                {"name": "a", "template": {"spec": {"x": 1}}},
                {"name": "b", "replicas": 2, "template": {"metadata": {
                    "labels": {"app": "shop", "role": "trial"}, "annotations": {"note": "n"},
                }}},
            ]}})
        );
    }
}
