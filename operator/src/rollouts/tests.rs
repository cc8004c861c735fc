//! Whole passes against an API server with a script.

use std::time::Duration;

use kube::runtime::watcher::Event;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::*;
use crate::{
    events,
    lease::{Epoch, Tenure},
    telemetry::{Metrics, RolloutCounts},
    test_api::TestApi,
};

fn controller(api: &TestApi, object: Value) -> Controller {
    let stores = Arc::new(Stores::default());
    stores.rollouts.apply(Event::Apply(StoredRollout::deserialize(object).unwrap()));
    let (metrics, counts) = (Metrics::default(), RolloutCounts::default());
    let (recorder, _) = events::recorder(api.client(), &metrics.registry, counts.clone()).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let (_, tenure) = watch::channel(Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until });
    let metrics =
        RolloutMetrics::register(&metrics, counts, tenure.clone(), stores.clone(), Arc::default()).unwrap();
    let (_, mappings) = watch::channel(mappings::Served::default());
    let executor =
        Executor::new(api.client(), stores.clone(), Worklists::default(), tenure, mappings, recorder.clone());
    Controller::new(stores, Arc::new(TrafficStore::not_configured()), executor, recorder, metrics)
}

fn name() -> ObjectName {
    ObjectName::new("web", "app")
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_168_800 + second, 0).unwrap()
}

fn malformed(version: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"namespace": "web", "name": "app", "uid": "r", "resourceVersion": version},
        "spec": {"replicas": "three"},
        "status": status,
    })
}

#[tokio::test(start_paused = true)]
async fn a_malformed_rollout_is_told_so_once() {
    let object = malformed("7", &json!({"replicas": 2}));
    let message = "The Rollout \"app\" is invalid: spec.replicas: \"three\" is not of type integer";
    let stamp = "2026-11-20T10:00:00Z";
    let status = json!({
        "phase": "Degraded",
        "message": format!("InvalidSpec: {message}"),
        "conditions": [{
            "type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": message,
            "lastUpdateTime": stamp, "lastTransitionTime": stamp,
        }],
    });
    let mut recorded = status.clone();
    recorded["replicas"] = json!(2);
    let api = TestApi::default().answer(200, malformed("8", &recorded));
    let controller = controller(&api, object);

    assert_eq!(controller.reconcile(&name(), at(0)).await.unwrap(), Pass::Moved);
    let line =
        "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app/status?&fieldManager=sluice-operator";
    let patch = json!({"metadata": {"resourceVersion": "7"}, "status": status});
    assert_eq!(api.seen(), [(line.to_owned(), patch)]);

    assert_eq!(controller.reconcile(&name(), at(60)).await.unwrap(), Pass::Settled(Wake::OnChange));
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_argo_has_just_written_is_left_alone() {
    let api = TestApi::default();
    let controller = controller(
        &api,
        json!({
            "metadata": {
                "namespace": "web", "name": "app", "uid": "r", "resourceVersion": "7",
                "managedFields": [{"manager": "rollouts-controller", "time": "2026-11-20T10:00:00Z"}],
            },
            "spec": {},
        }),
    );
    assert_eq!(controller.reconcile(&name(), at(3)).await.unwrap(), Pass::Settled(Wake::At(at(15))));
    assert!(api.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_gone_is_forgotten() {
    let api = TestApi::default();
    let controller = controller(&api, malformed("7", &Value::Null));
    let other = ObjectName::new("web", "other");
    assert_eq!(controller.reconcile(&other, at(0)).await.unwrap(), Pass::Gone);
    assert!(api.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_api_server_is_told_in_the_rollout() {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"namespace": "web", "name": "app", "uid": "r", "resourceVersion": "7"},
        "spec": {"replicas": 1},
    });
    let api = TestApi::default().answer(200, object.clone());
    let controller = controller(&api, object);
    let api_error = |code, message: &str| {
        let status =
            kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        execute::Error::creating("app-1", kube::Error::Api(Box::new(status)))
    };
    for passing in [500, 503, 429, 401] {
        controller.refused(&name(), &api_error(passing, "later"), at(0)).await;
    }
    assert!(api.seen().is_empty());

    controller.refused(&name(), &api_error(403, "exceeded quota: pods"), at(0)).await;
    let status = &api.seen()[0].1["status"];
    assert_eq!(status["phase"], "Degraded");
    let condition = &status["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("Progressing"), &json!("False")));
    assert_eq!(condition["reason"], "ReplicaSetCreateError");
    assert_eq!(condition["message"], "failed to create ReplicaSet app-1: exceeded quota: pods");
}

/// A Rollout in the middle of an update, at a step that is measured; its ReplicaSets are as they should be.
fn measured() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "namespace": "web", "name": "app", "uid": "r", "resourceVersion": "7", "generation": 2,
            "annotations": {"rollout.argoproj.io/revision": "2"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(),
            "strategy": {"canary": {"steps": [{"analysis": {"templates": [{"templateName": "smoke"}]}}]}},
        },
        "status": {
            "currentPodHash": "new", "stableRS": "old", "currentStepIndex": 0, "observedGeneration": "2",
        },
    })
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"name": "web", "image": "web:2"}]}})
}

