//! What is kept of `AnalysisRuns` and of their templates: neither metrics nor measurements of a run, and of a template
//! what it says.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use crds::{
    analysis::{self, AnalysisPhase, AnalysisTemplateSpec, ClusterAnalysisTemplate},
    contract::RUN_FINGERPRINT_ANNOTATION,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{CustomResourceExt, Resource};
use operator_core::{traffic::ObjectName, world::Readable};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::Value;

use super::{key, resource};
use crate::rollouts::store::{Change, Stored};

/// An `AnalysisRun` as it is kept. Whatever else is in it belongs to who measures: it may be of any shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnalysisRun {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// It was told to end.
    pub terminate: bool,
    /// Its verdict so far.
    pub phase: Option<AnalysisPhase>,
    /// Why.
    pub message: Option<String>,
}

resource!(AnalysisRun, analysis::AnalysisRun);

impl<'de> Deserialize<'de> for AnalysisRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let status = |name: &str| object.pointer(&format!("/status/{name}"));
        Ok(Self {
            terminate: object.pointer("/spec/terminate").and_then(Value::as_bool).unwrap_or_default(),
            // A word that this version does not know is no verdict.
            phase: status("phase").and_then(|phase| AnalysisPhase::deserialize(phase).ok()),
            message: status("message").and_then(Value::as_str).map(str::to_owned),
            metadata: metadata(&mut object).map_err(D::Error::custom)?,
        })
    }
}

/// Drops what is never read of a run.
pub(crate) fn trim_run(run: &mut AnalysisRun) {
    run.metadata.managed_fields = None;
    if let Some(annotations) = &mut run.metadata.annotations {
        annotations.retain(|name, _| name == RUN_FINGERPRINT_ANNOTATION);
    }
}

impl Change<AnalysisRun> {
    /// Nothing has changed that a Rollout is about: a measurement was added.
    pub(crate) fn is_idle(&self) -> bool {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return false };
        let essence = |run: &AnalysisRun| {
            let mut run = run.clone();
            run.metadata.resource_version = None;
            run
        };
        essence(old) == essence(new)
    }
}

/// An `AnalysisTemplate` or a [`ClusterAnalysisTemplate`] as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Name, namespace, uid and version.
    pub metadata: ObjectMeta,
    /// What it says, or why that cannot be read.
    pub spec: Readable,
}

impl Stored for Template {
    fn name(&self) -> ObjectName {
        key(&self.metadata)
    }

    fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

/// A template as the watch decodes it: one that cannot be read does not end the watch of all others.
#[derive(Clone, Debug)]
pub(crate) struct WatchedTemplate<K> {
    template: Template,
    kind: PhantomData<K>,
}

impl<K> WatchedTemplate<K> {
    /// What is kept of it.
    pub(crate) fn kept(self) -> Template {
        self.template
    }
}

/// The two kinds of templates.
pub(crate) trait TemplateKind: CustomResourceExt + DeserializeOwned {
    /// What the template says.
    fn said(self) -> AnalysisTemplateSpec;
}

impl TemplateKind for analysis::AnalysisTemplate {
    fn said(self) -> AnalysisTemplateSpec {
        self.spec
    }
}

impl TemplateKind for ClusterAnalysisTemplate {
    fn said(self) -> AnalysisTemplateSpec {
        self.spec.template
    }
}

impl<'de, K: TemplateKind> Deserialize<'de> for WatchedTemplate<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let spec = crds::read::read::<K>(&object);
        let spec = spec.map(|it| Arc::new(it.said())).map_err(|error| error.to_string());
        let ObjectMeta { name, namespace, uid, resource_version, .. } =
            metadata(&mut object).map_err(D::Error::custom)?;
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { template: Template { metadata, spec }, kind: PhantomData })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for WatchedTemplate<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.template.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.template.metadata
    }
}

fn metadata(object: &mut Value) -> serde_json::Result<ObjectMeta> {
    ObjectMeta::deserialize(object.get_mut("metadata").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(version: &str, status: &Value) -> AnalysisRun {
        let mut run = AnalysisRun::deserialize(json!({
            "metadata": {
                "namespace": "web", "name": "r", "uid": "u", "resourceVersion": version,
                "annotations": {"note": "n", "sluice.dev/run-fingerprint": "f"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"terminate": true, "metrics": "of any shape"},
            "status": status,
        }))
        .unwrap();
        trim_run(&mut run);
        run
    }

    #[test]
    fn of_a_run_the_verdict_is_kept_whatever_else_is_in_it() {
        let kept = run("1", &json!({"phase": "Failed", "message": "m", "metricResults": 5}));
        assert!(kept.terminate);
        assert_eq!((kept.phase, kept.message.as_deref()), (Some(AnalysisPhase::Failed), Some("m")));
        assert_eq!(kept.metadata.annotations.unwrap().len(), 1);
        assert_eq!(kept.metadata.managed_fields, None);
        assert_eq!(run("1", &json!({"phase": "Perplexed"})).phase, None);
    }

    #[test]
    fn a_measurement_concerns_nobody() {
        let change = |after: &Value| Change {
            old: Some(Arc::new(run("1", &json!({"phase": "Running"})))),
            new: Some(Arc::new(run("2", after))),
        };
        assert!(change(&json!({"phase": "Running", "metricResults": [{"name": "m"}]})).is_idle());
        assert!(!change(&json!({"phase": "Failed"})).is_idle());
    }

    #[test]
    fn both_kinds_of_templates_are_read_and_one_that_cannot_be_says_why() {
        let object = |metrics: Value| json!({"metadata": {"name": "t"}, "spec": {"metrics": metrics}});
        let good = object(json!([{"name": "m", "provider": {"web": {"url": "http://m"}}}]));
        let namespaced = WatchedTemplate::<analysis::AnalysisTemplate>::deserialize(good.clone()).unwrap();
        let shared = WatchedTemplate::<ClusterAnalysisTemplate>::deserialize(good).unwrap();
        for spec in [namespaced.kept().spec, shared.kept().spec] {
            assert_eq!(spec.unwrap().metrics[0].name, "m");
        }
        let bad = WatchedTemplate::<analysis::AnalysisTemplate>::deserialize(object(json!(5))).unwrap();
        let problem = bad.kept().spec.unwrap_err();
        assert!(problem.contains("spec.metrics"), "{problem}");
    }
}
