//! `undo`: the pod template of an earlier revision.

use crds::contract::{POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION};
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch, PatchOperation, ReplaceOperation};
use serde_json::Value;

/// A pod template that was in use, as a ReplicaSet of the Rollout keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    revision: i64,
    template: Value,
}

/// Why no earlier revision can be restored. The sentences are Argo's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRevision {
    /// There is no ReplicaSet of this revision.
    #[error("unable to find specified revision {0} in history")]
    Unknown(i64),
    /// There is no revision before the current one.
    #[error("no revision found for rollout {0:?}")]
    NoPrevious(String),
}

impl Past {
    /// The template of a ReplicaSet (raw JSON), without the hash label that the controller adds. Absent if the
    /// ReplicaSet carries a revision that is not a number.
    #[must_use]
    pub fn of(replica_set: &Value) -> Option<Self> {
        let revision =
            replica_set.pointer("/metadata/annotations").and_then(|it| it.get(REVISION_ANNOTATION));
        let revision = match revision.and_then(Value::as_str) {
            Some(text) => text.parse().ok()?,
            None => 0,
        };
        let template = replica_set.pointer("/spec/template").cloned().unwrap_or_default();
        Some(Self { revision, template: without_hash(template) })
    }

    /// Whether `template` asks for this one already. The hash label does not count, nor what only the ReplicaSet
    /// has: the API server adds defaults to the templates of ReplicaSets which Rollouts do not have.
    #[must_use]
    pub fn is(&self, template: &Value) -> bool {
        is_part_of(&without_hash(template.clone()), &self.template)
    }

    /// The JSON patch that restores this template at the pointer made of `path`.
    #[must_use]
    pub fn restore(self, path: &[&str]) -> Patch {
        let path = PointerBuf::from_tokens(path.iter().copied());
        Patch(vec![PatchOperation::Replace(ReplaceOperation { path, value: self.template })])
    }
}

/// Finds the revision to go back to: the given one, or for 0 the one before the newest.
pub fn choose(mut past: Vec<Past>, revision: i64, rollout: &str) -> Result<Past, NoRevision> {
    if revision != 0 {
        let chosen = past.into_iter().find(|it| it.revision == revision);
        return chosen.ok_or(NoRevision::Unknown(revision));
    }
    past.sort_by_key(|it| std::cmp::Reverse(it.revision));
    past.into_iter().nth(1).ok_or_else(|| NoRevision::NoPrevious(rollout.to_owned()))
}

fn without_hash(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH_LABEL);
    }
    template
}

/// Whether everything that is set in `part` is equal in `whole`. Empty values count as not set.
fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Null, _) => true,
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| is_part_of(value, whole.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Object(part), _) => part.values().all(|value| is_part_of(value, &Value::Null)),
        (Value::Array(part), _) if part.is_empty() => true,
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part_of(part, whole))
        }
        (Value::String(part), _) if part.is_empty() => true,
        (part, whole) => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_replica_set_make_no_difference_but_other_images_do() {
        let past = Past::of(&json!({
            "metadata": {"annotations": {REVISION_ANNOTATION: "1"}},
            "spec": {"template": {
                "metadata": {"labels": {"app": "shop", POD_TEMPLATE_HASH_LABEL: "h"}},
                "spec": {"restartPolicy": "Always", "containers": [{"name": "web", "image": "shop:v1"}]},
            }},
        }));
        let past = past.unwrap();
        let wanted = |image: &str| {
            json!({
                "metadata": {"labels": {"app": "shop"}, "creationTimestamp": null},
                "spec": {"containers": [{"name": "web", "image": image, "resources": {}}]},
            })
        };
        assert!(past.is(&wanted("shop:v1")));
        assert!(!past.is(&wanted("shop:v2")));
    }
}
