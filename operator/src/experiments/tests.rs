//! What the controller sends for an Experiment, and what it does about answers.

use std::time::Duration;

use kube::runtime::watcher::Event;
use serde::Deserialize;
use tokio::{sync::watch, time::Instant};

use super::*;
use crate::{
    events,
    lease::{Epoch, Tenure},
    rollouts::ReplicaSet,
    telemetry::{self, Metrics, RolloutCounts},
    test_api::TestApi,
};

fn controller_of(api: &TestApi) -> Controller {
    let stores = Arc::new(Stores::default());
    let metrics = Metrics::default();
    let (recorder, _) = events::recorder(api.client(), &metrics.registry, RolloutCounts::default()).unwrap();
    let until = Instant::now() + Duration::from_mins(10);
    let (_, tenure) = watch::channel(Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until });
    let metrics = telemetry::show_experiments(&metrics, tenure.clone(), stores.clone());
    let executor = Executor::without_mappings(api.client(), stores.clone(), tenure, recorder.clone());
    let traffic = Arc::new(TrafficStore::not_configured());
    Controller { stores, traffic, executor, recorder, metrics, instance_id: String::new() }
}

fn name() -> ObjectName {
    ObjectName::new("web", "trial")
}

fn spec() -> Value {
    json!({"templates": [{
        "name": "a", "service": {}, "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
        },
    }]})
}

fn experiment(version: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": {"namespace": "web", "name": "trial", "uid": "u-1", "resourceVersion": version},
        "spec": spec, "status": status,
    })
}

fn replica_set(version: &str, replicas: i32) -> Value {
    json!({
        "metadata": {
            "namespace": "web", "name": "trial-a", "uid": "s-1", "resourceVersion": version,
            "labels": {"rollouts-pod-template-hash": "abc"},
            "annotations": {"experiment.argoproj.io/name": "trial", "experiment.argoproj.io/template-name": "a"},
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "name": "trial", "uid": "u-1",
                "controller": true,
            }],
        },
        "spec": {"replicas": replicas},
    })
}

fn watched(controller: &Controller, object: Value) {
    controller.stores.experiments.apply(Event::Apply(StoredExperiment::deserialize(object).unwrap()));
}

async fn pass(controller: &Controller) -> Pass {
    controller.reconcile(&name(), clock::now()).await.unwrap()
}

#[tokio::test]
async fn a_replica_set_is_created_gets_a_service_and_is_scaled() {
    let first = json!({"phase": "Pending", "templateStatuses": [{"name": "a", "status": "Progressing"}]});
    let api = TestApi::default()
        .answer(201, replica_set("8", 0))
        .answer(200, experiment("9", &spec(), &first))
        .answer(201, json!({"metadata": {"namespace": "web", "name": "trial-a", "uid": "v-1", "resourceVersion": "10"}}))
        .answer(200, replica_set("11", 1))
        .answer(200, experiment("12", &spec(), &first));
    let controller = controller_of(&api);
    watched(&controller, experiment("7", &spec(), &Value::Null));
    assert_eq!(pass(&controller).await, Pass::Moved);
    assert_eq!(pass(&controller).await, Pass::Moved);
    assert_eq!(
        api.lines(),
        [
            "POST /apis/apps/v1/namespaces/web/replicasets",
            "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/experiments/trial",
            "POST /api/v1/namespaces/web/services",
            "PATCH /apis/apps/v1/namespaces/web/replicasets/trial-a",
            "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/experiments/trial",
        ]
    );
    let seen = api.seen();
    assert_eq!(seen[0].1["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(seen[1].1["metadata"]["resourceVersion"], "7");
    assert_eq!(seen[1].1["status"]["phase"], "Pending");
    assert_eq!(seen[2].1["spec"]["selector"], json!({"rollouts-pod-template-hash": "abc"}));
}

#[tokio::test]
async fn what_is_not_allowed_ends_it_in_the_words_of_the_api_server() {
    let why = "replicasets.apps \"trial-a\" is forbidden: exceeded quota";
    let api =
        TestApi::default().refuse(403, "Forbidden", why).answer(200, experiment("8", &spec(), &json!({})));
    let controller = controller_of(&api);
    watched(&controller, experiment("7", &spec(), &json!({"phase": "Pending"})));
    assert_eq!(pass(&controller).await, Pass::Moved);
    let status = &api.seen()[1].1["status"];
    assert_eq!(status["phase"], "Error");
    assert_eq!(status["message"], format!("Failed to create ReplicaSet for template 'a': {why}"));
}

#[tokio::test]
async fn what_may_pass_by_itself_is_tried_again() {
    let api = TestApi::default().refuse(503, "ServiceUnavailable", "later");
    let controller = controller_of(&api);
    watched(&controller, experiment("7", &spec(), &json!({"phase": "Pending"})));
    let failed = controller.reconcile(&name(), clock::now()).await.unwrap_err();
    assert_eq!(failed.to_string(), "failed to create ReplicaSet trial-a");
    assert_eq!(api.lines().len(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_at() {
    let others =
        json!({"metadata": {"namespace": "web", "name": "trial-a", "uid": "o-1", "resourceVersion": "3"}});
    let api = TestApi::default()
        .refuse(409, "AlreadyExists", "replicasets.apps \"trial-a\" already exists")
        .answer(200, others)
        .answer(200, experiment("8", &spec(), &json!({})));
    let controller = controller_of(&api);
    watched(&controller, experiment("7", &spec(), &json!({"phase": "Pending"})));
    assert!(Controller::is_stale(&controller.reconcile(&name(), clock::now()).await.unwrap_err()));
    assert_eq!(pass(&controller).await, Pass::Moved);
    let message = "Failed to create ReplicaSet for template 'a': replicasets.apps \"trial-a\" already exists";
    assert_eq!(api.seen()[2].1["status"]["message"], message);
}

#[tokio::test]
async fn a_malformed_experiment_ends_as_an_error_once() {
    let spec = json!({"templates": "none"});
    let api = TestApi::default().answer(200, experiment("8", &spec, &json!({"phase": "Error"})));
    let controller = controller_of(&api);
    watched(&controller, experiment("7", &spec, &json!({})));
    pass(&controller).await;
    pass(&controller).await;
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    let message = seen[0].1["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("Experiment spec invalid: spec.templates"), "{message}");
}

#[tokio::test]
async fn one_of_another_instance_is_left_alone() {
    let api = TestApi::default();
    let controller = controller_of(&api);
    let mut other = experiment("7", &spec(), &json!({}));
    other["metadata"]["labels"] = json!({"argo-rollouts.argoproj.io/controller-instance-id": "blue"});
    watched(&controller, other);
    assert_eq!(pass(&controller).await, Pass::Settled(Wake::OnChange));
    assert!(api.seen().is_empty());
}

#[test]
fn a_replica_set_concerns_the_experiment_that_controls_it() {
    let stores = Stores::default();
    let set = ReplicaSet::deserialize(replica_set("8", 0)).unwrap();
    let changes = stores.replica_sets.apply(Event::Apply(set));
    assert_eq!(triggers::of_replica_set(&changes[0]), BTreeSet::from([name()]));
}
