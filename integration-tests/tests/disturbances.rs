//! Rollouts under load while parts of Sluice come and go. They disturb every other test: run them alone.

use std::time::Duration;

use anyhow::Context as _;
use integration_tests::{
    cluster::{Cluster, Kind, RolloutView},
    story::{ROLLOUT, Settings, Story},
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;

const SYSTEM: &str = "sluice-system";
const LIMIT: Duration = Duration::from_mins(2);
/// What Sluice consists of; each is a Deployment of that name behind `sluice-`.
const PROXY: &str = "proxy";
const OPERATOR: &str = "operator";
/// The lease of Rollouts: Argo's name.
const ROLLOUT_LEASE: &str = "argo-rollouts-controller-lock";
/// What a pod of the new version may take until it is available, on a machine with few cores.
const POD_START: Duration = Duration::from_secs(10);

/// Waits until `replicas` ready pods of the newest template are all that is left of a part.
async fn rolled_out(system: &Cluster, part: &str, replicas: i64) -> anyhow::Result<()> {
    let name = format!("sluice-{part}");
    let settled = || async {
        let deployment = system.get(Kind::Deployment, &name).await?.context("Sluice is not installed")?;
        let status = &deployment.data["status"];
        // The API leaves zeros out.
        let is = |field: &str| status[field].as_i64().unwrap_or(0) == replicas;
        let counted = is("readyReplicas") && is("replicas") && is("updatedReplicas");
        let seen = status["observedGeneration"].as_i64() == deployment.metadata.generation;
        // Deployments do not count pods that are still draining.
        let pods = system.pods(&format!("app.kubernetes.io/component={part}")).await?.len();
        Ok((counted && seen && i64::try_from(pods)? == replicas).then_some(()))
    };
    system.until(&format!("{replicas} pods of {name} are ready and no others are left"), LIMIT, settled).await
}

async fn scale(system: &Cluster, part: &str, replicas: i64) -> anyhow::Result<()> {
    let patch = json!({"spec": {"replicas": replicas}});
    system.merge(Kind::Deployment, &format!("sluice-{part}"), &patch).await?;
    rolled_out(system, part, replicas).await
}

/// As `kubectl rollout restart` does.
async fn restart(system: &Cluster, part: &str) -> anyhow::Result<()> {
    let name = format!("sluice-{part}");
    let deployment = system.get(Kind::Deployment, &name).await?.context("Sluice is not installed")?;
    let replicas = deployment.data["spec"]["replicas"].as_i64().context("it has no replicas")?;
    let annotations = json!({"it.sluice/restarted-from": deployment.metadata.resource_version});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    system.merge(Kind::Deployment, &name, &patch).await?;
    rolled_out(system, part, replicas).await
}

/// Nothing lost, every share exact; the namespace goes.
async fn end_flawless(story: Story) -> anyhow::Result<()> {
    let cluster = story.cluster().clone();
    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn an_operator_killed_in_mid_step_goes_on_where_it_was() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-operator-killed").await?;
    let system = cluster.elsewhere(SYSTEM);
    let mut story = Story::begin(cluster.clone(), Settings::quickstart(15).at("/it-operator-killed")).await?;

    story.update().await?;
    story.reach(30).await?;
    for pod in system.pods("app.kubernetes.io/component=operator").await? {
        let name = pod.metadata.name.expect("a pod has a name");
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        system.api::<Pod>().delete(&name, &at_once).await?;
    }
    story.complete().await?;

    end_flawless(story).await
}

/// The operator's pod that holds a lease of Sluice's namespace, and nobody else's.
async fn holder(system: &Cluster, lease: &str) -> anyhow::Result<Option<String>> {
    let pods = system.pods(&format!("app.kubernetes.io/component={OPERATOR}")).await?;
    let lease = system.get(Kind::Lease, lease).await?.context("there is no lease")?;
    let identity = lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    let holds = |pod: &String| identity.starts_with(&format!("{pod}_"));
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).find(holds))
}

