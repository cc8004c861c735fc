//! `metrics_text`: what dashboards show of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crds::analysis::AnalysisTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::measures::{
    Gauge, Sample, of_analysis_run, of_analysis_template, of_experiment, of_rollout,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Verdict;

/// All families of all objects, in the text format.
pub(crate) fn metrics_text(row: &Value) -> Verdict {
    let mut families: BTreeMap<Gauge, BTreeSet<(Vec<String>, String)>> = BTreeMap::new();
    let mut show = |sample: Sample<'_>| {
        let Sample { gauge, labels, value } = sample;
        let order = labels.iter().map(|(_, value)| (*value).to_owned()).collect();
        let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let line = format!("{}{{{}}} {value}", gauge.name(), pairs.join(","));
        assert!(families.entry(gauge).or_default().insert((order, line)), "{sample:?} is shown twice");
    };
    objects(row, "rollouts", "Rollout").for_each(|it| of_rollout(&it, &mut show));
    objects(row, "analysis_runs", "AnalysisRun").for_each(|it| of_analysis_run(&it, &mut show));
    objects(row, "experiments", "Experiment").for_each(|it| of_experiment(&it, &mut show));
    for kind in ["analysis_templates", "cluster_analysis_templates"] {
        for template in objects::<Value>(row, kind, "AnalysisTemplate") {
            let metadata: ObjectMeta = read(&template["metadata"]);
            let spec: AnalysisTemplateSpec = read(&template["spec"]);
            of_analysis_template(&metadata, &spec, &mut show);
        }
    }
    let mut text = String::new();
    for (gauge, lines) in families {
        writeln!(text, "# TYPE {} gauge", gauge.name()).expect("a String takes everything");
        for (_, line) in lines {
            text.extend([line.as_str(), "\n"]);
        }
    }
    Verdict::equal(&row["text"], &json!(text))
}

/// The rows leave out what our types require of every Kubernetes object.
fn objects<'a, K: DeserializeOwned>(row: &'a Value, list: &str, kind: &'a str) -> impl Iterator<Item = K> {
    row[list].as_array().into_iter().flatten().map(move |object| {
        let mut object = object.clone();
        object["apiVersion"] = json!("argoproj.io/v1alpha1");
        object["kind"] = json!(kind);
        read(&object)
    })
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("an object")
}
