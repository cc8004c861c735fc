//! What the executor sends, in which order, and what it does about answers.

use std::{collections::BTreeMap, time::Duration};

use operator_core::{
    effect::{Event, EventKind, Target},
    experiment::{Blueprint, Pods},
    traffic::Traffic,
    world::Analyses,
};
use serde_json::json;

use super::*;
use crate::{
    events,
    lease::Epoch,
    rollouts::objects::{Index, StoredRollout},
    telemetry::RolloutCounts,
    test_api::TestApi,
};

const SET: &str = "/apis/apps/v1/namespaces/web/replicasets/app-1";
const ROLLOUT: &str = "/apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app";

fn rollout(version: u64) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"namespace": "web", "name": "app", "uid": "r", "resourceVersion": version.to_string()},
        "spec": {},
    })
}

fn set(version: u64, replicas: i32) -> Value {
    json!({
        "metadata": {
            "namespace": "web", "name": "app-1", "uid": "s", "resourceVersion": version.to_string(),
            "annotations": {"rollout.argoproj.io/revision": "1"},
        },
        "spec": {"replicas": replicas},
    })
}

fn target(name: &str, uid: &str) -> Target {
    Target { name: name.to_owned(), uid: uid.to_owned(), resource_version: "1".to_owned() }
}

fn scale(to: i32) -> Effect {
    Effect::ScaleReplicaSet { target: target("app-1", "s"), from: 0, to, annotations: BTreeMap::new() }
}

fn revision() -> Effect {
    Effect::SetRolloutRevision { target: target("app", "r"), from: None, to: 2 }
}

fn world() -> World {
    let rollout = StoredRollout::deserialize(rollout(7)).unwrap().decoded.unwrap();
    World {
        now: chrono::DateTime::default(),
        rollout: *rollout,
        replica_sets: Vec::new(),
        pods: Vec::new(),
        workload: None,
        services: BTreeMap::new(),
        mappings: BTreeMap::new(),
        canary_mappings: BTreeMap::new(),
        analysis: Analyses::default(),
        experiments: BTreeMap::new(),
        rivals: Vec::new(),
        traffic: Traffic::NotConfigured,
        guard: None,
    }
}

fn held() -> Tenure {
    let until = Instant::now() + Duration::from_secs(10);
    Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until }
}

fn executor(api: &TestApi, tenure: Tenure) -> Executor {
    let (recorder, _) =
        events::recorder(api.client(), &prometheus::Registry::new(), RolloutCounts::default()).unwrap();
    let (_, tenure) = watch::channel(tenure);
    let (_, mappings) = watch::channel(Served::default());
    Executor::new(api.client(), Arc::default(), Worklists::default(), tenure, mappings, recorder)
}

#[tokio::test(start_paused = true)]
async fn effects_are_sent_in_order_and_their_answers_are_kept() {
    let api = TestApi::default().answer(200, set(8, 0)).answer(200, set(9, 3)).answer(200, rollout(10));
    let executor = executor(&api, held());
    let create =
        Effect::CreateReplicaSet { name: "app-1".to_owned(), manifest: json!({"spec": {"replicas": 0}}) };
    let executed = executor.execute(&world(), &[create, scale(3), revision()]).await.unwrap();
    let created = "POST /apis/apps/v1/namespaces/web/replicasets".to_owned();
    assert_eq!(api.lines(), [created, format!("PATCH {SET}"), format!("PATCH {ROLLOUT}")]);
    assert_eq!(executed, Executed { version: "10".to_owned(), changed: true });
    let kept = executor.stores.replica_sets.get(&ObjectName::new("web", "app-1")).unwrap();
    assert_eq!(kept.spec.replicas, Some(3));
}

