//! Rollouts under load while parts of Sluice come and go. They disturb every other test: run them alone.

use std::time::Duration;

use integration_tests::{
    cluster::{Cluster, Kind},
    story::{Settings, Story},
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;

const SYSTEM: &str = "sluice-system";
const LIMIT: Duration = Duration::from_mins(2);

async fn scale_proxies(system: &Cluster, replicas: i64) -> anyhow::Result<()> {
    system.merge(Kind::Deployment, "sluice-proxy", &json!({"spec": {"replicas": replicas}})).await?;
    let ready = || async {
        let proxies = system.get(Kind::Deployment, "sluice-proxy").await?.expect("the proxies are installed");
        let is = |field: &str| proxies.data["status"][field].as_i64() == Some(replicas);
        Ok((is("readyReplicas") && is("replicas")).then_some(()))
    };
    system.until(&format!("{replicas} proxies are ready"), LIMIT, ready).await
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

    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    cluster.remove().await
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
    scale_proxies(&system, proxies + 1).await?;
    story.reach(30).await?;
    story.answered(1_000).await?;
    story.promote().await?;
    story.reach(60).await?;
    story.answered(1_000).await?;
    scale_proxies(&system, proxies).await?;
    story.reach(60).await?;
    story.promote().await?;
    story.complete().await?;

    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    cluster.remove().await
}
