//! Which Rollouts a change concerns.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::{
    ingress,
    key::{self, Kind},
    traffic::ObjectName,
    world::{Claim, WorkloadKind},
};

use super::{
    Stores,
    claims::{base_of_canary, claims, templates},
    objects::{
        AnalysisRun, AnalysisTemplate, Index, Pod, ReplicaSet, Service, SplitObject, StoredRollout, Workload,
        controller, key, reference,
    },
    observe::claimants,
    store::{Change, Stored},
};
use crate::{experiments::StoredExperiment, traffic::Touched};

/// A changed Rollout: itself, and its rivals if what it names has changed.
pub(super) fn of_rollout(stores: &Stores, change: &Change<StoredRollout>) -> BTreeSet<ObjectName> {
    let mut concerned: BTreeSet<ObjectName> = both(change).map(|it| key(&it.metadata)).collect();
    let named = |it: &Option<Arc<StoredRollout>>| match it.as_ref().map(|it| &it.decoded) {
        Some(Ok(rollout)) => claims(&rollout.spec),
        Some(Err(_)) | None => Vec::new(),
    };
    let (before, after) = (named(&change.old), named(&change.new));
    if before != after {
        let namespaces: BTreeSet<String> = concerned.iter().map(|it| it.namespace.clone()).collect();
        for namespace in &namespaces {
            for claim in before.iter().chain(&after) {
                concerned.extend(claimants(stores, namespace, claim.clone()));
            }
        }
    }
    concerned
}

/// A changed ReplicaSet: the Rollout that controls it, or all of the namespace that might adopt it.
pub(super) fn of_replica_set(stores: &Stores, change: &Change<ReplicaSet>) -> BTreeSet<ObjectName> {
    let mut concerned = BTreeSet::new();
    for set in both(change) {
        match owner(&set.metadata) {
            Some(rollout) => {
                concerned.insert(rollout);
            }
            None if controller(&set.metadata).is_none() => {
                let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
                concerned
                    .extend(stores.rollouts.with_prefix(namespace, "").iter().map(|it| key(&it.metadata)));
            }
            // Another kind's, such as a Deployment's or an Experiment's.
            None => {}
        }
    }
    concerned
}

/// A changed pod: the Rollout that controls its ReplicaSet. A change of nothing that is kept concerns nobody.
pub(super) fn of_pod(stores: &Stores, change: &Change<Pod>) -> BTreeSet<ObjectName> {
    if change.is_idle() {
        return BTreeSet::new();
    }
    let versions = both(change).map(|it| ObjectName::new(it.namespace.clone(), it.pod.hash.clone()));
    let sets = versions.flat_map(|it| stores.replica_sets.find(&Index::Version(it)));
    sets.filter_map(|it| owner(&it.metadata)).collect()
}

/// A changed workload: the Rollouts that refer to it.
pub(super) fn of_workload(
    stores: &Stores,
    kind: WorkloadKind,
    change: &Change<Workload>,
) -> BTreeSet<ObjectName> {
    let referring = both(change).flat_map(|it| stores.rollouts.find(&Index::Workload(kind, it.name())));
    referring.map(|it| key(&it.metadata)).collect()
}

/// Lets go of a workload that a changed Rollout was the last to refer to.
pub(super) fn forget_workload(stores: &Stores, change: &Change<StoredRollout>) {
    let referred = |it: &Arc<StoredRollout>| {
        let rollout = it.decoded.as_ref().ok()?;
        reference(&rollout.spec, &key(&it.metadata).namespace)
    };
    if let Some((kind, name)) = change.old.as_ref().and_then(referred)
        && stores.rollouts.find(&Index::Workload(kind, name.clone())).is_empty()
    {
        stores.workloads.forget(kind, &name);
    }
}

/// A changed Service: the Rollouts that name it.
pub(super) fn of_service(stores: &Stores, change: &Change<Service>) -> BTreeSet<ObjectName> {
    let names = both(change).map(|it| key(&it.metadata));
    names.flat_map(|it| claimants(stores, &it.namespace, Claim::Service(it.name.clone()))).collect()
}

/// A changed object of a kind that splits traffic: the Rollout that controls it, and those that split it or its base.
pub(super) fn of_split_object(
    stores: &Stores,
    kind: Kind,
    change: &Change<SplitObject>,
) -> BTreeSet<ObjectName> {
    let mut concerned = BTreeSet::new();
    for object in both(change) {
        let name = object.name();
        let owner = object.controller.as_ref().filter(|it| it.kind == "Rollout");
        concerned.extend(owner.map(|it| ObjectName::new(name.namespace.clone(), it.name.clone())));
        concerned.extend(splitting(stores, &name.namespace, &key::of(kind, &name.name)));
    }
    concerned
}

