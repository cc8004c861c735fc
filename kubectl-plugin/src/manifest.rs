//! What files hold (pure, but for [`read`]).

pub mod check;

use std::io::{self, Read as _};
use std::path::Path;

use crds::analysis::{AnalysisTemplate, ClusterAnalysisTemplate};
use crds::{AnalysisRun, Experiment, Rollout};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or not readable.
    #[error("failed to read the file")]
    Read(#[source] io::Error),
    /// It is neither YAML nor JSON.
    #[error("failed to understand the file as YAML or JSON: {0}")]
    Syntax(String),
    /// It holds none or several where one is expected.
    #[error("one object is expected in the file")]
    Several,
    /// An object of another kind.
    #[error("creates of {0} unsupported")]
    Kind(String),
    /// A field has another type than it should.
    #[error("failed to read the {0}: {1}")]
    Shape(&'static str, String),
    /// A field that does not exist.
    #[error("strict decoding error: unknown field \"{0}\"")]
    Unknown(String),
    /// `create --watch` of something else than a Rollout.
    #[error("Can only watch resources of type Rollout")]
    CannotWatch,
    /// `create --watch` of several objects.
    #[error("Cannot watch multiple resources")]
    CannotWatchSeveral,
}

/// The kinds of objects that the plugin creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Rollout.
    Rollout,
    /// An Experiment.
    Experiment,
    /// An `AnalysisTemplate`.
    AnalysisTemplate,
    /// A `ClusterAnalysisTemplate`.
    ClusterAnalysisTemplate,
    /// An `AnalysisRun`.
    AnalysisRun,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("Rollout", Self::Rollout),
        ("Experiment", Self::Experiment),
        ("AnalysisTemplate", Self::AnalysisTemplate),
        ("ClusterAnalysisTemplate", Self::ClusterAnalysisTemplate),
        ("AnalysisRun", Self::AnalysisRun),
    ];

    /// As output names an object.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Experiment => "experiment",
            Self::AnalysisTemplate => "analysistemplate",
            Self::ClusterAnalysisTemplate => "clusteranalysistemplate",
            Self::AnalysisRun => "analysisrun",
        }
    }

    /// As paths of the API name it.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Rollout => "rollouts",
            Self::Experiment => "experiments",
            Self::AnalysisTemplate => "analysistemplates",
            Self::ClusterAnalysisTemplate => "clusteranalysistemplates",
            Self::AnalysisRun => "analysisruns",
        }
    }
}

/// An object that can be created: of a known kind, without unknown fields.
#[derive(Clone, Debug)]
pub struct Object {
    kind: Kind,
    dynamic: DynamicObject,
}

impl Object {
    /// Reads a document as strictly as kubectl's `--validate=strict`.
    pub fn read(document: Value) -> Result<Self, Error> {
        let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
        let (group, kind) = (text("apiVersion").split('/').next().unwrap_or_default(), text("kind"));
        let known = Kind::ALL.into_iter().find(|(name, _)| *name == kind && group == "argoproj.io");
        let Some((_, kind)) = known else { return Err(Error::Kind(format!("{group}/{kind}"))) };
        match kind {
            Kind::Rollout => strict::<Rollout>(&document, kind.singular())?,
            Kind::Experiment => strict::<Experiment>(&document, kind.singular())?,
            Kind::AnalysisTemplate => strict::<AnalysisTemplate>(&document, kind.singular())?,
            Kind::ClusterAnalysisTemplate => strict::<ClusterAnalysisTemplate>(&document, kind.singular())?,
            Kind::AnalysisRun => strict::<AnalysisRun>(&document, kind.singular())?,
        }
        if kind == Kind::Rollout
            && let Some(template) = document.pointer("/spec/template")
        {
            strict_within::<PodTemplateSpec>(template, "spec.template", kind.singular())?;
        }
        let shape = |source: serde_json::Error| Error::Shape(kind.singular(), source.to_string());
        Ok(Self { kind, dynamic: serde_json::from_value(document).map_err(shape)? })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name; empty if the API server is to make one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dynamic.metadata.name.as_deref().unwrap_or_default()
    }

    /// The object as it is written.
    #[must_use]
    pub fn dynamic(&self) -> DynamicObject {
        self.dynamic.clone()
    }
}

/// The text of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<String, Error> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(Error::Read)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(Error::Read)
}

/// All documents of a text, empty ones left out.
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    let all: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| Error::Syntax(error.to_string()))?;
    Ok(all.into_iter().filter(|it| !it.is_null()).collect())
}

fn strict<T: DeserializeOwned>(document: &Value, kind: &'static str) -> Result<(), Error> {
    strict_within::<T>(document, "", kind)
}

/// Whether a value has the fields of its type and no others.
fn strict_within<T: DeserializeOwned>(value: &Value, path: &str, kind: &'static str) -> Result<(), Error> {
    let mut unknown = None;
    let read: Result<T, _> = serde_ignored::deserialize(value, |found| {
        let found = found.to_string();
        // The kind is no field of the type.
        if !["apiVersion", "kind"].contains(&found.as_str()) {
            unknown.get_or_insert(found);
        }
    });
    read.map_err(|error| Error::Shape(kind, error.to_string()))?;
    // An option in between is shown as a question mark.
    let clean = |found: String| found.split('.').filter(|it| *it != "?").collect::<Vec<_>>().join(".");
    match unknown.map(clean) {
        Some(found) if path.is_empty() => Err(Error::Unknown(found)),
        Some(found) => Err(Error::Unknown(format!("{path}.{found}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout() -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "web", "image": "a"}]}},
                "strategy": {"canary": {"steps": [{"setWeight": 20}]}},
            },
        })
    }

    fn refusal(document: Value) -> String {
        Object::read(document).map_or_else(|error| error.to_string(), |it| it.kind().singular().to_owned())
    }

    #[test]
    fn fields_that_do_not_exist_are_named() {
        assert_eq!(refusal(rollout()), "rollout");
        for (parent, field, told) in [
            ("/spec", "replica", "spec.replica"),
            ("/spec/strategy/canary", "stepz", "spec.strategy.canary.stepz"),
            ("/spec/strategy/canary/steps/0", "setWeigth", "spec.strategy.canary.steps.0.setWeigth"),
            (
                "/spec/template/spec/containers/0",
                "imagePolicy",
                "spec.template.spec.containers.0.imagePolicy",
            ),
        ] {
            let mut document = rollout();
            document.pointer_mut(parent).unwrap()[field] = json!(1);
            assert_eq!(refusal(document), format!("strict decoding error: unknown field \"{told}\""));
        }
    }

    #[test]
    fn other_kinds_and_shapes_are_refused() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
        assert_eq!(refusal(pod), "creates of v1/Pod unsupported");
        let mut wrong = rollout();
        wrong["spec"]["replicas"] = json!("many");
        assert!(refusal(wrong).starts_with("failed to read the rollout: "));
    }
}