#[tokio::test(start_paused = true)]
async fn the_second_write_to_the_rollout_is_guarded_by_the_first_ones_answer() {
    let api = TestApi::default().answer(200, rollout(10)).answer(200, rollout(11));
    let executor = executor(&api, held());
    let default = Effect::DefaultReplicas { target: target("app", "r") };
    executor.execute(&world(), &[revision(), default]).await.unwrap();
    let guards: Vec<Value> =
        api.seen().iter().map(|(_, body)| body["metadata"]["resourceVersion"].clone()).collect();
    assert_eq!(guards, ["7", "10"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_precondition_ends_the_plan_and_means_plan_again() {
    for (code, reason, message) in [
        (409, "Conflict", "the object has been modified"),
        (404, "NotFound", "replicasets.apps \"app-1\" not found"),
        (422, "Invalid", "the server rejected our request due to an error in our request"),
    ] {
        let api = TestApi::default().refuse(code, reason, message);
        let error = executor(&api, held()).execute(&world(), &[scale(3), revision()]).await.unwrap_err();
        assert!(error.is_stale(), "{code}: {error}");
        assert_eq!(api.lines().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_that_names_the_effect() {
    for (code, reason, message) in [
        (403, "Forbidden", "no"),
        (422, "Invalid", "ReplicaSet.apps \"app-1\" is invalid: spec.replicas: Invalid value: -1"),
        (500, "InternalError", "broken"),
    ] {
        let api = TestApi::default().refuse(code, reason, message);
        let error = executor(&api, held()).execute(&world(), &[scale(3)]).await.unwrap_err();
        assert!(!error.is_stale(), "{code}: {error}");
        assert_eq!(error.to_string(), "failed to scale ReplicaSet app-1 from 0 to 3");
    }
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_is_not_allowed_now_holds_nothing_up_and_is_no_change() {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let evict = |name| Effect::EvictPod { target: target(name, name) };
    let api =
        TestApi::default().refuse(429, "TooManyRequests", message).answer(201, json!({"kind": "Status"}));
    let executor = executor(&api, held());
    let pod = json!({"metadata": {"namespace": "web", "name": "p2", "uid": "p2", "resourceVersion": "5"}});
    let pod = objects::Pod::of(&serde_json::from_value(pod).unwrap(), &executor.stores);
    executor.stores.pods.written(pod);
    let executed = executor.execute(&world(), &[evict("p1"), evict("p2")]).await.unwrap();
    let path = |name| format!("POST /api/v1/namespaces/web/pods/{name}/eviction");
    assert_eq!(api.lines(), [path("p1"), path("p2")]);
    assert!(executed.changed);
    assert!(executor.stores.pods.all().is_empty(), "an evicted pod does not count any more");

    let api = TestApi::default().refuse(429, "TooManyRequests", message);
    let executed = self::executor(&api, held()).execute(&world(), &[evict("p1")]).await.unwrap();
    assert!(!executed.changed);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_looked_at() {
    let api = TestApi::default().refuse(409, "AlreadyExists", "it exists").answer(200, set(8, 0));
    let executor = executor(&api, held());
    let create = Effect::CreateReplicaSet { name: "app-1".to_owned(), manifest: json!({}) };
    let error = executor.execute(&world(), &[create]).await.unwrap_err();
    assert!(error.is_stale());
    assert_eq!(api.lines()[1], format!("GET {SET}"));
    let orphans = executor.stores.replica_sets.find(&Index::Orphan("web".to_owned()));
    assert_eq!(orphans.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hold_the_lease_writes_nothing() {
    let lapsed = Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until: Instant::now() };
    let foreign = Tenure::Foreign { holder: "argo".to_owned(), address: None };
    for tenure in [Tenure::Unknown, lapsed, foreign] {
        let api = TestApi::default();
        let error = executor(&api, tenure).execute(&world(), &[scale(3)]).await.unwrap_err();
        assert!(matches!(error, Error::NotHolder));
        assert!(api.seen().is_empty());
    }
}

/// Others wait for some seconds after this process has stopped: long enough for what has been sent, and for no more.
#[tokio::test(start_paused = true)]
async fn no_request_outlives_the_lease() {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(3);
    let tenure = Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until };
    let api = TestApi::default().silence();
    let error = executor(&api, tenure).execute(&world(), &[scale(3), revision()]).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!(api.lines(), [format!("PATCH {SET}")]);
}

#[tokio::test(start_paused = true)]
async fn an_event_does_not_hold_the_plan_up() {
    let api = TestApi::default().answer(200, set(9, 3));
    let event = Event { kind: EventKind::Normal, reason: "Scaling".to_owned(), message: String::new() };
    executor(&api, held()).execute(&world(), &[Effect::Event(event), scale(3)]).await.unwrap();
    assert_eq!(api.lines(), [format!("PATCH {SET}")]);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_patched_and_its_answer_kept() {
    let api = TestApi::default().answer(200, rollout(12));
    let executor = executor(&api, held());
    let name = ObjectName::new("web", "app");
    let patch = json!({"metadata": {"resourceVersion": "7"}, "status": {"replicas": 1}});
    executor.write_status(&name, patch.clone()).await.unwrap();
    let line = format!("PATCH {ROLLOUT}/status?&fieldManager=sluice-operator");
    assert_eq!(api.seen(), [(line, patch)]);
    let kept = executor.stores.rollouts.get(&name).unwrap();
    assert_eq!(kept.metadata.resource_version.as_deref(), Some("12"));
}

fn trial() -> Effect {
    let pods =
        Pods { replica_set: target("app-1", "s"), labels: BTreeMap::new(), annotations: BTreeMap::new() };
    let manifest = json!({"kind": "Experiment", "spec": {"templates": [{"name": "a"}]}});
    let blueprint = Box::new(Blueprint::new(manifest, vec![pods]));
    Effect::CreateExperiment { name: "app-1-1-0".to_owned(), blueprint }
}

#[tokio::test(start_paused = true)]
async fn an_experiment_takes_the_pod_template_of_a_replica_set() {
    let mut replica_set = set(8, 1);
    replica_set["spec"]["template"] = json!({"spec": {"containers": []}});
    let created =
        json!({"metadata": {"namespace": "web", "name": "app-1-1-0", "uid": "e", "resourceVersion": "9"}});
    let api = TestApi::default().answer(200, replica_set).answer(201, created);
    let executor = executor(&api, held());
    executor.execute(&world(), &[trial()]).await.unwrap();
    let experiments = "POST /apis/argoproj.io/v1alpha1/namespaces/web/experiments".to_owned();
    assert_eq!(api.lines(), [format!("GET {SET}"), experiments]);
    let template = &api.seen()[1].1["spec"]["templates"][0];
    assert_eq!(template, &json!({"name": "a", "template": {"spec": {"containers": []}}}));
    assert!(executor.stores.experiments.get(&ObjectName::new("web", "app-1-1-0")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_controller_writes_into_an_experiment_concerns_the_other_at_once() {
    let owner = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "r", "controller": true,
    });
    let metadata = json!({
        "namespace": "web", "name": "app-1-1-0", "uid": "e", "resourceVersion": "9", "ownerReferences": [owner],
    });
    let answer = json!({"metadata": metadata, "spec": {"templates": []}, "status": {"phase": "Failed"}});
    let executor = executor(&TestApi::default().answer(200, answer), held());
    let status = json!({"status": {"phase": "Failed"}});
    executor.write_experiment(&ObjectName::new("web", "app-1-1-0"), status).await.unwrap();
    let Worklists { rollouts, experiments } = &executor.lists;
    let due = [rollouts, experiments].map(|it| it.measure(Instant::now()).depth);
    assert_eq!(due, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_experiment_is_made_of_a_replica_set_that_was_replaced() {
    let mut other = set(8, 1);
    other["metadata"]["uid"] = json!("another");
    other["spec"]["template"] = json!({"spec": {}});
    let api = TestApi::default().answer(200, other);
    let failed = executor(&api, held()).execute(&world(), &[trial()]).await.unwrap_err();
    assert!(failed.is_stale(), "{failed}");
    assert_eq!(api.lines().len(), 1);
}
