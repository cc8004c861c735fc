//! Analyses on a real cluster: what the proxies count, and the examples that ask a real Prometheus.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use integration_tests::{
    cluster::{Cluster, Kind, Load, RolloutView},
    prometheus::Prometheus,
};
use kube::api::{DynamicObject, GroupVersionKind, ListParams};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(150);

const TEMPLATES: &str = include_str!("../../examples/analysis/prometheus/templates.yaml");
const SERVICES: &str = include_str!("../../examples/analysis/prometheus/services.yaml");
const MAPPING: &str = include_str!("../../examples/analysis/prometheus/mapping.yaml");

/// A Rollout of the examples in a namespace of its own, with v1 stable and requests on their way.
struct Judged {
    cluster: Cluster,
    load: Load,
    /// Ends with the test.
    _prometheus: Prometheus,
}

impl Judged {
    async fn begin(namespace: &str, rollout: &str) -> anyhow::Result<Self> {
        let cluster = Cluster::fresh_namespace(namespace).await?;
        let prometheus = Prometheus::start(&cluster.elsewhere("sluice-system")).await?;
        let templates = TEMPLATES.replace("http://prometheus.monitoring:9090", &prometheus.url());
        // The template for all namespaces is each test's own: another one has another Prometheus.
        let own = |text: &str| text.replace("sluice-example-latency", &format!("{namespace}-latency"));
        let path = format!("/{namespace}");
        cluster.apply(&own(&templates)).await?;
        cluster.apply(SERVICES).await?;
        cluster.apply(&MAPPING.replace("/analysis-prometheus", &path)).await?;
        cluster.apply(&own(rollout)).await?;
        cluster.until_rollout("someapp", "healthy with v1", LIMIT, RolloutView::healthy).await?;
        let load = cluster.load(&format!("http://sluice-proxy.sluice-system{path}/"), 50, 4).await?;
        Ok(Self { cluster, load, _prometheus: prometheus })
    }

    async fn update(&self, tag: &str) -> anyhow::Result<()> {
        let before = self.cluster.rollout("someapp").await?.current_pod_hash;
        self.cluster.set_image("someapp", tag).await?;
        let seen = |view: &RolloutView| view.current_pod_hash != before;
        self.cluster.until_rollout("someapp", "on its way", LIMIT, seen).await.map(drop)
    }

    async fn until(&self, what: &str, done: impl Fn(&RolloutView) -> bool) -> anyhow::Result<RolloutView> {
        self.cluster.until_rollout("someapp", what, LIMIT, done).await
    }

    /// The runs of this type for the newest version.
    async fn runs(&self, kind: &str) -> anyhow::Result<Vec<DynamicObject>> {
        let hash = self.cluster.rollout("someapp").await?.current_pod_hash;
        let labels = format!("rollout-type={kind},rollouts-pod-template-hash={hash}");
        let runs = self.cluster.dynamic(Kind::AnalysisRun).list(&ListParams::default().labels(&labels)).await;
        Ok(runs.context("failed to list AnalysisRuns")?.items)
    }

    /// Waits until the run of this type has this phase, and gives it.
    async fn run(&self, kind: &str, phase: &str) -> anyhow::Result<Value> {
        let ended = || async {
            let found = self.runs(kind).await?.into_iter().map(|run| run.data);
            Ok(found.into_iter().find(|data| data["status"]["phase"] == phase))
        };
        self.cluster.until(&format!("a run of type {kind} is {phase}"), LIMIT, ended).await
    }

    async fn end(self) -> anyhow::Result<()> {
        let tally = self.load.stop().await?;
        ensure!(tally.lost() == 0, "requests were lost: {tally:#?}");
        self.cluster
            .delete_of_all(
                &GroupVersionKind::gvk("argoproj.io", "v1alpha1", "ClusterAnalysisTemplate"),
                &format!("{}-latency", self.cluster.name()),
            )
            .await?;
        self.cluster.remove().await
    }
}

