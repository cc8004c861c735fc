//! Which runs a change concerns.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::traffic::ObjectName;

use super::{
    Stores,
    objects::{Job, JobPod, StoredRun},
};
use crate::rollouts::{Change, controller, key};

/// A changed run: itself.
pub(super) fn of_run(change: &Change<StoredRun>) -> BTreeSet<ObjectName> {
    both(change).map(|it| key(&it.metadata)).collect()
}

/// A changed Job: the run that measures with it.
pub(super) fn of_job(change: &Change<Job>) -> BTreeSet<ObjectName> {
    both(change).filter_map(|it| owner(&it.metadata, "AnalysisRun")).collect()
}

/// A changed pod: the run of its Job.
pub(super) fn of_pod(stores: &Stores, change: &Change<JobPod>) -> BTreeSet<ObjectName> {
    let jobs = both(change).filter_map(|it| owner(&it.metadata, "Job"));
    jobs.filter_map(|it| owner(&stores.jobs.get(&it)?.metadata, "AnalysisRun")).collect()
}

fn both<K>(change: &Change<K>) -> impl Iterator<Item = &K> {
    change.old.iter().chain(&change.new).map(AsRef::as_ref)
}

fn owner(metadata: &ObjectMeta, kind: &str) -> Option<ObjectName> {
    let owner = controller(metadata).filter(|it| it.kind == kind)?;
    Some(ObjectName::new(metadata.namespace.clone().unwrap_or_default(), owner.name.clone()))
}