/// The Rollouts that split an object, or made it beside one that they split.
fn splitting(stores: &Stores, namespace: &str, key: &str) -> BTreeSet<ObjectName> {
    let bases = [Some(key.to_owned()), base_of_canary(key).map(str::to_owned)].into_iter().flatten();
    let bases = bases.chain(bases_beside(key));
    let mut concerned: BTreeSet<ObjectName> =
        bases.flat_map(|base| claimants(stores, namespace, Claim::Mapping(base))).collect();
    // The name of a canary Ingress begins with that of the Rollout, of which nobody knows where it ends.
    let Some(canary) = ingress::name_of(key).and_then(base_of_canary) else { return concerned };
    for (at, _) in canary.match_indices('-') {
        let stable = ingress::key(&canary[at + 1..]);
        let claimants = claimants(stores, namespace, Claim::Mapping(stable));
        concerned.extend(claimants.into_iter().filter(|rollout| rollout.name == canary[..at]));
    }
    concerned
}

/// The keys of the objects beside which a step may make one of this key, should it be somebody else's now.
fn bases_beside(key: &str) -> impl Iterator<Item = String> {
    let marks = ["-canary-", "-experiment"].into_iter();
    marks.flat_map(|mark| key.match_indices(mark)).map(|(at, _)| key[..at].to_owned())
}

/// A changed `AnalysisRun`: the Rollout that controls it. A measurement concerns nobody.
pub(super) fn of_analysis_run(change: &Change<AnalysisRun>) -> BTreeSet<ObjectName> {
    if change.is_idle() {
        return BTreeSet::new();
    }
    both(change).filter_map(|it| owner(&it.metadata)).collect()
}

/// A changed Experiment: the Rollout that controls it. How its pods do concerns nobody.
pub(super) fn of_experiment(change: &Change<StoredExperiment>) -> BTreeSet<ObjectName> {
    if change.is_idle() {
        return BTreeSet::new();
    }
    both(change).filter_map(|it| owner(&it.metadata)).collect()
}

/// A changed template: the Rollouts of its namespace that start analyses. Templates name each other, so that it may be
/// any of them; and they seldom change.
pub(super) fn of_template(stores: &Stores, change: &Change<AnalysisTemplate>) -> BTreeSet<ObjectName> {
    let namespaces: BTreeSet<String> = both(change).map(|it| it.name().namespace).collect();
    let found = namespaces.into_iter().flat_map(|it| stores.rollouts.find(&Index::Analysed(it)));
    found.map(|it| key(&it.metadata)).collect()
}

/// A changed template for all namespaces: every Rollout that starts analyses.
pub(super) fn of_cluster_template(stores: &Stores) -> BTreeSet<ObjectName> {
    let all = stores.rollouts.all();
    let starts =
        |it: &&Arc<StoredRollout>| it.decoded.as_ref().is_ok_and(|it| !templates(&it.spec).is_empty());
    all.iter().filter(starts).map(|it| key(&it.metadata)).collect()
}

/// News of the data plane: the Rollouts that name what it is about.
pub(super) fn of_traffic(stores: &Stores, touched: &Touched) -> BTreeSet<ObjectName> {
    if touched.everything {
        let all = stores.rollouts.all();
        let routed = all.iter().filter(|it| it.decoded.as_ref().is_ok_and(|it| !claims(&it.spec).is_empty()));
        return routed.map(|it| key(&it.metadata)).collect();
    }
    let mut concerned = BTreeSet::new();
    for service in &touched.services {
        concerned.extend(claimants(stores, &service.namespace, Claim::Service(service.name.clone())));
    }
    for mapping in &touched.mappings {
        concerned.extend(splitting(stores, &mapping.namespace, &mapping.name));
    }
    for version in &touched.versions {
        let index = Index::Version(ObjectName::new(version.namespace.clone(), version.hash.clone()));
        concerned.extend(stores.replica_sets.find(&index).iter().filter_map(|it| owner(&it.metadata)));
    }
    concerned
}

fn both<K>(change: &Change<K>) -> impl Iterator<Item = &K> {
    change.old.iter().chain(&change.new).map(AsRef::as_ref)
}