/// What was measured of a metric, as texts.
fn values(run: &Value, metric: &str) -> Vec<String> {
    let results = run["status"]["metricResults"].as_array().cloned().unwrap_or_default();
    let result = results.into_iter().find(|it| it["name"] == metric).unwrap_or_default();
    let measurements = result["measurements"].as_array().cloned().unwrap_or_default();
    measurements.iter().filter_map(|it| it["value"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn prometheus_judges_a_canary_beside_its_steps_and_in_one() -> anyhow::Result<()> {
    let rollout = include_str!("../../examples/analysis/prometheus/canary.yaml");
    let judged = Judged::begin("it-analysis-canary", rollout).await?;

    judged.update("bad").await?;
    let view = judged.until("aborted", |view| view.abort).await?;
    ensure!(view.message.contains("failed"), "{view:#?}");
    judged.update("v2").await?;
    judged.until("healthy with v2", RolloutView::healthy).await?;

    let step = judged.run("Step", "Successful").await?;
    // A list of one number, which is all of the requests.
    let measured = values(&step, "success-rate");
    assert_eq!(measured.last().map(String::as_str), Some("[1]"), "{step:#}");
    let query = step["status"]["metricResults"][0]["metadata"]["ResolvedPrometheusQuery"].as_str();
    let hash = judged.cluster.rollout("someapp").await?.current_pod_hash;
    ensure!(query.is_some_and(|query| query.contains(&hash)), "{step:#}");
    // The latency has failed, and does not count.
    ensure!(step["status"]["dryRunSummary"]["failed"].as_i64() > Some(0), "{step:#}");
    judged.run("Background", "Successful").await?;
    judged.end().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn what_prometheus_leaves_open_is_for_the_user_to_decide() -> anyhow::Result<()> {
    let rollout = include_str!("../../examples/analysis/prometheus/in-doubt.yaml");
    let judged = Judged::begin("it-analysis-doubt", rollout).await?;
    let waits =
        |view: &RolloutView| view.pause_conditions.iter().any(|it| it.reason == "InconclusiveAnalysisRun");
    judged.update("bad").await?;
    judged.until("paused for a decision", waits).await?;
    let run = judged.run("Step", "Inconclusive").await?;
    ensure!(!values(&run, "error-rate").is_empty(), "{run:#}");
    let abort = json!({"status": {"abort": true}});
    judged.cluster.merge_status(Kind::Rollout, "someapp", &abort).await?;
    judged.until("aborted", |view| view.abort && view.phase == "Degraded").await?;
    judged.update("v2").await?;
    judged.until("healthy with v2", RolloutView::healthy).await?;
    judged.end().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_job_judges_before_the_switch_and_prometheus_after_it() -> anyhow::Result<()> {
    let rollout = include_str!("../../examples/analysis/prometheus/blue-green.yaml");
    let judged = Judged::begin("it-analysis-switch", rollout).await?;
    judged.update("bad").await?;
    judged.until("aborted before the switch", |view| view.abort).await?;
    judged.run("PrePromotion", "Failed").await?;
    ensure!(judged.runs("PostPromotion").await?.is_empty(), "the bad version was switched to");

    judged.update("v2").await?;
    judged.until("healthy with v2", RolloutView::healthy).await?;
    judged.run("PrePromotion", "Successful").await?;
    let after = judged.run("PostPromotion", "Successful").await?;
    assert_eq!(values(&after, "success-rate").last().map(String::as_str), Some("[1]"), "{after:#}");
    judged.end().await
}

/// A template that asks the proxies for the errors of a version: each value is good, and none is an error.
fn errors_of(of: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": format!("errors-of-{of}")},
        "spec": {"metrics": [
            {
                "name": "errors", "initialDelay": "5s", "interval": "2s", "count": 5,
                "successCondition": "isNaN(result) || result < 0.1",
                "provider": {"sluice": {"errorRate": {}, "of": of, "window": "10s"}},
            },
            {
                "name": "latency", "initialDelay": "5s",
                "successCondition": "result > 0 && result < 5",
                "provider": {"sluice": {"latency": {"quantile": 0.9}, "of": of, "window": "10s"}},
            },
            {
                "name": "rate", "initialDelay": "5s",
                "successCondition": "result > 1",
                "provider": {"plugin": {"sluice": {"requestRate": {}, "of": of, "window": "10s"}}},
            },
        ]},
    })
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_proxies_own_counts_judge_a_canary() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-analysis-counts").await?;
    for of in ["canary", "stable"] {
        cluster.apply(&errors_of(of).to_string()).await?;
    }
    cluster.apply(SERVICES).await?;
    cluster.apply(&MAPPING.replace("/analysis-prometheus", "/it-analysis-counts")).await?;
    let mut rollout: Value =
        serde_saphyr::from_str(include_str!("../../examples/analysis/prometheus/in-doubt.yaml"))?;
    let templates = json!([{"templateName": "errors-of-canary"}]);
    let of_stable = json!([{"templateName": "errors-of-stable"}]);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([
        {"setWeight": 50}, {"analysis": {"templates": templates}}, {"analysis": {"templates": of_stable}},
    ]);
    cluster.apply(&rollout.to_string()).await?;
    cluster.until_rollout("someapp", "healthy with v1", LIMIT, RolloutView::healthy).await?;
    let load = cluster.load("http://sluice-proxy.sluice-system/it-analysis-counts/", 50, 4).await?;

    cluster.set_image("someapp", "bad").await?;
    let view = cluster.until_rollout("someapp", "aborted", LIMIT, |view| view.abort).await?;
    ensure!(view.message.contains("\"errors\" assessed Failed"), "{view:#?}");
    cluster.set_image("someapp", "v2").await?;
    let updated = |it: &RolloutView| it.healthy() && it.stable_rs != view.stable_rs;
    cluster.until_rollout("someapp", "healthy with v2", LIMIT, updated).await?;
    let tally = load.stop().await?;
    ensure!(tally.lost() == 0, "requests were lost: {tally:#?}");
    cluster.remove().await
}
