//! Whole passes against an API server with a script, and many runs at once against one that keeps them.

mod crowd;

use std::time::Duration;

use kube::runtime::watcher;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::{providers::Asking, *};
use crate::{
    events,
    lease::{Epoch, Tenure},
    telemetry::{self, Metrics, RolloutCounts},
    test_api::TestApi,
    traffic::TrafficStore,
};

fn controller(client: kube::Client) -> Controller {
    let stores = Arc::new(Stores::default());
    let metrics = Metrics::default();
    let (recorder, _) =
        events::recorder(client.clone(), &metrics.registry, RolloutCounts::default()).unwrap();
    let until = Instant::now() + Duration::from_mins(10);
    let (_, tenure) = watch::channel(Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until });
    let metrics = telemetry::show_runs(&metrics, tenure.clone(), stores.clone());
    let executor = Executor::new(client, tenure);
    let asking = Asking::new(None, "sluice".to_owned());
    let traffic = Arc::new(TrafficStore::not_configured());
    let measurer = Measurer { stores: stores.clone(), executor: executor.clone(), asking, traffic };
    Controller { stores, executor, measurer, recorder, metrics }
}

fn name() -> ObjectName {
    ObjectName::new("web", "run")
}

fn object(version: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"namespace": "web", "name": "run", "uid": "u-1", "resourceVersion": version},
        "spec": spec, "status": status,
    })
}

fn watched(controller: &Controller, object: Value) {
    controller.stores.runs.apply(watcher::Event::Apply(StoredRun::deserialize(object).unwrap()));
}

async fn pass(controller: &Controller) -> Pass {
    controller.reconcile(&name(), clock::now()).await.unwrap()
}

/// A run whose only metric asks a port on which nobody listens.
fn unreachable_web() -> Value {
    json!({
        "metrics": [{"name": "m", "consecutiveErrorLimit": 0, "provider": {"web": {"url": "http://127.0.0.1:1/{{args.token}}"}}}],
        "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "web"}}}],
    })
}

#[tokio::test]
async fn a_measurement_is_taken_judged_and_recorded_in_one_pass() {
    let spec = unreachable_web();
    // "127" is a secret, to see that it is nowhere.
    let api = TestApi::default()
        .answer(200, json!({"data": {"web": "MTI3"}}))
        .answer(200, object("8", &spec, &json!({"phase": "Error"})));
    let controller = controller(api.client());
    watched(&controller, object("7", &spec, &json!({})));
    assert_eq!(pass(&controller).await, Pass::Moved);
    let lines = api.lines();
    assert_eq!(
        lines,
        [
            "GET /api/v1/namespaces/web/secrets/tokens",
            "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/analysisruns/run",
        ]
    );
    let patch = &api.seen()[1].1;
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let status = &patch["status"];
    assert_eq!(status["phase"], "Error");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "Metric \"m\" assessed Error due to consecutiveErrors (1) > consecutiveErrorLimit (0)"
        )
    );
    assert!(message.contains("failed to reach *****.0.0.1"), "{message}");
    assert_eq!(status["metricResults"][0]["measurements"][0]["phase"], "Error");
    assert!(!patch.to_string().contains("127"), "{patch}");
}

