//! The workloads that Rollouts refer to by `spec.workloadRef`, and no others: a cluster may have thousands of
//! Deployments.
//!
//! A kind is watched from the first reference to it on. Of what the watch tells, only what is referred to is kept. A
//! reference that is new asks the API server once, because the watch may have told of its object before; whatever
//! happens while that question is under way is kept too.

use std::{
    array,
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

use kube::{Api, Client};
use operator_core::{
    traffic::ObjectName,
    world::{self, Lookup, WorkloadKind},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    objects::{WatchedWorkload, Workload},
    store::{Change, Store},
    watch::follow,
};
use crate::lists::everything;

/// All kinds, in the order of their stores.
pub(super) const KINDS: [WorkloadKind; 3] =
    [WorkloadKind::Deployment, WorkloadKind::ReplicaSet, WorkloadKind::PodTemplate];

/// The workloads that are referred to.
#[derive(Debug)]
pub(crate) struct Workloads {
    stores: [Store<Workload>; KINDS.len()],
    /// Who is referred to, and whether the API server was asked for it.
    wanted: RwLock<BTreeMap<(WorkloadKind, ObjectName), bool>>,
    kinds: watch::Sender<BTreeSet<WorkloadKind>>,
}

impl Default for Workloads {
    /// Nobody is referred to.
    fn default() -> Self {
        Self {
            stores: array::from_fn(|_| Store::new(|_| Vec::new())),
            wanted: RwLock::default(),
            kinds: watch::Sender::default(),
        }
    }
}

impl Workloads {
    /// The workload of that name; `None` if it is not known yet whether there is one: it has to be asked for.
    pub(crate) fn look(&self, kind: WorkloadKind, name: &ObjectName) -> Option<Lookup<world::Workload>> {
        if let Some(found) = self.store(kind).get(name) {
            return Some(Lookup::Found(found.workload.clone()));
        }
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        wanted.get(&(kind, name.clone())).is_some_and(|asked| *asked).then_some(Lookup::Missing)
    }

    /// From now on what happens to this workload is kept.
    pub(crate) fn want(&self, kind: WorkloadKind, name: &ObjectName) {
        self.change(|wanted| *wanted.entry((kind, name.clone())).or_default());
        self.kinds.send_if_modified(|kinds| kinds.insert(kind));
    }

    /// The API server's answer; `None`: there is no such workload.
    pub(crate) fn answered(&self, kind: WorkloadKind, name: &ObjectName, found: Option<Workload>) {
        if let Some(found) = found {
            self.store(kind).written(found);
        }
        self.change(|wanted| wanted.insert((kind, name.clone()), true));
    }

    /// The answer to one of our own writes.
    pub(crate) fn written(&self, kind: WorkloadKind, written: Workload) {
        self.store(kind).written(written);
    }

    /// Nobody refers to this workload any more.
    pub(crate) fn forget(&self, kind: WorkloadKind, name: &ObjectName) {
        self.change(|wanted| wanted.remove(&(kind, name.clone())));
        self.store(kind).forget(name);
    }

    /// Watches a kind from the first reference to it on, until `stop` is cancelled.
    pub(super) async fn follow(
        &self,
        kind: WorkloadKind,
        client: Client,
        namespace: Option<&str>,
        changed: impl Fn(&Change<Workload>),
        stop: &CancellationToken,
    ) {
        let mut kinds = self.kinds.subscribe();
        // The sender lives as long as `self`.
        let referred = kinds.wait_for(|kinds| kinds.contains(&kind));
        if !matches!(stop.run_until_cancelled(referred).await, Some(Ok(_))) {
            return;
        }
        let api: Api<WatchedWorkload> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &kind),
            None => Api::all_with(client, &kind),
        };
        let keep = |watched| Some(Workload::of(kind, watched)).filter(|it| self.is_wanted(kind, it));
        follow(api, everything(), keep, self.store(kind), changed, stop).await;
    }

    fn is_wanted(&self, kind: WorkloadKind, workload: &Workload) -> bool {
        let name = ObjectName::new(workload.namespace.clone(), workload.workload.name.clone());
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).contains_key(&(kind, name))
    }

    fn store(&self, kind: WorkloadKind) -> &Store<Workload> {
        let [deployments, replica_sets, pod_templates] = &self.stores;
        match kind {
            WorkloadKind::Deployment => deployments,
            WorkloadKind::ReplicaSet => replica_sets,
            WorkloadKind::PodTemplate => pod_templates,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<(WorkloadKind, ObjectName), bool>) -> T) {
        change(&mut self.wanted.write().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::test_api::TestApi;

    const KIND: WorkloadKind = WorkloadKind::Deployment;

    fn deployment(name: &str, version: u64) -> Value {
        let metadata = json!({
            "namespace": "web", "name": name, "uid": name, "resourceVersion": version.to_string(), "generation": version,
        });
        json!({"metadata": metadata, "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": name}}}}})
    }

    fn read(name: &str, version: u64) -> Workload {
        Workload::of(KIND, serde_json::from_value(deployment(name, version)).unwrap())
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("web", name)
    }

    fn generation(workloads: &Workloads, of: &str) -> Option<i64> {
        let Some(Lookup::Found(found)) = workloads.look(KIND, &name(of)) else { return None };
        Some(found.generation)
    }

    #[test]
    fn who_was_not_asked_for_is_not_missing() {
        let workloads = Workloads::default();
        assert!(workloads.look(KIND, &name("app")).is_none());
        workloads.want(KIND, &name("app"));
        assert!(workloads.look(KIND, &name("app")).is_none());
        workloads.answered(KIND, &name("app"), None);
        assert!(matches!(workloads.look(KIND, &name("app")), Some(Lookup::Missing)));
        workloads.answered(KIND, &name("app"), Some(read("app", 3)));
        assert_eq!(generation(&workloads, "app"), Some(3));
        workloads.forget(KIND, &name("app"));
        assert!(workloads.look(KIND, &name("app")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_referred_to_is_kept_and_an_older_answer_changes_nothing() {
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": [deployment("app", 5), deployment("other", 6)]});
        let api = TestApi::default().answer(200, list);
        let (workloads, stop) = (Workloads::default(), CancellationToken::new());
        let changed = |change: &Change<Workload>| {
            assert_eq!(change.new.as_ref().map(|it| it.workload.name.as_str()), Some("app"));
            workloads.answered(KIND, &name("app"), Some(read("app", 4)));
            stop.cancel();
        };
        workloads.want(KIND, &name("app"));
        workloads.follow(KIND, api.client(), Some("web"), changed, &stop).await;
        assert_eq!(api.lines()[0], "GET /apis/apps/v1/namespaces/web/deployments");
        assert_eq!(generation(&workloads, "app"), Some(5));
        assert!(workloads.store(KIND).get(&name("other")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_nobody_refers_to_is_not_watched() {
        let api = TestApi::default();
        let (workloads, stop) = (Workloads::default(), CancellationToken::new());
        let following = workloads.follow(KIND, api.client(), None, |_| {}, &stop);
        let _ = tokio::time::timeout(std::time::Duration::from_mins(1), following).await;
        assert!(api.seen().is_empty());
    }
}
