//! First verb: builds the [`World`] of one Rollout from the stores. No client: everything has been watched.

mod analyses;
mod convert;
mod experiments;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use crds::Rollout;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use operator_core::{
    key::{self, Kind},
    spec::{MappingRouting, Selector, beside},
    traffic::ObjectName,
    world::{Claim, Lookup, Mapping, Owner, Pod, ReplicaSet, Rival, WorkloadKind, World},
};

use super::{
    Stores,
    claims::{claims, mappings, services},
    objects::{Index, Malformed, SplitObject, controller, created, key, reference},
    store::Stored as _,
};
use crate::traffic::TrafficStore;

pub(crate) use self::{
    analyses::templates,
    convert::{analysis_run, replica_set},
};

/// Every kind of object that splits traffic.
pub(super) const SPLIT_KINDS: [Kind; 4] = [Kind::Mapping, Kind::Ingress, Kind::HttpRoute, Kind::GrpcRoute];

/// How long a Rollout is left alone after Argo's controller has written it: its lease's duration, after which it has
/// stopped if it was told to.
const CONTESTED: TimeDelta = TimeDelta::seconds(15);

/// What there is under a Rollout's name.
#[derive(Debug)]
pub(super) enum Observed {
    /// Nothing.
    Gone,
    /// A Rollout, and all that matters to it.
    World(Box<World>),
    /// A Rollout that Argo's controller has just written: two controllers would undo each other's work.
    Contested {
        /// Until when it is left alone.
        until: DateTime<Utc>,
    },
    /// A Rollout in a namespace of which the other objects are not all known yet.
    Unlisted,
    /// A Rollout that refers to a workload of which it is not known whether it exists.
    Unread {
        /// The workload's kind.
        kind: WorkloadKind,
        /// Its name.
        workload: ObjectName,
    },
    /// A Rollout that cannot be read.
    Malformed {
        /// Its metadata.
        metadata: Box<ObjectMeta>,
        /// What is wrong.
        malformed: Malformed,
    },
}

/// Looks at one Rollout.
pub(super) fn observe(
    stores: &Stores,
    traffic: &TrafficStore,
    name: &ObjectName,
    now: DateTime<Utc>,
) -> Observed {
    let Some(found) = stores.rollouts.get(name) else { return Observed::Gone };
    if !stores.cover(&name.namespace) {
        return Observed::Unlisted;
    }
    if let Some(until) = found.argo_wrote.map(|it| it + CONTESTED).filter(|it| now < *it) {
        return Observed::Contested { until };
    }
    let rollout = match found.rollout() {
        Ok(rollout) => rollout,
        Err(malformed) => {
            let metadata = Box::new(found.metadata.clone());
            return Observed::Malformed { metadata, malformed: malformed.clone() };
        }
    };
    let workload = match reference(&rollout.spec, &name.namespace) {
        None => None,
        Some((kind, workload)) => match stores.workloads.look(kind, &workload) {
            None => return Observed::Unread { kind, workload },
            found => found,
        },
    };
    let canary_mappings = canary_mappings(stores, &rollout, name);
    let mut world = World {
        now,
        replica_sets: Vec::new(),
        pods: Vec::new(),
        workload,
        services: named_services(stores, &rollout, name),
        mappings: named_mappings(stores, &rollout, name),
        analysis: analyses::of(stores, &rollout, name),
        experiments: experiments::of(stores, &rollout, name),
        rivals: rivals(stores, &rollout, name),
        traffic: traffic.of(&reach(&rollout, name, canary_mappings.keys())),
        guard: None,
        canary_mappings,
        rollout,
    };
    world.replica_sets = replica_sets(stores, &world, name);
    world.pods = pods(stores, &world.replica_sets);
    Observed::World(Box::new(world))
}

/// What of the data plane matters to one Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The Rollout's namespace.
    pub namespace: String,
    /// Its Services.
    pub services: Vec<ObjectName>,
    /// Its Mappings, the canaries' among them.
    pub mappings: Vec<ObjectName>,
}

fn reach<'a>(rollout: &Rollout, name: &ObjectName, canaries: impl Iterator<Item = &'a String>) -> Reach {
    let here = |it: &str| ObjectName::new(name.namespace.clone(), it);
    let bases = mappings(&rollout.spec);
    let base = bases.iter().map(|it| here(it));
    Reach {
        namespace: name.namespace.clone(),
        services: services(&rollout.spec).into_iter().map(here).collect(),
        mappings: base.chain(canaries.map(|it| here(it))).collect(),
    }
}