#[tokio::test]
async fn proxies_are_asked_about_the_version_that_a_run_is_made_for() {
    let spec = json!({"metrics": [{"name": "errors", "consecutiveErrorLimit": 0, "provider": {"sluice": {"errorRate": {}}}}]});
    let hashes = json!({"currentPodHash": "new", "stableRS": "old"});
    let templates = json!({"templateStatuses": [{"name": "trial", "podTemplateHash": "new"}]});
    for (kind, resource, status) in
        [("Rollout", "rollouts", hashes), ("Experiment", "experiments", templates)]
    {
        let api_version = "argoproj.io/v1alpha1";
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": "shop", "uid": "r-1", "controller": true});
        let held = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"namespace": "web", "name": "shop"},
            "spec": {}, "status": status,
        });
        let api =
            TestApi::default().answer(200, held).answer(200, object("8", &spec, &json!({"phase": "Error"})));
        let controller = controller(api.client());
        let mut run = object("7", &spec, &json!({}));
        run["metadata"]["ownerReferences"] = json!([owner]);
        watched(&controller, run);
        pass(&controller).await;
        let read = format!("GET /apis/{api_version}/namespaces/web/{resource}/shop");
        assert_eq!(api.lines()[0], read);
        let measurement = &api.seen()[1].1["status"]["metricResults"][0]["measurements"][0];
        let message = measurement["message"].as_str().unwrap();
        assert!(message.starts_with("the operator was given no traffic server"), "{message}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_ends_the_run_and_says_so() {
    let spec = unreachable_web();
    for (api, why) in [
        (
            TestApi::default().refuse(404, "NotFound", "secrets \"tokens\" not found"),
            "Unable to resolve metric arguments: secrets \"tokens\" not found",
        ),
        (
            TestApi::default().answer(200, json!({"data": {"other": "MTI3"}})),
            "Unable to resolve metric arguments: key 'web' does not exist in secret 'tokens'",
        ),
    ] {
        let api = api.answer(200, object("8", &spec, &json!({"phase": "Error"})));
        let controller = controller(api.client());
        watched(&controller, object("7", &spec, &json!({})));
        pass(&controller).await;
        let status = &api.seen()[1].1["status"];
        assert_eq!((status["phase"].as_str(), status["message"].as_str()), (Some("Error"), Some(why)));
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_now_is_read_later() {
    let api = TestApi::default().refuse(503, "ServiceUnavailable", "later");
    let controller = controller(api.client());
    watched(&controller, object("7", &unreachable_web(), &json!({})));
    let failed = controller.reconcile(&name(), clock::now()).await.unwrap_err();
    assert_eq!(failed.to_string(), "failed to read a Secret");
    assert_eq!(api.lines().len(), 1);
}

fn job_run() -> Value {
    let template = json!({"spec": {"containers": [], "restartPolicy": "Never"}});
    json!({"metrics": [{"name": "smoke", "provider": {"job": {"spec": {"template": template}}}}]})
}

fn job(version: &str, conditions: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "namespace": "web", "name": "u-1.smoke.1", "uid": "j-1", "resourceVersion": version,
            "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "name": "run", "uid": "u-1", "controller": true}],
        },
        "status": {"conditions": conditions},
    })
}

fn measuring() -> Value {
    json!({
        "phase": "Running", "startedAt": "2026-11-20T10:00:00Z",
        "metricResults": [{"name": "smoke", "phase": "Running", "measurements": [{
            "phase": "Running", "startedAt": "2026-11-20T10:00:00Z", "metadata": {"job-name": "u-1.smoke.1"},
        }]}],
        "runSummary": {"count": 1}, "dryRunSummary": {},
    })
}

