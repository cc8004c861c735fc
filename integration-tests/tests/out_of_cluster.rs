//! The operator as a program outside of the cluster, beside the installed one: how Argo's users start it, and what
//! becomes of Rollouts when one of two dies or freezes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use integration_tests::{
    cluster::{Cluster, Kind, RolloutView},
    operator::{Operator, Ports},
    story::{CANARY_MAPPING, ROLLOUT, Settings, Story},
};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(90);
/// A standby acts within this time: the lease's 15 s, and what it takes to notice.
const FAIL_OVER: Duration = Duration::from_secs(20);
const SYSTEM: &str = "sluice-system";

/// A Rollout of one pod, of this instance if one is named.
fn rollout(name: &str, instance: Option<&str>) -> String {
    let labels = instance
        .map(|id| format!(", labels: {{argo-rollouts.argoproj.io/controller-instance-id: {id}}}"))
        .unwrap_or_default();
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: {name}{labels}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: 'localhost/sluice-demo:v1', args: [serve]}}]}}
  strategy: {{canary: {{}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_command_line_of_argos_users_starts_it() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-shell").await?;
    let kubeconfig = std::env::var_os("KUBECONFIG").context("KUBECONFIG is not set")?;
    let kubeconfig = kubeconfig.to_string_lossy().into_owned();
    cluster.apply(&rollout("ours", Some("shell"))).await?;
    cluster.apply(&rollout("others", Some("nobody"))).await?;
    cluster.apply(&rollout("installed", None)).await?;

    let line = ["--kubeconfig", &kubeconfig, "--controllers", "rollouts", "--instance-id", "shell"];
    let argos =
        ["--rollout-threads=5", "--rollout-resync", "60", "--qps=40", "--burst", "80", "--kloglevel=0"];
    let more = ["--leader-elect", "--loglevel=info", "--logformat=text", "--pod-namespace=it-shell"];
    let operator = Operator::start_at(Ports::DEFAULT, &[&line[..], &argos, &more].concat())?;
    operator.logs("holding the lease", LIMIT).await?;
    for name in ["ours", "installed"] {
        cluster.until_rollout(name, "healthy", LIMIT, RolloutView::healthy).await?;
    }

    ensure!(operator.log().contains(r#"flags=["--burst", "--kloglevel", "--qps"]"#), "{}", operator.log());
    assert_eq!(operator.health("/healthz").await?.trim(), "ok");
    operator.health("/readyz").await?;
    let metrics = operator.metrics().await?;
    ensure!(metrics.contains(r#"name="ours",namespace="it-shell""#), "{metrics}");
    for other in ["others", "installed"] {
        ensure!(!metrics.contains(&format!("name=\"{other}\"")), "it looks after {other}:\n{metrics}");
    }
    let others = cluster.rollout("others").await?;
    ensure!(others.phase.is_empty() && others.current_pod_hash.is_empty(), "{others:#?}");
    let sets = cluster.dynamic(Kind::ReplicaSet).list(&kube::api::ListParams::default()).await?;
    let names: Vec<_> = sets.iter().filter_map(|set| set.metadata.name.clone()).collect();
    ensure!(names.iter().all(|name| !name.starts_with("others-")), "{names:?}");

    let log = operator.stop().await?;
    ensure!(log.contains("released the lease"), "{log}");
    cluster.remove().await
}

/// Where operators of this test find the proxies' state, and whom they look after.
async fn arguments(system: &Cluster, instance: &str) -> anyhow::Result<Vec<String>> {
    let lease = system.get(Kind::Lease, "sluice-routes").await?.context("Sluice is not installed")?;
    let address = lease.metadata.annotations.unwrap_or_default().remove("sluice.dev/address");
    let address = address.context("nobody holds the lease of routes")?;
    Ok(vec![
        "--controllers=rollouts".to_owned(),
        format!("--instance-id={instance}"),
        format!("--pod-namespace={SYSTEM}"),
        format!("--traffic-server={address}"),
    ])
}

fn start(arguments: &[String]) -> anyhow::Result<Operator> {
    Operator::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The quickstart with pauses that wait for a promotion, of an instance, on a path of its own.
fn story(instance: &str) -> Settings {
    let name = format!("metadata:\n  name: {ROLLOUT}\nspec:\n  replicas: 3");
    let labels = format!("labels: {{argo-rollouts.argoproj.io/controller-instance-id: {instance}}}");
    let labelled = name.replace("\nspec", &format!("\n  {labels}\nspec"));
    Settings::quickstart(60)
        .at(&format!("/it-{instance}"))
        .with(&name, &labelled)
        .with("{duration: 60s}", "{}")
}

/// Updates, until the first pause is written: a promotion before that would promote nothing.
async fn pause_at_30(cluster: &Cluster, story: &mut Story) -> anyhow::Result<()> {
    story.update().await?;
    story.reach(30).await?;
    cluster.until_rollout(ROLLOUT, "paused", LIMIT, RolloutView::paused_at_step).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn of_two_operators_one_goes_on_when_the_other_is_killed() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-killed").await?;
    let system = cluster.elsewhere(SYSTEM);
    let arguments = arguments(&system, "killed").await?;
    let first = start(&arguments)?;
    first.logs("holding the lease", LIMIT).await?;
    let second = start(&arguments)?;
    second.logs("another process holds the lease; not acting", LIMIT).await?;
    let mut story = Story::begin(cluster.clone(), story("killed")).await?;
    pause_at_30(&cluster, &mut story).await?;

    first.kill().await?;
    let killed = Instant::now();
    story.promote().await?;
    second.logs("holding the lease", FAIL_OVER).await?;
    while second.writes().await? < 1.0 {
        ensure!(killed.elapsed() < FAIL_OVER, "it has the lease and does nothing:\n{}", second.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    story.reach(60).await?;
    story.promote().await?;
    story.complete().await?;

    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    second.stop().await?;
    system.delete(Kind::Lease, "argo-rollouts-controller-lock-killed").await?;
    cluster.remove().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn an_operator_that_was_frozen_writes_nothing_when_it_wakes_up() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-frozen").await?;
    let system = cluster.elsewhere(SYSTEM);
    let arguments = arguments(&system, "frozen").await?;
    let first = start(&arguments)?;
    first.logs("holding the lease", LIMIT).await?;
    let second = start(&arguments)?;
    second.logs("another process holds the lease; not acting", LIMIT).await?;
    let mut story = Story::begin(cluster.clone(), story("frozen")).await?;
    pause_at_30(&cluster, &mut story).await?;
    // What it still had to write is written.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let wrote = first.writes().await?;

    first.freeze()?;
    second.logs("holding the lease", FAIL_OVER).await?;
    story.promote().await?;
    story.reach(60).await?;
    first.thaw()?;
    // It finds a promotion to be done that the other has done, and a lease that it has lost without noticing.
    story.promote().await?;
    story.complete().await?;
    first.logs("another process holds the lease; not acting", LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let wrote_since = first.writes().await? - wrote;
    ensure!(wrote_since < 1.0, "it wrote {wrote_since} times without the lease:\n{}", first.log());

    ensure!(cluster.get(Kind::Mapping, CANARY_MAPPING).await?.is_none(), "the canary Mapping is left");
    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    first.stop().await?;
    second.stop().await?;
    system.delete(Kind::Lease, "argo-rollouts-controller-lock-frozen").await?;
    cluster.remove().await
}
