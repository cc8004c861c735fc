//! Rollouts under load on a real cluster with Sluice installed, every request counted.

use std::{collections::BTreeSet, time::Duration};

use chrono::{SecondsFormat, Utc};
use integration_tests::{
    cluster::{Cluster, Kind, RolloutView},
    story::{CANARY_MAPPING, MAPPING, ROLLOUT, Report, Settings, Story},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(90);

/// Nothing lost, every share exact, and these were the weights.
fn assert_flawless(report: &Report, weights: &[u32]) {
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    let seen: Vec<u32> = report.stages.iter().map(|stage| stage.weight).collect();
    for weight in weights {
        assert!(seen.contains(weight), "weight {weight} was not seen among {seen:?}");
    }
}

/// These texts are among the events, in this order.
fn assert_in_order(events: &[String], expected: &[&str]) {
    let mut rest = events.iter();
    for text in expected {
        assert!(
            rest.any(|event| event.contains(text)),
            "{text:?} is not there, or not there in order: {events:#?}"
        );
    }
}

/// As `kubectl sluice restart` writes it.
#[expect(clippy::disallowed_methods, reason = "the test is a shell: a restart is for pods of before now")]
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn selector(cluster: &Cluster, service: &str) -> anyhow::Result<String> {
    let service = cluster.get(Kind::Service, service).await?.expect("the Service is there");
    let hash = service.data.pointer("/spec/selector/rollouts-pod-template-hash");
    Ok(hash.and_then(|hash| hash.as_str()).unwrap_or_default().to_owned())
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn requests_move_from_old_pods_to_new_ones_exactly_as_the_steps_say() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-quickstart").await?;
    let mut story = Story::begin(cluster.clone(), Settings::quickstart(6).at("/it-quickstart")).await?;
    let before = cluster.rollout(ROLLOUT).await?;

    story.update().await?;
    let scene = story.complete().await?;

    assert_ne!(scene.rollout.stable_rs, before.stable_rs);
    assert_eq!(selector(&cluster, "someapp-stable").await?, scene.rollout.stable_rs);
    let old = format!("{ROLLOUT}-{}", before.stable_rs);
    let scaled_down = || async {
        let old = cluster.get(Kind::ReplicaSet, &old).await?.expect("the old ReplicaSet is kept");
        Ok((old.data["spec"]["replicas"] == 0).then_some(()))
    };
    cluster.until("the old ReplicaSet is scaled down", LIMIT, scaled_down).await?;
    let events = cluster.events(ROLLOUT).await?;
    assert_in_order(
        &events,
        &[
            "RolloutUpdated Rollout updated to revision 2",
            "NewReplicaSetCreated Created ReplicaSet",
            "RolloutStepCompleted Rollout step 1/4 completed (setWeight: 30)",
            "RolloutPaused Rollout is paused (CanaryPauseStep)",
            "RolloutStepCompleted Rollout step 4/4 completed (pause: 6s)",
            "RolloutCompleted Rollout completed update to revision 2",
        ],
    );
    assert_flawless(&story.end().await?, &[30, 60]);
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn abort_sends_all_requests_back_to_the_old_pods() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-abort").await?;
    let settings = Settings { new_version: "bad".to_owned(), ..Settings::quickstart(60).at("/it-abort") };
    let mut story = Story::begin(cluster.clone(), settings).await?;
    let before = cluster.rollout(ROLLOUT).await?;

    story.update().await?;
    story.reach(30).await?;
    let failing = story.answered(1_000).await?;
    assert!(failing.tally.bad() > 10, "the new version does not fail: {failing:#?}");
    story.abort().await?;
    let back = story.gone_back().await?;
    let failed_by_then = back.tally.bad();
    story.answered(1_000).await?;

    assert!(
        back.rollout.message.starts_with("RolloutAborted: Rollout aborted update to revision 2"),
        "{back:#?}"
    );
    for service in ["someapp-stable", "someapp-canary"] {
        assert_eq!(selector(&cluster, service).await?, before.stable_rs, "{service}");
    }
    let report = story.end().await?;
    // Lines of the load are 200 ms apart: what failed before the abort may show in the line after it.
    assert!(report.tally.bad() <= failed_by_then + 20, "requests still went to the new version: {report:#?}");
    assert_flawless(&report, &[30]);

    cluster.merge_status(Kind::Rollout, ROLLOUT, &json!({"status": {"abort": false}})).await?;
    let retried = |view: &RolloutView| !view.abort && view.verified_weight() == Some(30);
    cluster.until_rollout(ROLLOUT, "at weight 30 again after the retry", LIMIT, retried).await?;
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_pause_without_duration_ends_with_promote() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-promote").await?;
    let settings = Settings::quickstart(60).at("/it-promote").with("- pause: {duration: 60s}", "- pause: {}");
    let mut story = Story::begin(cluster.clone(), settings).await?;

    story.update().await?;
    for weight in [30, 60] {
        story.reach(weight).await?;
        story.answered(1_000).await?;
        story.promote().await?;
    }
    story.complete().await?;

    assert_flawless(&story.end().await?, &[30, 60]);
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn every_listed_mapping_gets_a_canary_of_its_own() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-two-mappings").await?;
    let second = "apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: second-mapping, labels: {team: shop, argocd.argoproj.io/instance: gitops}}
spec: {hostname: '*', prefix: /it-second-mapping, service: 'someapp-stable:80', timeout_ms: 2000}
";
    let settings = Settings::quickstart(6).at("/it-two-mappings").with(
        "            - stable-mapping\n",
        "            - stable-mapping\n            - second-mapping\n",
    );
    cluster.apply(second).await?;
    let mut story = Story::begin(cluster.clone(), settings).await?;

    story.update().await?;
    story.reach(30).await?;
    let canary = cluster.get(Kind::Mapping, "second-mapping-canary").await?.expect("it has a canary Mapping");
    assert_eq!(canary.data["spec"]["service"], "someapp-canary:80");
    assert_eq!(canary.data["spec"]["weight"], 30);
    assert_eq!(canary.data["spec"]["timeout_ms"], 2000);
    let labels = canary.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get("team").map(String::as_str), Some("shop"));
    assert!(
        !labels.contains_key("argocd.argoproj.io/instance"),
        "a GitOps tool would take the canary for its own"
    );
    let owners = canary.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners.first().map(|owner| owner.kind.as_str()), Some("Rollout"));
    story.complete().await?;

    let gone =
        || async { Ok(cluster.get(Kind::Mapping, "second-mapping-canary").await?.is_none().then_some(())) };
    cluster.until("the second canary Mapping is gone", LIMIT, gone).await?;
    assert_flawless(&story.end().await?, &[30, 60]);
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_missing_mapping_stops_only_its_own_rollout_until_it_is_there() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-missing-mapping").await?;
    let mut story = Story::begin(cluster.clone(), Settings::quickstart(3).at("/it-missing-mapping")).await?;
    let mapping = cluster.get(Kind::Mapping, MAPPING).await?.expect("the Mapping is there");

    cluster.merge(Kind::Rollout, ROLLOUT, &mappings(&["absent"])).await?;
    story.update().await?;
    let invalid = |view: &RolloutView| view.phase == "Degraded" && view.message.starts_with("InvalidSpec: ");
    let degraded = cluster.until_rollout(ROLLOUT, "invalid", LIMIT, invalid).await?;
    assert!(degraded.message.contains("\"absent\" not found"), "{degraded:#?}");
    assert!(cluster.get(Kind::Mapping, CANARY_MAPPING).await?.is_none());
    let same = cluster.get(Kind::Mapping, MAPPING).await?.expect("the Mapping is there");
    assert_eq!(same.data["spec"], mapping.data["spec"]);
    let warned = || async {
        Ok(cluster.events(ROLLOUT).await?.iter().any(|event| event.contains("absent")).then_some(()))
    };
    cluster.until("an event names the Mapping", LIMIT, warned).await?;

    cluster.merge(Kind::Rollout, ROLLOUT, &mappings(&[MAPPING])).await?;
    story.complete().await?;

    assert_flawless(&story.end().await?, &[30, 60]);
    cluster.remove().await
}