/// The Rollout that controls an object.
fn owner(metadata: &ObjectMeta) -> Option<ObjectName> {
    let owner = controller(metadata).filter(|it| it.kind == "Rollout")?;
    Some(ObjectName::new(metadata.namespace.clone().unwrap_or_default(), owner.name.clone()))
}

#[cfg(test)]
mod tests {
    use kube::{core::DynamicObject, runtime::watcher::Event};
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::rollouts::objects::WatchedTemplate;

    fn rollout(name: &str, service: &str) -> StoredRollout {
        StoredRollout::deserialize(json!({
            "metadata": {"namespace": "web", "name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"strategy": {"canary": {
                "stableService": service,
                "trafficRouting": {"ambassador": {"mappings": [format!("{service}-route")]}},
            }}},
        }))
        .unwrap()
    }

    fn stores() -> Stores {
        let stores = Stores::default();
        stores.rollouts.apply(Event::Apply(rollout("a", "shared")));
        stores.rollouts.apply(Event::Apply(rollout("b", "shared")));
        stores.rollouts.apply(Event::Apply(rollout("c", "own")));
        stores
    }

    fn names(found: &BTreeSet<ObjectName>) -> Vec<&str> {
        found.iter().map(|it| it.name.as_str()).collect()
    }

    #[test]
    fn a_rollouts_rivals_look_again_when_its_names_change() {
        let stores = stores();
        let moved = stores.rollouts.apply(Event::Apply({
            let mut moved = rollout("c", "shared");
            moved.metadata.resource_version = Some("2".to_owned());
            moved
        }));
        assert_eq!(names(&of_rollout(&stores, &moved[0])), ["a", "b", "c"]);
        let scaled = stores.rollouts.apply(Event::Apply({
            let mut scaled = rollout("c", "shared");
            scaled.metadata.resource_version = Some("3".to_owned());
            scaled
        }));
        assert_eq!(names(&of_rollout(&stores, &scaled[0])), ["c"]);
    }

    #[test]
    fn a_service_concerns_those_that_name_it() {
        let stores = stores();
        let service = Service::deserialize(json!({"metadata": {"namespace": "web", "name": "own"}})).unwrap();
        let change = Change { old: None, new: Some(Arc::new(service)) };
        assert_eq!(names(&of_service(&stores, &change)), ["c"]);
    }

    #[test]
    fn a_canary_mapping_concerns_those_that_name_its_base() {
        let stores = stores();
        for name in ["own-route-canary", "own-route-canary-testers", "own-route-experiment-trial"] {
            let mapping = json!({"metadata": {"namespace": "web", "name": name}});
            let mapping: DynamicObject = serde_json::from_value(mapping).unwrap();
            let change = Change { old: Some(Arc::new(SplitObject::fold(mapping))), new: None };
            assert_eq!(names(&of_split_object(&stores, Kind::Mapping, &change)), ["c"], "{name}");
        }
    }

    #[test]
    fn a_replica_set_concerns_its_owner_and_an_orphan_all() {
        let stores = stores();
        let set = |owners| {
            let set = json!({"metadata": {"namespace": "web", "name": "s", "ownerReferences": owners}});
            Change { old: None, new: Some(Arc::new(ReplicaSet::deserialize(set).unwrap())) }
        };
        let owner =
            |kind| json!([{"apiVersion": "v1", "kind": kind, "name": "b", "uid": "b", "controller": true}]);
        assert_eq!(names(&of_replica_set(&stores, &set(owner("Rollout")))), ["b"]);
        assert_eq!(names(&of_replica_set(&stores, &set(json!([])))), ["a", "b", "c"]);
        assert!(of_replica_set(&stores, &set(owner("Experiment"))).is_empty());
    }

    #[test]
    fn a_pod_concerns_the_rollout_of_its_replica_set() {
        let stores = stores();
        let set = json!({"metadata": {
            "namespace": "web", "name": "b-abc", "uid": "s", "resourceVersion": "2",
            "labels": {"rollouts-pod-template-hash": "abc"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Rollout", "name": "b", "uid": "b", "controller": true}],
        }});
        stores.replica_sets.apply(Event::Apply(ReplicaSet::deserialize(set).unwrap()));
        let pod = |version: &str, deleted: Option<&str>| {
            let metadata = json!({
                "namespace": "web", "name": "p", "uid": "p", "resourceVersion": version, "deletionTimestamp": deleted,
                "labels": {"rollouts-pod-template-hash": "abc"},
            });
            Pod::of(&serde_json::from_value(json!({"metadata": metadata})).unwrap(), &stores)
        };
        let concerned = |it: Pod| -> BTreeSet<ObjectName> {
            stores.pods.apply(Event::Apply(it)).iter().flat_map(|it| of_pod(&stores, it)).collect()
        };
        assert_eq!(names(&concerned(pod("3", None))), ["b"]);
        assert!(concerned(pod("4", None)).is_empty());
        assert_eq!(names(&concerned(pod("5", Some("2026-11-20T10:00:00Z")))), ["b"]);
    }

    #[test]
    fn a_workload_concerns_those_that_refer_to_it_and_is_let_go_with_the_last() {
        let stores = Stores::default();
        let rollout = |version: &str, workload: Option<&str>| {
            let reference =
                workload.map(|it| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": it}));
            StoredRollout::deserialize(json!({
                "metadata": {"namespace": "web", "name": "a", "uid": "a", "resourceVersion": version},
                "spec": {"workloadRef": reference},
            }))
            .unwrap()
        };
        let (kind, name) = (WorkloadKind::Deployment, ObjectName::new("web", "shop"));
        stores.rollouts.apply(Event::Apply(rollout("1", Some("shop"))));
        stores.workloads.want(kind, &name);
        stores.workloads.answered(kind, &name, None);
        let metadata = json!({"namespace": "web", "name": "shop"});
        let shop = Workload::of(kind, serde_json::from_value(json!({"metadata": metadata})).unwrap());
        let change = Change { old: None, new: Some(Arc::new(shop)) };
        assert_eq!(names(&of_workload(&stores, kind, &change)), ["a"]);
        for change in stores.rollouts.apply(Event::Apply(rollout("2", None))) {
            forget_workload(&stores, &change);
        }
        assert!(stores.workloads.look(kind, &name).is_none());
        assert!(of_workload(&stores, kind, &change).is_empty());
    }

    #[test]
    fn a_run_concerns_its_rollout_and_a_template_all_that_start_analyses() {
        let stores = Stores::default();
        for (namespace, name, analysed) in [("web", "a", true), ("web", "b", false), ("api", "c", true)] {
            let templates = if analysed { json!([{"templateName": "t"}]) } else { json!([]) };
            let rollout = StoredRollout::deserialize(json!({
                "metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": "1"},
                "spec": {"strategy": {"blueGreen": {
                    "activeService": "s", "prePromotionAnalysis": {"templates": templates},
                }}},
            }));
            stores.rollouts.apply(Event::Apply(rollout.unwrap()));
        }
        let run = AnalysisRun::deserialize(json!({"metadata": {
            "namespace": "web", "name": "b-1-1",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Rollout", "name": "b", "uid": "b", "controller": true}],
        }}));
        let run = Arc::new(run.unwrap());
        assert_eq!(names(&of_analysis_run(&Change { old: None, new: Some(run.clone()) })), ["b"]);
        assert!(of_analysis_run(&Change { old: Some(run.clone()), new: Some(run) }).is_empty());
        let watched = WatchedTemplate::<crds::analysis::AnalysisTemplate>::deserialize(
            json!({"metadata": {"namespace": "web", "name": "t"}, "spec": {}}),
        );
        let template = Some(Arc::new(watched.unwrap().kept()));
        assert_eq!(names(&of_template(&stores, &Change { old: None, new: template })), ["a"]);
        assert_eq!(names(&of_cluster_template(&stores)), ["c", "a"]);
    }

    #[test]
    fn an_experiment_concerns_the_rollout_that_controls_it() {
        let experiment = |owners| {
            let metadata = json!({"namespace": "web", "name": "b-1-1-0", "ownerReferences": owners});
            let experiment = json!({"metadata": metadata, "spec": {"templates": []}});
            Change { old: None, new: Some(Arc::new(StoredExperiment::deserialize(experiment).unwrap())) }
        };
        let owner =
            json!([{"apiVersion": "v1", "kind": "Rollout", "name": "b", "uid": "b", "controller": true}]);
        assert_eq!(names(&of_experiment(&experiment(owner))), ["b"]);
        assert!(of_experiment(&experiment(json!([]))).is_empty());
    }

    #[test]
    fn traffic_concerns_those_whose_services_it_reaches() {
        let stores = stores();
        let services = BTreeSet::from([ObjectName::new("web", "own")]);
        let touched = Touched { services, ..Touched::default() };
        assert_eq!(names(&of_traffic(&stores, &touched)), ["c"]);
        let everything = Touched { everything: true, ..Touched::default() };
        assert_eq!(names(&of_traffic(&stores, &everything)), ["a", "b", "c"]);
    }
}
