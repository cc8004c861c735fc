//! `list experiments`.

use chrono::{DateTime, Utc};
use kube::api::ListParams;

use crate::arguments::ListExperiments;
use crate::cluster::Cluster;
use crate::commands::get::read_known;
use crate::failure::Failure;
use crate::view::list_experiments::render;

/// The table, with a sentence for each Experiment that cannot be read; `None` if there is none at all.
pub async fn run(
    cluster: &Cluster,
    arguments: ListExperiments,
    now: DateTime<Utc>,
) -> Result<Option<(String, Vec<String>)>, Failure> {
    let ListExperiments { all_namespaces } = arguments;
    let experiments = if all_namespaces { cluster.all_experiments() } else { cluster.experiments() };
    let list = experiments.list(&ListParams::default()).await;
    let list = list.map_err(|error| Failure::on("experiments", error))?;
    let mut warnings = Vec::new();
    let known = read_known(&list.items, &mut warnings);
    Ok((!list.items.is_empty()).then(|| (render(&known, all_namespaces, now), warnings)))
}