fn mappings(names: &[&str]) -> serde_json::Value {
    json!({"spec": {"strategy": {"canary": {"trafficRouting": {"ambassador": {"mappings": names}}}}}})
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_malformed_rollout_does_not_stop_the_others() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-malformed").await?;
    // Without a template there is nothing to run; that it is missing is not the schema's to say.
    cluster
        .apply(
            "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: broken}
spec:
  selector: {matchLabels: {app: broken}}
  strategy: {canary: {steps: [{setWeight: 30}]}}
",
        )
        .await?;
    let story = Story::begin(cluster.clone(), Settings::quickstart(3).at("/it-malformed")).await?;

    let told = |view: &RolloutView| view.phase == "Degraded" && view.message.starts_with("InvalidSpec: ");
    cluster.until_rollout("broken", "told what is wrong with it", LIMIT, told).await?;

    assert_flawless(&story.end().await?, &[]);
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_rollout_without_traffic_routing_replaces_pods_step_by_step() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-basic").await?;
    cluster
        .apply(
            "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: basic}
spec:
  replicas: 4
  selector: {matchLabels: {app: basic}}
  template:
    metadata: {labels: {app: basic}}
    spec:
      containers:
        - name: basic
          image: localhost/sluice-demo:v1
          args: [serve]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
  strategy:
    canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 25}, {pause: {}}]}
