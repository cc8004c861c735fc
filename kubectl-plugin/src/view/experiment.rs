//! An Experiment: its verdict, its ReplicaSets and its `AnalysisRuns`.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::icon::{Status, analysis_name};
use super::text::Text;
use super::tree::{Kind, Node};
use super::{Family, age, analysis_run, is_owned, name, replica_set, revision};

/// What is read of an Experiment: only what is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Name, owner, revision, age.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Verdict.
    #[serde(default)]
    pub status: ExperimentStatus,
}

/// `status` of an Experiment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// The verdict so far; any word.
    pub phase: String,
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