/// Those that the Rollout controls, those without a controller that its selector matches, and those that have a name
/// which it would give (`<rollout>-<hash>`).
fn replica_sets(stores: &Stores, world: &World, name: &ObjectName) -> Vec<ReplicaSet> {
    let uid = world.rollout.metadata.uid.clone().unwrap_or_default();
    let mut found = BTreeMap::new();
    for set in stores.replica_sets.with_prefix(&name.namespace, &format!("{}-", name.name)) {
        let suffix = set.metadata.name.as_deref().map(|it| &it[name.name.len() + 1..]).unwrap_or_default();
        if !suffix.contains('-') {
            found.insert(set.name_any(), set);
        }
    }
    if let Ok(selector) = Selector::parse(world.selector()) {
        for set in stores.replica_sets.find(&Index::Orphan(name.namespace.clone())) {
            if selector.matches(set.labels()) {
                found.insert(set.name_any(), set);
            }
        }
    }
    for set in stores.replica_sets.find(&Index::Controller(uid.clone())) {
        found.insert(set.name_any(), set);
    }
    let owner = |metadata: &ObjectMeta| match controller(metadata) {
        Some(reference) if reference.uid == uid => Owner::ThisRollout,
        Some(_) => Owner::Other,
        None => Owner::Nobody,
    };
    found.into_values().map(|set| replica_set(&set, owner(&set.metadata))).collect()
}

/// The pods of those that the Rollout controls.
fn pods(stores: &Stores, replica_sets: &[ReplicaSet]) -> Vec<Arc<Pod>> {
    let own = replica_sets.iter().filter(|set| set.owner == Owner::ThisRollout);
    let found = own.flat_map(|set| stores.pods.find(&Index::Controller(set.uid.clone())));
    found.map(|it| it.pod.clone()).collect()
}

fn named_services(
    stores: &Stores,
    rollout: &Rollout,
    name: &ObjectName,
) -> BTreeMap<String, Lookup<operator_core::world::Service>> {
    let names = services(&rollout.spec).into_iter();
    names
        .map(|service| {
            let found = stores.services.get(&ObjectName::new(name.namespace.clone(), service));
            let lookup = found.map_or(Lookup::Missing, |it| Lookup::Found(convert::service(&it)));
            (service.to_owned(), lookup)
        })
        .collect()
}

fn named_mappings(
    stores: &Stores,
    rollout: &Rollout,
    name: &ObjectName,
) -> BTreeMap<String, Lookup<Mapping>> {
    let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
    let names = mappings(&rollout.spec).into_iter();
    names
        .map(|mapping| {
            let found = stores.split_object(&name.namespace, &mapping);
            let lookup =
                found.map_or(Lookup::Missing, |it| Lookup::Found(convert::mapping(&it.unfold(), uid)));
            (mapping, lookup)
        })
        .collect()
}

/// Those that the Rollout controls, and those that have a name which it would give.
fn canary_mappings(stores: &Stores, rollout: &Rollout, name: &ObjectName) -> BTreeMap<String, Mapping> {
    let uid = rollout.metadata.uid.clone().unwrap_or_default();
    let copies = mappings(&rollout.spec).into_iter().filter_map(|base| {
        let copy = MappingRouting::copy_name(&name.name, &base);
        (copy != base).then_some(copy)
    });
    let named = copies.chain(beside::of_rollout(rollout)).filter_map(|copy| {
        let found = stores.split_object(&name.namespace, &copy)?;
        Some((copy, found))
    });
    let owned = Index::Controller(uid.clone());
    let ours = |it: &Arc<SplitObject>| it.name().namespace == name.namespace;
    let made = SPLIT_KINDS.into_iter().flat_map(|kind| {
        let found = stores.split_objects(kind).find(&owned).into_iter().filter(ours);
        found.map(move |it| (key::of(kind, &it.name().name), it))
    });
    named.chain(made).map(|(name, it)| (name, convert::mapping(&it.unfold(), &uid))).collect()
}

/// The other Rollouts that name what this one names.
fn rivals(stores: &Stores, rollout: &Rollout, name: &ObjectName) -> Vec<Rival> {
    let mut rivals = Vec::new();
    for claim in claims(&rollout.spec) {
        for other in stores.rollouts.find(&Index::Claim(name.namespace.clone(), claim.clone())) {
            if other.metadata.uid != rollout.metadata.uid {
                let created = created(&other.metadata);
                rivals.push(Rival { rollout: key(&other.metadata).name, created, claim: claim.clone() });
            }
        }
    }
    rivals
}

/// The Rollouts that name an object.
pub(super) fn claimants(stores: &Stores, namespace: &str, claim: Claim) -> Vec<ObjectName> {
    let found = stores.rollouts.find(&Index::Claim(namespace.to_owned(), claim));
    found.iter().map(|it| key(&it.metadata)).collect()
}