#[tokio::test]
async fn a_job_is_created_watched_and_its_end_recorded() {
    let spec = job_run();
    let api = TestApi::default()
        .answer(201, job("3", &json!([])))
        .answer(200, object("8", &spec, &measuring()))
        .answer(
            200,
            object(
                "9",
                &spec,
                &json!({"phase": "Successful", "metricResults": measuring()["metricResults"]}),
            ),
        );
    let controller = controller(api.client());
    watched(&controller, object("7", &spec, &json!({})));
    assert_eq!(pass(&controller).await, Pass::Moved);
    let seen = api.seen();
    assert!(seen[0].0.starts_with("POST /apis/batch/v1/namespaces/web/jobs?"));
    assert_eq!(seen[0].1["metadata"]["name"], "u-1.smoke.1");
    let measurement = &seen[1].1["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["metadata"], json!({"job-name": "u-1.smoke.1", "job-namespace": "web"}));
    assert_eq!(measurement["phase"], "Running");

    // Nothing has changed: nothing is written.
    assert_eq!(pass(&controller).await, Pass::Settled(Wake::OnChange));
    assert_eq!(api.seen().len(), 2);

    let complete = Job::deserialize(job("4", &json!([{"type": "Complete", "status": "True"}]))).unwrap();
    let changes = controller.stores.jobs.apply(watcher::Event::Apply(complete));
    assert_eq!(triggers::of_job(&changes[0]), BTreeSet::from([name()]));
    pass(&controller).await;
    let status = &api.seen()[2].1["status"];
    assert_eq!(status["phase"], "Successful");
    assert_eq!(status["metricResults"][0]["successful"], 1);
}

#[tokio::test]
async fn a_job_that_a_pass_before_has_created_is_taken_over() {
    let spec = job_run();
    let api = TestApi::default()
        .refuse(409, "AlreadyExists", "jobs.batch \"u-1.smoke.1\" already exists")
        .answer(200, job("3", &json!([])))
        .answer(200, object("8", &spec, &measuring()));
    let controller = controller(api.client());
    watched(&controller, object("7", &spec, &json!({})));
    pass(&controller).await;
    let measurement = &api.seen()[2].1["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["phase"], "Running");
}

#[tokio::test]
async fn a_run_that_is_ended_ends_its_job() {
    let mut spec = job_run();
    spec["terminate"] = json!(true);
    let api = TestApi::default()
        .answer(200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
        .answer(
            200,
            object(
                "9",
                &spec,
                &json!({"phase": "Successful", "metricResults": measuring()["metricResults"]}),
            ),
        );
    let controller = controller(api.client());
    watched(&controller, object("8", &spec, &measuring()));
    pass(&controller).await;
    let seen = api.seen();
    assert!(seen[0].0.starts_with("DELETE /apis/batch/v1/namespaces/web/jobs/u-1.smoke.1"));
    let status = &seen[1].1["status"];
    assert_eq!(
        (status["phase"].as_str(), status["message"].as_str()),
        (Some("Successful"), Some("Run Terminated"))
    );
    assert_eq!(status["metricResults"][0]["measurements"][0]["message"], "Metric Terminated");
}

#[tokio::test]
async fn a_change_of_the_spec_meanwhile_does_not_lose_a_measurement() {
    let before = json!({"metrics": [{"name": "m", "interval": "1m", "provider": {"web": {"url": "http://127.0.0.1:1/"}}}]});
    let mut after = before.clone();
    after["terminate"] = json!(true);
    let api = TestApi::default()
        .refuse(409, "Conflict", "the object has been modified")
        .answer(200, object("8", &after, &json!({})))
        .answer(200, object("9", &after, &json!({"phase": "Successful"})));
    let controller = controller(api.client());
    watched(&controller, object("7", &before, &json!({})));
    pass(&controller).await;
    let patch = &api.seen()[2].1;
    assert_eq!(patch["metadata"]["resourceVersion"], "8");
    assert_eq!(patch["status"]["message"], "Run Terminated");
    assert_eq!(patch["status"]["metricResults"][0]["error"], 1);
}

#[tokio::test]
async fn a_run_that_is_over_is_deleted_in_its_time() {
    let spec = json!({"metrics": [], "ttlStrategy": {"secondsAfterSuccess": 60}});
    let status = json!({"phase": "Successful", "completedAt": "2026-11-20T10:00:00Z"});
    let api =
        TestApi::default().answer(200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
    let controller = controller(api.client());
    watched(&controller, object("7", &spec, &status));
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let rested = controller.reconcile(&name(), at("2026-11-20T10:00:30Z")).await.unwrap();
    assert_eq!(rested, Pass::Settled(Wake::At(at("2026-11-20T10:01:00Z"))));
    assert!(api.seen().is_empty());
    controller.reconcile(&name(), at("2026-11-20T10:01:00Z")).await.unwrap();
    let (line, body) = &api.seen()[0];
    assert!(line.starts_with("DELETE /apis/argoproj.io/v1alpha1/namespaces/web/analysisruns/run"));
    assert_eq!(body["preconditions"]["uid"], "u-1");
}

#[tokio::test]
async fn a_malformed_run_ends_as_an_error_once() {
    let spec = json!({"metrics": "none"});
    let error = |version: &str| object(version, &spec, &json!({"phase": "Error"}));
    let api = TestApi::default().answer(200, error("8"));
    let controller = controller(api.client());
    watched(&controller, object("7", &spec, &json!({})));
    pass(&controller).await;
    pass(&controller).await;
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1["status"]["phase"], "Error");
    let message = seen[0].1["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("Analysis spec invalid: spec.metrics"), "{message}");
}

#[tokio::test]
async fn without_the_lease_nothing_is_written() {
    let api = TestApi::default();
    let mut controller = controller(api.client());
    let (_, tenure) = watch::channel(Tenure::Unknown);
    controller.executor = Executor::new(api.client(), tenure);
    watched(&controller, object("7", &json!({"metrics": []}), &json!({})));
    let refused = controller.reconcile(&name(), clock::now()).await.unwrap_err();
    assert!(Controller::is_stale(&refused), "{refused}");
    assert!(api.seen().is_empty());
}
