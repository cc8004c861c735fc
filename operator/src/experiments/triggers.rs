//! Which Experiments a change concerns.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use operator_core::traffic::ObjectName;

use super::StoredExperiment;
use crate::rollouts::{AnalysisRun, Change, ReplicaSet, Service, controller, key};

/// A changed Experiment: itself.
pub(crate) fn of_experiment(change: &Change<StoredExperiment>) -> BTreeSet<ObjectName> {
    both(change).map(|it| key(&it.metadata)).collect()
}

/// A changed ReplicaSet: the Experiment that controls it.
pub(crate) fn of_replica_set(change: &Change<ReplicaSet>) -> BTreeSet<ObjectName> {
    owners(change)
}

/// A changed Service: the Experiment that controls it.
pub(crate) fn of_service(change: &Change<Service>) -> BTreeSet<ObjectName> {
    owners(change)
}

/// A changed `AnalysisRun`: the Experiment that controls it. A measurement concerns nobody.
pub(crate) fn of_analysis_run(change: &Change<AnalysisRun>) -> BTreeSet<ObjectName> {
    if change.is_idle() { BTreeSet::new() } else { owners(change) }
}

fn owners<K: Resource>(change: &Change<K>) -> BTreeSet<ObjectName> {
    both(change).filter_map(|it| owner(it.meta())).collect()
}

fn both<K>(change: &Change<K>) -> impl Iterator<Item = &K> {
    change.old.iter().chain(&change.new).map(AsRef::as_ref)
}

/// The Experiment that controls an object.
fn owner(metadata: &ObjectMeta) -> Option<ObjectName> {
    let owner = controller(metadata).filter(|it| it.kind == "Experiment")?;
    Some(ObjectName::new(metadata.namespace.clone().unwrap_or_default(), owner.name.clone()))
}
