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
    let executor = Executor::new(api.client(), stores.clone(), tenure, mappings, recorder.clone());
    Controller { stores, traffic: Arc::new(TrafficStore::not_configured()), executor, recorder, metrics }
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
