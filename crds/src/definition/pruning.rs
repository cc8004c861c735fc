//! What the API server drops of our objects where the definition that it serves is not ours.
//!
//! It prunes what a structural schema does not name, without a word to whoever has written it: the walk below goes by the
//! rules of <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning>.
//! Pod templates are left out: ours keeps what it does not name, and what another one names is its own affair.

use std::collections::BTreeMap;

use kube::CustomResourceExt;
use serde::Deserialize;

use crate::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Experiment, Rollout};

/// Names of the definitions that another program brings as well, Argo Rollouts, and whose objects we act on.
pub const SHARED: [&str; 5] = [
    "rollouts.argoproj.io",
    "experiments.argoproj.io",
    "analysisruns.argoproj.io",
    "analysistemplates.argoproj.io",
    "clusteranalysistemplates.argoproj.io",
];

/// The version of all of them.
const VERSION: &str = "v1alpha1";

/// Of the `spec` of a `CustomResourceDefinition`, what pruning goes by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    versions: Vec<Version>,
    /// Of a definition that was written in `apiextensions.k8s.io/v1beta1`: nothing is pruned.
    #[serde(default)]
    preserve_unknown_fields: bool,
}

#[derive(Debug, Deserialize)]
struct Version {
    name: String,
    served: bool,
    schema: Option<Validation>,
}

#[derive(Debug, Deserialize)]
struct Validation {
    #[serde(rename = "openAPIV3Schema")]
    schema: Option<Node>,
}

/// One place of a schema: which fields it names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    properties: BTreeMap<String, Self>,
    items: Option<Box<Self>>,
    additional_properties: Option<Additional>,
    #[serde(default, rename = "x-kubernetes-preserve-unknown-fields")]
    open: bool,
}

/// What the values of a map are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    Any(bool),
    Of(Box<Node>),
}

/// Paths of the fields that objects of a definition of that name have for us, and that the API server drops, in order;
/// of what is dropped whole the uppermost. Empty for a name that is not in [`SHARED`], and where the version that we use is
/// not served: nothing is read then.
#[must_use]
pub fn pruned(name: &str, served: &Definition) -> Vec<String> {
    let mut paths = Vec::new();
    let version = served.versions.iter().find(|it| it.name == VERSION && it.served);
    let schema = version.and_then(|it| it.schema.as_ref()?.schema.as_ref());
    // A version without a schema can only be one whose objects are kept as they are.
    let Some(theirs) = schema.filter(|_| !served.preserve_unknown_fields) else { return paths };
    let Some(ours) = ours(name) else { return paths };
    for part in ["spec", "status"] {
        if let Some(wanted) = ours.properties.get(part) {
            theirs.compare_field(wanted, part, part.to_owned(), &mut paths);
        }
    }
    paths
}

/// What we name, by the types.
fn ours(name: &str) -> Option<Node> {
    let definition = [
        (Rollout::crd_name(), Rollout::crd as fn() -> _),
        (Experiment::crd_name(), Experiment::crd),
        (AnalysisRun::crd_name(), AnalysisRun::crd),
        (AnalysisTemplate::crd_name(), AnalysisTemplate::crd),
        (ClusterAnalysisTemplate::crd_name(), ClusterAnalysisTemplate::crd),
    ]
    .into_iter()
    .find_map(|(known, definition)| (known == name).then(definition))?;
    let schema = definition.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
    serde_json::to_value(schema).and_then(Node::deserialize).ok()
}

impl Node {
    /// What is dropped of one of our fields at this place.
    fn compare_field(&self, ours: &Self, field: &str, path: String, pruned: &mut Vec<String>) {
        match (self.properties.get(field), &self.additional_properties) {
            (Some(theirs), _) => theirs.compare(ours, &path, pruned),
            (None, Some(Additional::Of(theirs))) => theirs.compare(ours, &path, pruned),
            (None, Some(Additional::Any(true))) => Self::default().compare(ours, &path, pruned),
            // Kept with all that is in it.
            (None, Some(Additional::Any(false)) | None) if self.open => {}
            (None, Some(Additional::Any(false)) | None) => pruned.push(path),
        }
    }