fn replica_set(hash: &str, revision: &str, replicas: i32) -> ReplicaSet {
    let fingerprint = operator_core::hash::fingerprint(&template()).unwrap();
    let fingerprint = if hash == "new" { fingerprint.as_str() } else { "other" };
    ReplicaSet::deserialize(json!({
        "metadata": {
            "namespace": "web", "name": format!("app-{hash}"), "uid": hash, "resourceVersion": "1",
            "creationTimestamp": "2026-11-20T09:00:00Z",
            "labels": {"app": "app", "rollouts-pod-template-hash": hash},
            "annotations": {
                "rollout.argoproj.io/revision": revision,
                "rollout.argoproj.io/desired-replicas": "1",
                "sluice.dev/template-fingerprint": fingerprint,
            },
            "ownerReferences": [
                {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "r", "controller": true},
            ],
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_created_then_recorded_and_its_verdict_aborts() {
    let created = |status: &Value| {
        json!({
            "metadata": {
                "namespace": "web", "name": "app-new-2-0", "uid": "a", "resourceVersion": "8",
                "ownerReferences": [
                    {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "r", "controller": true},
                ],
                "labels": {"rollout-type": "Step", "step-index": "0", "rollouts-pod-template-hash": "new"},
            },
            "spec": {},
            "status": status,
        })
    };
    let mut recorded = measured();
    recorded["metadata"]["resourceVersion"] = json!("9");
    recorded["status"]["canary"] = json!({"currentStepAnalysisRunStatus": {"name": "app-new-2-0"}});
    let api = TestApi::default()
        .answer(201, created(&json!({})))
        .answer(200, recorded.clone())
        .answer(200, recorded);
    let controller = controller(&api, measured());
    for set in [replica_set("new", "2", 0), replica_set("old", "1", 1)] {
        controller.stores.replica_sets.apply(Event::Apply(set));
    }
    let smoke = json!({
        "metadata": {"namespace": "web", "name": "smoke"},
        "spec": {"metrics": [{"name": "m", "provider": {"web": {"url": "http://m"}}}]},
    });
    let smoke = objects::WatchedTemplate::<crds::analysis::AnalysisTemplate>::deserialize(smoke).unwrap();
    controller.stores.templates.apply(Event::Apply(smoke.kept()));

    assert_eq!(controller.reconcile(&name(), at(0)).await.unwrap(), Pass::Moved);
    let seen = api.seen();
    let lines: Vec<&str> = seen.iter().map(|(line, _)| line.split('?').next().unwrap_or_default()).collect();
    let base = "/apis/argoproj.io/v1alpha1/namespaces/web";
    assert_eq!(lines, [format!("POST {base}/analysisruns"), format!("PATCH {base}/rollouts/app/status")]);
    assert_eq!(seen[0].1["spec"]["metrics"][0]["name"], "m");
    assert_eq!(seen[1].1["status"]["canary"]["currentStepAnalysisRunStatus"], json!({"name": "app-new-2-0"}));

    let mut failed = created(&json!({"phase": "Failed", "message": "too many errors"}));
    failed["metadata"]["resourceVersion"] = json!("10");
    controller.stores.analysis_runs.apply(Event::Apply(AnalysisRun::deserialize(failed).unwrap()));
    assert_eq!(controller.reconcile(&name(), at(5)).await.unwrap(), Pass::Moved);
    let (_, patch) = &api.seen()[2];
    assert_eq!(patch["status"]["abort"], true);
    let why = patch["status"]["message"].as_str().unwrap();
    assert!(why.ends_with("Step-based analysis phase error/failed: too many errors"), "{why}");
}

/// What an API server with Argo's definition makes of a patch of the status: another object only if something is left of
/// the patch.
fn pruned(stored: &Mutex<Value>, patch: &Value) -> Value {
    assert!(patch["status"].is_object(), "not of the status: {patch}");
    let mut stored = stored.lock().unwrap();
    let before = stored["status"].clone();
    json_patch::merge(&mut stored["status"], &patch["status"]);
    stored["status"].as_object_mut().unwrap().remove("duration");
    if let Some(canary) = stored["status"]["canary"].as_object_mut() {
        canary.remove("guard");
    }
    if stored["status"] != before {
        let version: u64 = stored["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        stored["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    }
    stored.clone()
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_drops_of_a_status_is_remembered_and_not_written_again() {
    let mut object = measured();
    object["metadata"]["annotations"]["sluice.dev/guard"] = json!(r#"{"errorRate": {}}"#);
    object["spec"]["strategy"]["canary"]["steps"] = json!([{"pause": {}}]);
    let stored = Arc::new(Mutex::new(object.clone()));
    let mut api = TestApi::default();
    for _ in 0..9 {
        let stored = stored.clone();
        api = api.answer_to(move |patch| pruned(&stored, patch));
    }
    let controller = controller(&api, object);
    for set in [replica_set("new", "2", 0), replica_set("old", "1", 1)] {
        controller.stores.replica_sets.apply(Event::Apply(set));
    }
    let mut passes = 0;
    while controller.reconcile(&name(), at(passes)).await.unwrap() == Pass::Moved {
        passes += 1;
        assert!(passes < 9, "it is written again and again: {:#?}", api.seen());
    }
    let written = api.seen();
    let status = |it: &(String, Value)| it.0.contains("/status").then(|| it.1["status"].clone());
    let written: Vec<Value> = written.iter().filter_map(status).collect();
    let has = |pointer: &str| written.iter().filter(|it| it.pointer(pointer).is_some()).count();
    assert!(has("/duration/rolloutStartedAt") > 0, "{written:#?}");
    assert!(has("/canary/guard/message") > 0, "{written:#?}");
    let memory = controller.memories().get(&name()).cloned().unwrap();
    let mut world = match observe(&controller.stores, &controller.traffic, &name(), at(passes)) {
        Observed::World(world) => world,
        other => panic!("{other:?}"),
    };
    memory.complete(&mut world);
    let known = world.rollout.status.clone().unwrap();
    assert!(known.canary.guard.is_some() && known.duration.is_some(), "{known:#?}");
    assert!(stored.lock().unwrap()["status"].get("duration").is_none(), "the API server has dropped it");
}