",
        )
        .await?;
    cluster.until_rollout("basic", "healthy", LIMIT, RolloutView::healthy).await?;
    let running = async |version: &str| {
        let image = format!("localhost/sluice-demo:{version}");
        let pods = cluster.pods("app=basic").await?;
        let of_version = |pod: &&k8s_openapi::api::core::v1::Pod| {
            let live = pod.metadata.deletion_timestamp.is_none();
            live && pod.spec.as_ref().is_some_and(|spec| spec.containers[0].image.as_deref() == Some(&image))
        };
        anyhow::Ok(pods.iter().filter(of_version).count())
    };

    cluster.set_image("basic", "v2").await?;
    let paused = |view: &RolloutView| view.phase == "Paused";
    cluster.until_rollout("basic", "paused", LIMIT, paused).await?;
    assert_eq!((running("v1").await?, running("v2").await?), (3, 1));

    cluster.merge_status(Kind::Rollout, "basic", &json!({"status": {"pauseConditions": null}})).await?;
    cluster.until_rollout("basic", "healthy", LIMIT, RolloutView::healthy).await?;
    assert_eq!((running("v1").await?, running("v2").await?), (0, 4));

    cluster.merge(Kind::Rollout, "basic", &json!({"spec": {"replicas": 2}})).await?;
    let scaled = || async { Ok((running("v2").await? == 2).then_some(())) };
    cluster.until("there are two pods", LIMIT, scaled).await?;
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_guard_aborts_a_version_that_fails() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-guard").await?;
    let settings = Settings { new_version: "bad".to_owned(), ..Settings::quickstart(60).at("/it-guard") };
    let mut story = Story::begin(cluster.clone(), settings.guarded()).await?;

    story.update().await?;
    // Nobody aborts it, and its first pause is longer than this.
    let back = story.gone_back().await?;

    assert!(back.rollout.message.contains("Guard FAIL: "), "{back:#?}");
    let events = cluster.events(ROLLOUT).await?;
    assert_in_order(
        &events,
        &["GuardFailed FAIL: ", "RolloutAborted Rollout aborted update to revision 2: Guard FAIL"],
    );
    let failed_by_then = back.tally.bad();
    story.answered(1_000).await?;
    let report = story.end().await?;
    // Lines of the load are 200 ms apart: what failed before the abort may show in the line after it.
    assert!(report.tally.bad() <= failed_by_then + 20, "requests still went to the new version: {report:#?}");
    println!(
        "{} of {} requests failed until the canary had none",
        report.tally.bad(),
        report.tally.answered()
    );
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_guard_lets_a_good_version_pass() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-guard-good").await?;
    let settings = Settings::quickstart(6).at("/it-guard-good").guarded();
    let mut story = Story::begin(cluster.clone(), settings).await?;

    story.update().await?;
    story.complete().await?;

    let judged = |view: &RolloutView| view.healthy();
    cluster.until_rollout(ROLLOUT, "healthy, with nothing of the guard left", LIMIT, judged).await?;
    assert_flawless(&story.end().await?, &[30, 60]);
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_restart_replaces_all_pods_and_loses_no_request() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-restart").await?;
    let mut story = Story::begin(cluster.clone(), Settings::quickstart(6).at("/it-restart")).await?;
    story.answered(1_000).await?;
    let names = async || -> anyhow::Result<BTreeSet<String>> {
        Ok(cluster.pods("app=someapp").await?.into_iter().filter_map(|pod| pod.metadata.name).collect())
    };
    let before = names().await?;
    assert!(!before.is_empty(), "the app has pods");

    cluster.merge(Kind::Rollout, ROLLOUT, &json!({"spec": {"restartAt": now()}})).await?;
    let replaced = || async {
        let now = names().await?;
        let all = now.len() == before.len() && now.is_disjoint(&before);
        Ok((all && cluster.rollout(ROLLOUT).await?.healthy()).then_some(()))
    };
    cluster.until("every pod is a new one", 2 * LIMIT, replaced).await?;
    story.answered(1_000).await?;

    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    cluster.remove().await
}
