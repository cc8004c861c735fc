//! The pod template, as Kubernetes validates that of a ReplicaSet.
//!
//! Argo runs the validator of Kubernetes 1.34 (`ValidatePodTemplateSpecForReplicaSet`) on a copy with defaults. These
//! are its rules for what users write, in its order, words and paths (which are not those of the template everywhere:
//! `spec.template.annotations`). A field that is absent has a default, so it is valid. What has no rule here is left to
//! the API server, whose answer is reported when the ReplicaSet is created: rare volumes, devices, resource claims,
//! Windows, and what depends on host namespaces, which Argo does not see either.

mod affinity;
mod container;
mod environment;
mod field;
mod pod;
mod probe;
mod resources;
mod scheduling;
mod security;
#[cfg(test)]
mod tests;
mod volumes;

use serde_json::Value;

use self::field::Field;
use super::{Checked, names};
use crate::spec::{Invalid, Selector};

/// Annotations of an object may have this many bytes.
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// The first error of a template; `null` is an empty one.
pub(super) fn validate(template: &Value, selector: &Selector) -> Checked {
    let template = Field::new("spec.template", template);
    let labels = template.child("metadata").child("labels");
    if !selector.matches(&labels.texts()) {
        let shown = labels.is_set().then(|| labels.texts());
        return Err(Invalid::value(labels.path(), &shown, "`selector` does not match template `labels`"));
    }
    validate_labels("spec.template.labels", &labels)?;
    validate_annotations("spec.template.annotations", &template.child("metadata").child("annotations"))?;
    let spec = template.child("spec");
    pod::validate(&spec)?;
    spec.child("ephemeralContainers").is_empty_because("ephemeral containers not allowed in pod template")?;
    spec.child("restartPolicy").is_one_of(&["Always"])?;
    spec.child("activeDeadlineSeconds")
        .is_unset_because("activeDeadlineSeconds in ReplicaSet is not Supported")
}

/// Keys and values of labels, reported at `field`.
fn validate_labels(field: &str, labels: &Field<'_>) -> Checked {
    for (key, value) in labels.texts() {
        if let Some(why) = names::label_key(&key) {
            return Err(Invalid::value(field, &key, why));
        }
        if let Some(why) = names::label_value(&value) {
            return Err(Invalid::value(field, &value, why));
        }
    }
    Ok(())
}

fn validate_annotations(field: &str, annotations: &Field<'_>) -> Checked {
    let mut bytes = 0;
    for (key, value) in annotations.texts() {
        if let Some(why) = names::label_key(&key.to_lowercase()) {
            return Err(Invalid::value(field, &key, why));
        }
        bytes += key.len() + value.len();
    }
    if bytes > MOST_ANNOTATION_BYTES {
        return Err(Invalid::too_long(field, MOST_ANNOTATION_BYTES));
    }
    Ok(())
}
