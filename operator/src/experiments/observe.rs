//! First verb: builds the [`World`] of one Experiment from the stores. No client: everything has been watched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use crds::{Experiment, contract, rollout::AnalysisTemplateRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use operator_core::{
    traffic::{ObjectName, Traffic},
    world::{AnalysisRun, Owner},
};
use operator_experiments::{
    World,
    world::{ReplicaSet, Service},
};

use super::objects::Malformed;
use crate::{
    rollouts::{Index, Reach, Stores, analysis_run, annotation, controller, replica_set, templates},
    traffic::TrafficStore,
};

/// What there is under an Experiment's name.
#[derive(Debug)]
pub(super) enum Observed {
    /// Nothing.
    Gone,
    /// An Experiment of another instance.
    OfOthers,
    /// An Experiment in a namespace of which the other objects are not all known yet.
    Unlisted,
    /// An Experiment, and all that matters to it.
    World(Box<World>),
    /// An Experiment that cannot be read.
    Malformed {
        /// Its metadata.
        metadata: Box<ObjectMeta>,
        /// What is wrong.
        malformed: Malformed,
    },
}

/// Looks at one Experiment.
pub(super) fn observe(
    stores: &Stores,
    traffic: &TrafficStore,
    name: &ObjectName,
    instance_id: &str,
    now: DateTime<Utc>,
) -> Observed {
    let Some(found) = stores.experiments.get(name) else { return Observed::Gone };
    let instance = found.labels().get(contract::INSTANCE_ID_LABEL).map_or("", String::as_str);
    if instance != instance_id {
        return Observed::OfOthers;
    }
    if !stores.cover(&name.namespace) {
        return Observed::Unlisted;
    }
    let experiment = match &found.decoded {
        Ok(experiment) => experiment.as_ref().clone(),
        Err(malformed) => {
            let metadata = Box::new(found.metadata.clone());
            return Observed::Malformed { metadata, malformed: malformed.clone() };
        }
    };
    let named: VecDeque<AnalysisTemplateRef> = experiment
        .spec
        .analyses
        .iter()
        .map(|it| AnalysisTemplateRef {
            template_name: it.template_name.clone(),
            cluster_scope: Some(it.cluster_scope),
        })
        .collect();
    let replica_sets = replica_sets(stores, &experiment, name);
    Observed::World(Box::new(World {
        now,
        taken_hashes: taken_hashes(stores, &experiment, &replica_sets, name),
        replica_sets,
        services: services(stores, &experiment, name),
        runs: runs(stores, &experiment, name),
        templates: templates(stores, named, &name.namespace),
        traffic: loads(traffic, &experiment, name),
        experiment,
    }))
}

/// The requests to pods of the namespace, where some of its own get a share.
fn loads(traffic: &TrafficStore, experiment: &Experiment, name: &ObjectName) -> Traffic {
    if annotation(&experiment.metadata, contract::WEIGHTS_ANNOTATION).is_none() {
        return Traffic::NotConfigured;
    }
    let namespace = name.namespace.clone();
    traffic.of(&Reach { namespace, services: Vec::new(), mappings: Vec::new() })
}

/// Those that the Experiment controls, and those that have a name which it would give (`<experiment>-<template>`).
fn replica_sets(stores: &Stores, experiment: &Experiment, name: &ObjectName) -> Vec<ReplicaSet> {
    let uid = experiment.metadata.uid.clone().unwrap_or_default();
    let wanted = experiment.spec.templates.iter().map(|it| format!("{}-{}", name.name, it.name));
    let named = wanted.filter_map(|it| stores.replica_sets.get(&ObjectName::new(name.namespace.clone(), it)));
    let owned = stores.replica_sets.find(&Index::Controller(uid));
    let found: BTreeMap<String, _> = named.chain(owned).map(|it| (it.name_any(), it)).collect();
    found
        .into_values()
        .map(|stored| {
            let template = template_of(experiment, &stored.metadata);
            let set = replica_set(&stored, Owner::Other);
            ReplicaSet {
                name: set.name,
                uid: set.uid,
                resource_version: set.resource_version,
                template,
                hash: set.hash,
                replicas: set.replicas,
                scale_down_deadline: set.annotations.scale_down_deadline,
                status: set.status,
            }
        })
        .collect()
}

/// Hashes of all other ReplicaSets of the namespace, while one is to be created.
fn taken_hashes(
    stores: &Stores,
    experiment: &Experiment,
    own: &[ReplicaSet],
    name: &ObjectName,
) -> BTreeSet<String> {
    let is_there = |template: &str| own.iter().any(|set| set.template.as_deref() == Some(template));
    if experiment.spec.templates.iter().all(|it| is_there(&it.name)) {
        return BTreeSet::new();
    }
    let others = stores.replica_sets.with_prefix(&name.namespace, "").into_iter();
    let others = others.filter(|set| template_of(experiment, &set.metadata).is_none());
    others.filter_map(|set| set.labels().get(contract::POD_TEMPLATE_HASH_LABEL).cloned()).collect()
}

/// Those that the Experiment controls, and those that have a name which it would give.
fn services(stores: &Stores, experiment: &Experiment, name: &ObjectName) -> Vec<Service> {
    let uid = experiment.metadata.uid.clone().unwrap_or_default();
    let wanted = experiment.spec.templates.iter().filter_map(|it| {
        let own = it.service.as_ref()?.name.clone();
        Some(own.unwrap_or_else(|| format!("{}-{}", name.name, it.name)))
    });
    let named = wanted.filter_map(|it| stores.services.get(&ObjectName::new(name.namespace.clone(), it)));
    let owned = stores.services.find(&Index::Controller(uid));
    let found: BTreeMap<String, _> = named.chain(owned).map(|it| (it.name_any(), it)).collect();
    found
        .into_iter()
        .map(|(name, stored)| Service {
            name,
            uid: stored.metadata.uid.clone().unwrap_or_default(),
            resource_version: stored.metadata.resource_version.clone().unwrap_or_default(),
            template: template_of(experiment, &stored.metadata),
            deleting: stored.metadata.deletion_timestamp.is_some(),
        })
        .collect()
}

/// Those that the Experiment controls, and those that have a name which it could give.
fn runs(stores: &Stores, experiment: &Experiment, name: &ObjectName) -> BTreeMap<String, AnalysisRun> {
    let uid = experiment.metadata.uid.clone().unwrap_or_default();
    let named = if experiment.spec.analyses.is_empty() {
        Vec::new()
    } else {
        stores.analysis_runs.with_prefix(&name.namespace, &format!("{}-", name.name))
    };
    let owned = stores.analysis_runs.find(&Index::Controller(uid.clone()));
    named.into_iter().chain(owned).map(|it| (it.name_any(), analysis_run(&it, &uid))).collect()
}

/// The template that an object of this Experiment was made from; `None`: it is somebody else's.
fn template_of(experiment: &Experiment, metadata: &ObjectMeta) -> Option<String> {
    let owner = controller(metadata).filter(|owner| Some(&owner.uid) == experiment.metadata.uid.as_ref());
    owner.and_then(|_| annotation(metadata, contract::EXPERIMENT_TEMPLATE_NAME_ANNOTATION)).map(str::to_owned)
}
