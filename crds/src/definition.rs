//! The `CustomResourceDefinition` of every kind, as it is written to `charts/sluice/crds` by `cargo xtask codegen`; and
//! [`pruned`]: what another one drops.

mod pruning;

use std::collections::BTreeMap;

use kube::CustomResourceExt;
use serde_json::{Value, json};

pub use self::pruning::{Definition, SHARED, pruned};

use crate::schema::{pod_template, rules, structural};
use crate::{
    AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, ConsulResolver, Experiment, Host,
    KubernetesEndpointResolver, KubernetesServiceResolver, Listener, Mapping, Module, Rollout, TCPMapping,
    TLSContext,
};

/// Largest size of one file in bytes: a client-side `kubectl apply` stores a copy in an annotation, which may have
/// 262 144.
pub const MAX_FILE_BYTES: usize = 250_000;

/// Every definition by the name of its file.
#[must_use]
pub fn all() -> BTreeMap<String, Value> {
    [
        rollout(),
        without_subresources::<AnalysisTemplate>(),
        without_subresources::<ClusterAnalysisTemplate>(),
        without_subresources::<AnalysisRun>(),
        experiment(),
        all_versions::<Mapping>(),
        all_versions::<Host>(),
        all_versions::<Listener>(),
        all_versions::<TLSContext>(),
        all_versions::<Module>(),
        all_versions::<TCPMapping>(),
        all_versions::<KubernetesEndpointResolver>(),
        all_versions::<KubernetesServiceResolver>(),
        all_versions::<ConsulResolver>(),
    ]
    .into_iter()
    .map(|definition| (file_name(&definition), definition))
    .collect()
}

fn rollout() -> Value {
    let mut definition = definition::<Rollout>();
    let spec = &mut schema_of(&mut definition)["properties"]["spec"];
    with_description(&mut spec["properties"]["template"], pod_template::schema());
    rules::add_to_rollout(spec);
    definition
}

/// An Experiment, a run and both templates have no `status` subresource: their status is written with the object.
fn experiment() -> Value {
    let mut definition = without_subresources::<Experiment>();
    let spec = &mut schema_of(&mut definition)["properties"]["spec"];
    let template = &mut spec["properties"]["templates"]["items"]["properties"]["template"];
    with_description(template, pod_template::schema());
    definition
}

fn without_subresources<K: CustomResourceExt>() -> Value {
    let mut definition = definition::<K>();
    definition["spec"]["versions"][0]["subresources"] = json!({});
    definition
}

/// `getambassador.io`: three versions of the same shape, which need no conversion.
fn all_versions<K: CustomResourceExt>() -> Value {
    let mut definition = definition::<K>();
    let stored = definition["spec"]["versions"][0].take();
    let versions = ["v1", "v2", "v3alpha1"].map(|name| {
        let mut version = stored.clone();
        version["name"] = name.into();
        version["storage"] = (name == stored["name"]).into();
        version
    });
    definition["spec"]["versions"] = versions.to_vec().into();
    definition["spec"]["conversion"] = json!({ "strategy": "None" });
    definition
}

/// What the type says, with a schema that the API server takes.
fn definition<K: CustomResourceExt>() -> Value {
    let mut definition = json!(K::crd());
    let schema = schema_of(&mut definition);
    structural::rewrite(schema);
    if let Some(status) = schema["properties"].get_mut("status") {
        structural::open_words(status);
    }
    definition
}

fn schema_of(definition: &mut Value) -> &mut Value {
    &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn with_description(place: &mut Value, mut schema: Value) {
    if let Some(description) = place.get("description") {
        schema["description"] = description.clone();
    }
    *place = schema;
}

fn file_name(definition: &Value) -> String {
    let text = |path| definition.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!("{}_{}.yaml", text("/spec/group"), text("/spec/names/plural"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(file: &str, index: usize) -> Value {
        all()[file]["spec"]["versions"][index].clone()
    }

    #[test]
    fn a_rollout_scales_by_what_hpa_counts() {
        let scale = version("argoproj.io_rollouts.yaml", 0)["subresources"]["scale"].clone();
        let expected = json!({
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.HPAReplicas",
            "labelSelectorPath": ".status.selector",
        });
        assert_eq!(scale, expected);
    }

    #[test]
    fn analysis_and_experiments_have_no_status_subresource() {
        for file in [
            "argoproj.io_analysisruns.yaml",
            "argoproj.io_analysistemplates.yaml",
            "argoproj.io_clusteranalysistemplates.yaml",
            "argoproj.io_experiments.yaml",
        ] {
            assert_eq!(version(file, 0)["subresources"], json!({}), "{file}");
        }
    }

    #[test]
    fn getambassador_kinds_serve_every_version_and_store_the_newest() {
        for (file, definition) in all().iter().filter(|(file, _)| file.starts_with("getambassador.io")) {
            let versions = definition["spec"]["versions"].as_array().unwrap();
            let list: Vec<_> =
                versions.iter().map(|v| (v["name"].as_str().unwrap(), v["storage"] == true)).collect();
            assert_eq!(list, [("v1", false), ("v2", false), ("v3alpha1", true)], "{file}");
            for version in versions {
                let spec = version.pointer("/schema/openAPIV3Schema/properties/spec").unwrap();
                assert_eq!(spec["x-kubernetes-preserve-unknown-fields"], true, "{file}");
            }
        }
    }

    #[test]
    fn raw_parts_of_an_object_are_optional() {
        let spec = version("getambassador.io_mappings.yaml", 0);
        let required = spec.pointer("/schema/openAPIV3Schema/properties/spec/required").unwrap();
        assert_eq!(required, &json!(["prefix", "service"]));
    }

    #[test]
    fn a_negative_weight_of_a_mapping_is_refused() {
        let spec = version("getambassador.io_mappings.yaml", 2);
        let weight = spec.pointer("/schema/openAPIV3Schema/properties/spec/properties/weight").unwrap();
        assert_eq!(weight["minimum"], 0);
    }
}
