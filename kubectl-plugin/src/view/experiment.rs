//! An Experiment: its verdict, its ReplicaSets and its `AnalysisRuns`; and `get experiment`, its head and tree.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::head::Head;
use super::icon::{Status, analysis_name};
use super::text::{Paint, Text};
use super::tree::{self, Kind, Node};
use super::{Family, age, analysis_run, images, is_owned, name, replica_set, revision};

/// What is read of an Experiment: only what is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Name, owner, revision, age.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it is to do.
    #[serde(default)]
    pub spec: ExperimentSpec,
    /// Verdict.
    #[serde(default)]
    pub status: ExperimentStatus,
}

/// `spec` of an Experiment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentSpec {
    /// How long it runs, as a Go duration; empty: until its analyses end.
    pub duration: String,
}

/// `status` of an Experiment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// The verdict so far; any word.
    pub phase: String,
    /// Why.
    pub message: String,
    /// When all its pods were available.
    pub available_at: Option<DateTime<Utc>>,
}

/// The whole output of `get experiment`, every line ended. Of the family only what the Experiment owns is looked at.
#[must_use]
pub fn render(experiment: &Experiment, family: &Family, now: DateTime<Utc>, paint: Paint) -> String {
    let mut head = Head::default();
    head.line("Name:", name(&experiment.metadata));
    head.line("Namespace:", experiment.metadata.namespace.as_deref().unwrap_or_default());
    head.line("Status:", Status::of_analysis(&experiment.status.phase).text().paint(paint));
    if !experiment.status.message.is_empty() {
        head.line("Message:", &experiment.status.message);
    }
    for (index, image) in images::of_experiment(experiment, family).iter().enumerate() {
        head.line(if index == 0 { "Images:" } else { "" }, image.paint(paint));
    }
    head.end() + &tree::render(&node(experiment, family, now), paint)
}

/// The Experiments of the Rollout, newest revision first, then oldest first.
#[must_use]
pub fn of_rollout(family: &Family) -> Vec<&Experiment> {
    let owner = &family.rollout.metadata;
    let mut sorted: Vec<_> = family.experiments.iter().filter(|it| is_owned(&it.metadata, owner)).collect();
    sorted.sort_by_key(|it| (Reverse(revision(&it.metadata)), it.metadata.creation_timestamp.clone()));
    sorted
}

/// The ReplicaSets of an Experiment in the order in which they are shown.
#[must_use]
pub fn replica_sets<'a>(experiment: &Experiment, family: &'a Family) -> Vec<&'a ReplicaSet> {
    let owned = |it: &&ReplicaSet| is_owned(&it.metadata, &experiment.metadata);
    let mut sorted: Vec<_> = family.replica_sets.iter().filter(owned).collect();
    replica_set::sort(&mut sorted);
    sorted
}

/// An Experiment with its ReplicaSets, their pods and its `AnalysisRuns` as a node of the tree.
#[must_use]
pub fn node(experiment: &Experiment, family: &Family, now: DateTime<Utc>) -> Node {
    let phase = &experiment.status.phase;
    let replica_sets = replica_sets(experiment, family).into_iter();
    let replica_sets = replica_sets.map(|it| replica_set::node(it, &[], &family.pods, now));
    let runs = analysis_run::owned_by(&experiment.metadata, &family.analysis_runs).into_iter();
    Node {
        kind: Kind::Experiment,
        name: analysis_name(name(&experiment.metadata), phase),
        status: Some(Status::of_analysis(phase)),
        age: age::of(&experiment.metadata, now),
        info: Text::default(),
        children: replica_sets.chain(runs.map(|run| analysis_run::node(run, now))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owned(kind: &str, name: &str, of: &str, more: &Value) -> Value {
        let mut object = json!({
            "metadata": {
                "name": name, "uid": name, "creationTimestamp": "2030-03-04T05:01:07Z",
                "annotations": {"experiment.argoproj.io/template-name": "new"},
                "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": of, "uid": of}],
            },
        });
        for (field, value) in more.as_object().unwrap() {
            object[field] = value.clone();
        }
        object
    }

    #[test]
    fn an_experiment_has_a_head_and_a_tree() {
        let experiment: Experiment = serde_json::from_value(json!({
            "metadata": {"name": "trial", "namespace": "prod", "uid": "trial", "creationTimestamp": "2030-03-04T05:01:07Z"},
            "spec": {"duration": "5m"},
            "status": {"phase": "Running", "message": "on its way"},
        }))
        .unwrap();
        let template = json!({"spec": {"containers": [{"name": "web", "image": "shop:2"}]}});
        let set = json!({
            "spec": {"replicas": 1, "selector": {}, "template": template},
            "status": {"replicas": 1, "availableReplicas": 1},
        });
        let family = Family {
            replica_sets: vec![
                serde_json::from_value(owned("Experiment", "trial-new", "trial", &set)).unwrap(),
            ],
            analysis_runs: vec![
                serde_json::from_value(owned(
                    "Experiment",
                    "trial-errors",
                    "trial",
                    &json!({"status": {"phase": "Running"}}),
                ))
                .unwrap(),
                serde_json::from_value(owned("Rollout", "others", "shop", &json!({}))).unwrap(),
            ],
            ..Family::default()
        };
        let now = "2030-03-04T05:06:07Z".parse().unwrap();
        insta::assert_snapshot!(render(&experiment, &family, now, Paint::Plain), @r"
        Name:            trial
        Namespace:       prod
        Status:          ◌ Running
        Message:         on its way
        Images:          shop:2 (Σ:new)

        NAME               KIND         STATUS     AGE  INFO
        Σ trial            Experiment   ◌ Running  5m   
        ├──⧉ trial-new     ReplicaSet   ✔ Healthy  5m   
        └──α trial-errors  AnalysisRun  ◌ Running  5m   
        ");
    }
}
