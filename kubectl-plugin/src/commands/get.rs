//! `get rollout`: once, or again and again.

pub mod watch;

use chrono::{DateTime, Utc};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::commands;
use crate::failure::Failure;
use crate::view::Family;
use crate::view::rollout::render;
use crate::view::text::Paint;

/// What was fetched, and what could not be.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The Rollout and what may belong to it.
    pub family: Family,
    /// Which kinds could be read.
    pub readable: Readable,
    /// One sentence each for what is missing.
    pub warnings: Vec<String>,
}

/// Kinds without which a Rollout can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// `AnalysisRuns` are installed and may be listed.
    pub analysis_runs: bool,
    /// Experiments are installed and may be listed.
    pub experiments: bool,
}

/// The tree of a Rollout.
pub async fn run(
    cluster: &Cluster,
    name: &str,
    now: DateTime<Utc>,
    paint: Paint,
) -> Result<(String, Vec<String>), Failure> {
    let Fetched { family, warnings, readable: _ } = fetch(cluster, name).await?;
    Ok((render(&family, now, paint), warnings))
}

/// Fetches a Rollout and what may belong to it. Analyses and Experiments that may not be read, or whose kinds are not
/// installed, are left out.
pub async fn fetch(cluster: &Cluster, name: &str) -> Result<Fetched, Failure> {
    let rollout = commands::rollout(cluster, name).await?;
    let with_hash = with_hash();
    let (replica_sets, pods) = (cluster.replica_sets(), cluster.pods());
    let (runs, experiments) = (cluster.analysis_runs(), cluster.experiments());
    let (replica_sets, pods, runs, experiments) = futures::try_join!(
        async { replica_sets.list(&with_hash).await.map_err(Failure::from) },
        async { pods.list(&with_hash).await.map_err(Failure::from) },
        list_optional("AnalysisRuns", &runs),
        list_optional("Experiments", &experiments),
    )?;
    let mut warnings: Vec<_> = [&runs, &experiments].into_iter().filter_map(Listed::warning).collect();
    let readable = Readable { analysis_runs: runs.is_readable(), experiments: experiments.is_readable() };
    let family = Family {
        rollout,
        replica_sets: replica_sets.items,
        pods: pods.items,
        analysis_runs: read_known(&runs.into_items(), &mut warnings),
        experiments: read_known(&experiments.into_items(), &mut warnings),
    };
    Ok(Fetched { family, readable, warnings })
}

/// ReplicaSets and pods that belong to some Rollout or Experiment.
fn with_hash() -> ListParams {
    ListParams::default().labels(crds::contract::POD_TEMPLATE_HASH_LABEL)
}

enum Listed {
    Objects(Vec<DynamicObject>),
    NotInstalled,
    Forbidden(String),
}

async fn list_optional(kinds: &str, api: &Api<DynamicObject>) -> Result<Listed, Failure> {
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(Listed::Objects(list.items)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Listed::NotInstalled),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(Listed::Forbidden(format!("Warning: {kinds} are not shown: {}", status.message)))
        }
        Err(error) => Err(error.into()),
    }
}

impl Listed {
    const fn is_readable(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    fn warning(&self) -> Option<String> {
        match self {
            Self::Forbidden(warning) => Some(warning.clone()),
            Self::Objects(_) | Self::NotInstalled => None,
        }
    }

    fn into_items(self) -> Vec<DynamicObject> {
        match self {
            Self::Objects(items) => items,
            Self::NotInstalled | Self::Forbidden(_) => Vec::new(),
        }
    }
}

/// Reads the parts of objects that are shown; an object that has another shape is left out with a warning.
fn read_known<T: DeserializeOwned>(objects: &[DynamicObject], warnings: &mut Vec<String>) -> Vec<T> {
    let mut known = Vec::new();
    for object in objects {
        match serde_json::to_value(object).and_then(serde_json::from_value) {
            Ok(object) => known.push(object),
            Err(error) => warnings.push(format!("Warning: {} is not shown: {error}", object.name_any())),
        }
    }
    known
}
