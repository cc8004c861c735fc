//! What is shown of a Rollout: pure, from objects and a time to text. The format, words and icons are those of
//! Argo's plugin, so that scripts and eyes that know it need not learn again.
//!
//! | file | what |
//! |---|---|
//! | [`rollout`], [`experiment`] | `get rollout`, `get experiment`: the head, and the tree below it |
//! | [`list`], [`list_experiments`] | `list rollouts`, `list experiments`: one row each |
//! | [`plan`] | `plan`: tables of steps, moments and findings; Argo has no such command |
//! | [`guard`] | `explain ROLLOUT`; Argo has no such command |
//! | [`routes`], [`gateways`] | `routes`, `explain route`: of Mappings and Ingresses, and of Gateways |
//! | [`tree`] | a tree drawn into columns |
//! | [`replica_set`], [`pod_status`], [`analysis_run`] | the nodes of the tree |
//! | [`images`] | running images and what runs them |
//! | [`steps`] | step and weight of a canary |
//! | [`head`], [`columns`], [`text`], [`icon`], [`age`] | how it is written |

pub mod age;
pub mod analysis_run;
pub mod columns;
pub mod experiment;
pub mod gateways;
pub mod guard;
pub mod head;
pub mod icon;
pub mod images;
pub mod list;
pub mod list_experiments;
pub mod plan;
pub mod pod_status;
pub mod replica_set;
pub mod rollout;
pub mod routes;
pub mod steps;
pub mod text;
pub mod tree;

use std::collections::BTreeMap;

use crds::Rollout;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::analysis_run::AnalysisRun;
use self::experiment::Experiment;

/// A Rollout and everything in its namespace that may belong to it. What belongs to it is decided by owner
/// references, so the lists may hold more. Around an Experiment that is shown by itself there is no Rollout.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The Rollout.
    pub rollout: Rollout,
    /// ReplicaSets, also those of Experiments.
    pub replica_sets: Vec<ReplicaSet>,
    /// Pods of the ReplicaSets.
    pub pods: Vec<Pod>,
    /// `AnalysisRuns` of the Rollout and of its Experiments.
    pub analysis_runs: Vec<AnalysisRun>,
    /// Experiments.
    pub experiments: Vec<Experiment>,
}

/// Revision of a ReplicaSet, AnalysisRun or Experiment; 0 if it carries none that can be read.
fn revision(metadata: &ObjectMeta) -> i64 {
    annotation(metadata, crds::contract::REVISION_ANNOTATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    entry(metadata.annotations.as_ref(), key)
}

fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    entry(metadata.labels.as_ref(), key)
}

fn entry<'a>(entries: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    entries?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// Whether `child` names `owner` among its owner references. Objects without uid own nothing.
fn is_owned(child: &ObjectMeta, owner: &ObjectMeta) -> bool {
    let Some(uid) = &owner.uid else { return false };
    child.owner_references.iter().flatten().any(|reference| reference.uid == *uid)
}