    /// What is dropped of our fields below this place.
    fn compare(&self, ours: &Self, path: &str, pruned: &mut Vec<String>) {
        for (field, wanted) in &ours.properties {
            self.compare_field(wanted, field, format!("{path}.{field}"), pruned);
        }
        if let (Some(ours), Some(theirs)) = (&ours.items, &self.items) {
            theirs.compare(ours, &format!("{path}[]"), pruned);
        }
        if let (Some(Additional::Of(ours)), Some(Additional::Of(theirs))) =
            (&ours.additional_properties, &self.additional_properties)
        {
            theirs.compare(ours, &format!("{path}.*"), pruned);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollout::OwnField;

    const ROLLOUTS: &str = SHARED[0];

    fn paths(name: &str, definition: &Value) -> Vec<String> {
        pruned(name, &Definition::deserialize(&definition["spec"]).unwrap())
    }

    /// Argo Rollouts 1.10.2: what pruning goes by in the definitions that it brings, without pod templates.
    fn argo() -> Vec<(String, Value)> {
        let definitions: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/pruning/argo-1.10.json")).unwrap();
        let named = |it: Value| (it["metadata"]["name"].as_str().unwrap().to_owned(), it);
        definitions.into_iter().map(named).collect()
    }

    fn ours() -> Vec<(String, Value)> {
        let named = |it: Value| (it["metadata"]["name"].as_str().unwrap().to_owned(), it);
        let all = crate::definition::all().into_values().map(named);
        all.filter(|(name, _)| SHARED.contains(&name.as_str())).collect()
    }

    #[test]
    fn our_own_definitions_drop_nothing() {
        let all = ours();
        assert_eq!(all.len(), SHARED.len());
        for (name, definition) in all {
            assert_eq!(paths(&name, &definition), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn argos_definitions_drop_what_is_our_own() {
        let dropped = argo().into_iter().map(|(name, definition)| (paths(&name, &definition), name));
        let dropped: BTreeMap<_, _> = dropped.map(|(paths, name)| (name, paths)).collect();
        let provider = vec!["spec.metrics[].provider.sluice".to_owned()];
        let own = OwnField::ALL.map(OwnField::path).into_iter();
        let rollouts = own.chain(["status.canary.guard", "status.duration"]).map(str::to_owned).collect();
        let expected = [
            (ROLLOUTS, rollouts),
            ("experiments.argoproj.io", Vec::new()),
            ("analysisruns.argoproj.io", provider.clone()),
            ("analysistemplates.argoproj.io", provider.clone()),
            ("clusteranalysistemplates.argoproj.io", provider),
        ];
        assert_eq!(dropped, expected.map(|(name, paths)| (name.to_owned(), paths)).into());
    }

    #[test]
    fn what_a_schema_keeps_is_not_dropped() {
        let guard = "spec.strategy.canary.guard";
        let with = |path: &str, schema: Value| {
            let (_, mut definition) = ours().into_iter().find(|(name, _)| name == ROLLOUTS).unwrap();
            let path = path.replace('.', "/properties/");
            let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{path}");
            *definition.pointer_mut(&pointer).unwrap() = schema;
            paths(ROLLOUTS, &definition)
        };
        let open = "x-kubernetes-preserve-unknown-fields";
        let none = Vec::<String>::new();
        assert_eq!(with(guard, json!({"type": "object", open: true})), none, "kept whole");
        assert_eq!(with("spec", json!({"type": "object", open: true})), none, "kept whole from above");
        assert_eq!(
            with(
                guard,
                json!({"type": "object", "properties": {"errorRate": {"type": "object"}}, open: true})
            ),
            ["spec.strategy.canary.guard.errorRate.atLeast", "spec.strategy.canary.guard.errorRate.margin"],
            "what is named is pruned by what it names"
        );
        assert_eq!(
            with("spec.strategy", json!({"type": "object"})),
            ["spec.strategy.blueGreen", "spec.strategy.canary"]
        );
        let map = |values: Value| json!({"type": "object", "additionalProperties": values});
        assert_eq!(with("spec.rollbackWindow", map(json!({"type": "integer"}))), none, "as a map of numbers");
        assert_eq!(with("spec.rollbackWindow", map(json!(true))), none);
        assert_eq!(with("spec.rollbackWindow", map(json!(false))), ["spec.rollbackWindow.revisions"]);
    }

    #[test]
    fn nothing_is_said_where_nothing_is_pruned_or_read() {
        let (_, argos) = argo().into_iter().find(|(name, _)| name == ROLLOUTS).unwrap();
        let changed = |change: fn(&mut Value)| {
            let mut definition = argos.clone();
            change(&mut definition["spec"]);
            definition
        };
        assert!(!paths(ROLLOUTS, &argos).is_empty());
        for (definition, why) in [
            (changed(|spec| spec["preserveUnknownFields"] = json!(true)), "of v1beta1"),
            (changed(|spec| spec["versions"][0]["served"] = json!(false)), "not served"),
            (changed(|spec| spec["versions"][0]["name"] = json!("v1")), "another version"),
            (changed(|spec| spec["versions"][0]["schema"] = Value::Null), "no schema"),
            (changed(|spec| spec["versions"][0]["schema"] = json!({})), "an empty schema"),
        ] {
            assert!(paths(ROLLOUTS, &definition).is_empty(), "{why}");
        }
        assert!(paths("mappings.getambassador.io", &argos).is_empty());
    }
}