/// Kills the pod that looks after Rollouts while a step waits for the user, and promotes. Gives the time until the
/// next step shows.
async fn kill_leader(system: &Cluster, story: &mut Story) -> anyhow::Result<Duration> {
    scale(system, OPERATOR, 2).await?;
    story.update().await?;
    story.reach(30).await?;
    story.cluster().until_rollout(ROLLOUT, "paused", LIMIT, RolloutView::paused_at_step).await?;
    let leader = holder(system, ROLLOUT_LEASE).await?.context("no pod holds the lease")?;
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    system.api::<Pod>().delete(&leader, &at_once).await?;
    let killed = tokio::time::Instant::now();
    story.promote().await?;
    story.reach(60).await?;
    let took = killed.elapsed();
    let next = holder(system, ROLLOUT_LEASE).await?;
    anyhow::ensure!(next.as_ref() != Some(&leader), "{leader} holds the lease and is gone");
    Ok(took)
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_standby_goes_on_within_20_seconds_and_proxies_serve_throughout() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-standby").await?;
    let system = cluster.elsewhere(SYSTEM);
    let settings = Settings::quickstart(60).at("/it-standby").with("{duration: 60s}", "{}");
    let mut story = Story::begin(cluster.clone(), settings).await?;
    let replicas = system.pods(&format!("app.kubernetes.io/component={OPERATOR}")).await?.len();

    let took = kill_leader(&system, &mut story).await;
    // Whatever came of it: other tests count on so many.
    scale(&system, OPERATOR, i64::try_from(replicas)?).await?;
    let took = took?;
    story.promote().await?;
    story.complete().await?;

    // A pod of the new version has to start, too.
    anyhow::ensure!(took < Duration::from_secs(20) + POD_START, "it took {took:?}");
    end_flawless(story).await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_proxy_added_in_mid_step_serves_the_same_weight() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-proxy-added").await?;
    let system = cluster.elsewhere(SYSTEM);
    let mut story = Story::begin(
        cluster.clone(),
        Settings::quickstart(60).at("/it-proxy-added").with("{duration: 60s}", "{}"),
    )
    .await?;
    let proxies = i64::try_from(story.proxies())?;

    story.update().await?;
    story.reach(30).await?;
    scale(&system, PROXY, proxies + 1).await?;
    story.reach(30).await?;
    story.answered(1_000).await?;
    story.promote().await?;
    story.reach(60).await?;
    story.answered(1_000).await?;
    scale(&system, PROXY, proxies).await?;
    story.reach(60).await?;
    story.promote().await?;
    story.complete().await?;

    end_flawless(story).await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn proxies_restarted_in_mid_step_lose_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-proxies-restarted").await?;
    let system = cluster.elsewhere(SYSTEM);
    let mut story = Story::begin(
        cluster.clone(),
        Settings::quickstart(60).at("/it-proxies-restarted").with("{duration: 60s}", "{}"),
    )
    .await?;

    story.update().await?;
    story.reach(30).await?;
    restart(&system, PROXY).await?;
    story.reach(30).await?;
    story.answered(1_000).await?;
    story.promote().await?;
    story.reach(60).await?;
    story.promote().await?;
    story.complete().await?;

    end_flawless(story).await
}

/// Load for 20 seconds while nobody configures the proxies.
async fn serve_alone(system: &Cluster, story: &mut Story) -> anyhow::Result<()> {
    scale(system, OPERATOR, 0).await?;
    story.answered(4_000).await?;
    rolled_out(system, PROXY, i64::try_from(story.proxies())?).await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_fleet_without_its_operator_goes_on_serving() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-operator-away").await?;
    let system = cluster.elsewhere(SYSTEM);
    let mut story = Story::begin(cluster.clone(), Settings::quickstart(5).at("/it-operator-away")).await?;
    let replicas = system.pods(&format!("app.kubernetes.io/component={OPERATOR}")).await?.len();

    let alone = serve_alone(&system, &mut story).await;
    // Whatever came of it: others need the operator.
    scale(&system, OPERATOR, i64::try_from(replicas)?).await?;
    alone?;
    story.update().await?;
    story.complete().await?;

    end_flawless(story).await
}
