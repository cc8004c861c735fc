//! Experiments on a real cluster: alone, and as a step that keeps a bad version from its first request.

use std::time::Duration;

use anyhow::Context as _;
use integration_tests::cluster::{Cluster, Kind, RolloutView};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(2);

/// A pod template of the demo's application, with a label of its own.
fn pods(app: &str, version: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{
            "name": "web",
            "image": format!("localhost/sluice-demo:{version}"),
            "args": ["serve"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }]},
    })
}

/// A template that sends a load to `args.url` in a Job; every answer has to be good.
fn load() -> Value {
    let load = ["load", "{{args.url}}", "--rate", "20", "--connections", "2", "--seconds", "3", "--strict"];
    let container = json!({"name": "load", "image": "localhost/sluice-demo:v1", "args": load});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "load"},
        "spec": {
            "args": [{"name": "url"}, {"name": "hash"}],
            "metrics": [{
                "name": "load",
                // Services know new pods some time after these are available.
                "initialDelay": "3s",
                "provider": {"job": {"spec": {"backoffLimit": 0, "activeDeadlineSeconds": 60, "template": template}}},
            }],
        },
    })
}

async fn phase(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let experiment = cluster.get(Kind::Experiment, name).await?.context("the Experiment is gone")?;
    Ok(experiment.data["status"]["phase"].as_str().unwrap_or_default().to_owned())
}

async fn until_phase(cluster: &Cluster, name: &str, wanted: &str) -> anyhow::Result<()> {
    let there = || async { Ok((phase(cluster, name).await? == wanted).then_some(())) };
    cluster.until(&format!("Experiment {name} is {wanted}"), LIMIT, there).await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn an_experiment_runs_judges_and_leaves_nothing_running() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-experiment").await?;
    cluster.apply(&load().to_string()).await?;
    let template = |name: &str, version: &str| {
        json!({
            "name": name, "service": {}, "selector": {"matchLabels": {"app": format!("trial-{name}")}},
            "template": pods(&format!("trial-{name}"), version),
        })
    };
    let experiment = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "trial"},
        "spec": {
            "duration": "5m",
            "scaleDownDelaySeconds": 2,
            "templates": [template("old", "v1"), template("new", "v2")],
            "analyses": [{
                "name": "load", "templateName": "load", "requiredForCompletion": true,
                "args": [
                    {"name": "url", "value": "http://trial-new:8080/"},
                    {"name": "hash", "value": "{{templates.new.podTemplateHash}}"},
                ],
            }],
        },
    });
    cluster.apply(&experiment.to_string()).await?;
    until_phase(&cluster, "trial", "Running").await?;
    let service = cluster.get(Kind::Service, "trial-new").await?.context("there is no Service")?;
    let set = cluster.get(Kind::ReplicaSet, "trial-new").await?.context("there is no ReplicaSet")?;
    let hash = &set.metadata.labels.unwrap_or_default()["rollouts-pod-template-hash"];
    assert_eq!(service.data["spec"]["selector"]["rollouts-pod-template-hash"], hash.as_str());

    until_phase(&cluster, "trial", "Successful").await?;
    let run = cluster.get(Kind::AnalysisRun, "trial-load").await?.context("there is no AnalysisRun")?;
    assert_eq!(run.data["spec"]["args"][1]["value"], hash.as_str());
    let gone = || async {
        let set = cluster.get(Kind::ReplicaSet, "trial-new").await?.context("the ReplicaSet is kept")?;
        let service = cluster.get(Kind::Service, "trial-new").await?;
        Ok((set.data["spec"]["replicas"] == 0 && service.is_none()).then_some(()))
    };
    cluster.until("pods and Services are gone", LIMIT, gone).await?;
    let events = cluster.events("trial").await?;
    for text in
        ["TemplateRunning Template 'new' transitioned from Progressing -> Running", "AnalysisRunSuccessful"]
    {
        assert!(events.iter().any(|event| event.contains(text)), "{text:?} is not among {events:#?}");
    }

    // Tried again, it runs the same pods and another run.
    cluster.merge(Kind::Experiment, "trial", &json!({"status": null})).await?;
    until_phase(&cluster, "trial", "Successful").await?;
    assert!(cluster.get(Kind::AnalysisRun, "trial-load.1").await?.is_some());
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_step_keeps_a_bad_version_from_its_first_request() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-experiment-step").await?;
    cluster.apply(&load().to_string()).await?;
    for name in ["someapp-stable", "someapp-canary"] {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "someapp"}, "ports": [{"port": 80, "targetPort": "http"}]},
        });
        cluster.apply(&service.to_string()).await?;
    }
    let step = json!({"experiment": {
        "duration": "5m",
        "scaleDownDelaySeconds": 0,
        "templates": [{"name": "new", "specRef": "canary", "service": {"name": "someapp-trial"}}],
        "analyses": [{
            "name": "load", "templateName": "load", "requiredForCompletion": true,
            "args": [{"name": "url", "value": "http://someapp-trial:8080/"}, {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}],
        }],
    }});
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "someapp"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "someapp"}},
            "template": pods("someapp", "v1"),
            "strategy": {"canary": {
                "stableService": "someapp-stable", "canaryService": "someapp-canary",
                "steps": [step, {"setWeight": 50}],
            }},
        },
    });
    cluster.apply(&rollout.to_string()).await?;
    cluster.until_rollout("someapp", "healthy", LIMIT, RolloutView::healthy).await?;

    cluster.set_image("someapp", "bad").await?;
    let aborted =
        |view: &RolloutView| view.abort && view.message.contains("Experiment analysis phase is error/failed");
    let view = cluster.until_rollout("someapp", "aborted by its Experiment", LIMIT, aborted).await?;
    let canary = cluster.get(Kind::ReplicaSet, &format!("someapp-{}", view.current_pod_hash)).await?;
    assert_eq!(canary.context("the ReplicaSet is there")?.data["spec"]["replicas"], 0);

    cluster.set_image("someapp", "v2").await?;
    let updated = |it: &RolloutView| it.healthy() && it.stable_rs != view.stable_rs;
    cluster.until_rollout("someapp", "healthy with v2", LIMIT, updated).await?;
    let events = cluster.events("someapp").await?;
    for text in [
        "ExperimentCreated Created Experiment",
        "RolloutStepCompleted Rollout step 1/2 completed (experiment)",
    ] {
        assert!(events.iter().any(|event| event.contains(text)), "{text:?} is not among {events:#?}");
    }
    cluster.remove().await
}
