//! What is kept of a workload that a Rollout refers to: its pod template and size.

use std::borrow::Cow;

use crds::rollout::{PodTemplate, RolloutSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::{Resource, core::DynamicResourceScope};
use operator_core::{
    traffic::ObjectName,
    world::{self, WorkloadKind},
};
use serde::Deserialize;

use crate::rollouts::store::Stored;

/// A workload as the watch decodes it; it is kept as a [`Workload`].
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchedWorkload {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec; a PodTemplate has none.
    #[serde(default)]
    pub spec: WorkloadSpec,
    /// The template of a PodTemplate.
    #[serde(default)]
    pub template: PodTemplate,
}

/// The part of a Deployment's or ReplicaSet's spec that is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WorkloadSpec {
    /// Wanted pods.
    pub replicas: Option<i32>,
    /// Which pods are its own.
    pub selector: Option<LabelSelector>,
    /// The pod template.
    #[serde(default)]
    pub template: PodTemplate,
}

impl Resource for WatchedWorkload {
    type DynamicType = WorkloadKind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &WorkloadKind) -> Cow<'_, str> {
        kind.kind().into()
    }

    fn group(kind: &WorkloadKind) -> Cow<'_, str> {
        kind.group().into()
    }

    fn version(_: &WorkloadKind) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(kind: &WorkloadKind) -> Cow<'_, str> {
        kind.plural().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A workload as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// The rest.
    pub workload: world::Workload,
}

impl Stored for Workload {
    fn name(&self) -> ObjectName {
        ObjectName::new(self.namespace.clone(), self.workload.name.clone())
    }

    fn uid(&self) -> Option<&str> {
        Some(&self.workload.uid)
    }

    fn version(&self) -> Option<&str> {
        Some(&self.workload.resource_version)
    }
}

impl Workload {
    /// What is kept of a workload of that kind.
    pub(crate) fn of(kind: WorkloadKind, watched: WatchedWorkload) -> Self {
        let WatchedWorkload { metadata, spec, template } = watched;
        let (replicas, selector, template) = match kind {
            WorkloadKind::Deployment | WorkloadKind::ReplicaSet => {
                (Some(spec.replicas.unwrap_or(1)), spec.selector, spec.template)
            }
            WorkloadKind::PodTemplate => (None, None, template),
        };
        let workload = world::Workload {
            kind,
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            replicas,
            selector,
            template,
        };
        Self { namespace: metadata.namespace.unwrap_or_default(), workload }
    }
}

/// The workload that a spec refers to; `None` also for a kind that has no pod template.
pub(crate) fn reference(spec: &RolloutSpec, namespace: &str) -> Option<(WorkloadKind, ObjectName)> {
    let reference = spec.workload_ref.as_ref()?;
    let name = reference.name.clone().unwrap_or_default();
    Some((WorkloadKind::of(reference)?, ObjectName::new(namespace, name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_lies_where_the_kind_has_it() {
        let template = json!({"metadata": {"labels": {"app": "shop"}}});
        let metadata = json!({"namespace": "web", "name": "app", "uid": "d", "generation": 4});
        let deployment = json!({
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": template},
        });
        let of = |kind, object| Workload::of(kind, serde_json::from_value(object).unwrap()).workload;
        let read = of(WorkloadKind::Deployment, deployment);
        assert_eq!((read.replicas, read.generation), (Some(1), 4));
        assert_eq!(read.template.0, template);
        assert!(read.selector.is_some());
        let read = of(WorkloadKind::PodTemplate, json!({"metadata": metadata, "template": template}));
        assert_eq!((read.replicas, read.selector, read.template.0), (None, None, template));
    }
}
