//! `get rollout` and `get experiment`: once, or again and again.

pub mod watch;

use chrono::{DateTime, Utc};
use crds::Rollout;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::commands;
use crate::failure::Failure;
use crate::view::experiment::{self, Experiment};
use crate::view::text::Paint;
use crate::view::{Family, rollout};

/// The object at the root of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A Rollout.
    Rollout,
    /// An Experiment.
    Experiment,
}

/// A tree to be shown.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Of a Rollout.
    Rollout(Box<Family>),
    /// Of an Experiment, with what may belong to it.
    Experiment(Box<Experiment>, Box<Family>),
}

impl Tree {
    /// The whole output.
    #[must_use]
    pub fn render(&self, now: DateTime<Utc>, paint: Paint) -> String {
        match self {
            Self::Rollout(family) => rollout::render(family, now, paint),
            Self::Experiment(experiment, family) => experiment::render(experiment, family, now, paint),
        }
    }
}

/// What was fetched, and what could not be.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The tree.
    pub tree: Tree,
    /// Which kinds could be read.
    pub readable: Readable,
    /// One sentence each for what is missing.
    pub warnings: Vec<String>,
}

/// Kinds without which a tree can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// `AnalysisRuns` are installed and may be listed.
    pub analysis_runs: bool,
    /// Experiments are installed and may be listed.
    pub experiments: bool,
}

/// A tree.
pub async fn run(
    cluster: &Cluster,
    root: Root,
    name: &str,
    now: DateTime<Utc>,
    paint: Paint,
) -> Result<(String, Vec<String>), Failure> {
    let Fetched { tree, warnings, readable: _ } = fetch(cluster, root, name).await?;
    Ok((tree.render(now, paint), warnings))
}

/// Fetches a Rollout or Experiment and what may belong to it. Analyses and Experiments of a Rollout that may not be read,
/// or whose kinds are not installed, are left out.
pub async fn fetch(cluster: &Cluster, root: Root, name: &str) -> Result<Fetched, Failure> {
    let (rollout, experiment) = match root {
        Root::Rollout => (commands::rollout(cluster, name).await?, None),
        Root::Experiment => (Rollout::default(), Some(Box::new(experiment_of(cluster, name).await?))),
    };
    let with_hash = with_hash();
    let (replica_sets, pods) = (cluster.replica_sets(), cluster.pods());
    let (runs, experiments) = (cluster.analysis_runs(), cluster.experiments());
    let (replica_sets, pods, runs, experiments) = futures::try_join!(
        async { replica_sets.list(&with_hash).await.map_err(Failure::from) },
        async { pods.list(&with_hash).await.map_err(Failure::from) },
        list_optional("AnalysisRuns", &runs),
        async {
            match root {
                Root::Rollout => list_optional("Experiments", &experiments).await,
                Root::Experiment => Ok(Listed::NotInstalled),
            }
        },
    )?;
    let mut warnings: Vec<_> = [&runs, &experiments].into_iter().filter_map(Listed::warning).collect();
    let readable = Readable { analysis_runs: runs.is_readable(), experiments: experiments.is_readable() };
    let family = Box::new(Family {
        rollout,
        replica_sets: replica_sets.items,
        pods: pods.items,
        analysis_runs: read_known(&runs.into_items(), &mut warnings),
        experiments: read_known(&experiments.into_items(), &mut warnings),
    });
    let tree = match experiment {
        Some(experiment) => Tree::Experiment(experiment, family),
        None => Tree::Rollout(family),
    };
    Ok(Fetched { tree, readable, warnings })
}

async fn experiment_of(cluster: &Cluster, name: &str) -> Result<Experiment, Failure> {
    let object = cluster.experiments().get(name).await.map_err(|error| Failure::on("experiments", error))?;
    read_experiment(&object)
}

/// Reads the parts of an Experiment that are shown.
fn read_experiment(object: &DynamicObject) -> Result<Experiment, Failure> {
    let unreadable = |source| Failure::Unreadable { kind: "experiment", name: object.name_any(), source };
    serde_json::to_value(object).and_then(serde_json::from_value).map_err(unreadable)
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
pub(crate) fn read_known<T: DeserializeOwned>(
    objects: &[DynamicObject],
    warnings: &mut Vec<String>,
) -> Vec<T> {
    let mut known = Vec::new();
    for object in objects {
        match serde_json::to_value(object).and_then(serde_json::from_value) {
            Ok(object) => known.push(object),
            Err(error) => warnings.push(format!("Warning: {} is not shown: {error}", object.name_any())),
        }
    }
    known
}
