//! The commands of the pages about moving, run as they stand there: `docs/migrate-from-argo.md` on a cluster where Argo
//! Rollouts has a Rollout in mid-step, the others beside routes of the controller that is left. They take Sluice's
//! controllers away for a while: run this alone.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use integration_tests::{
    argo::{self, Hashes, NAME, State},
    cluster::{Cluster, Kind, RolloutView},
    holder::Holder,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

const LIMIT: Duration = Duration::from_secs(90);
const PAGE: &str = include_str!("../../docs/migrate-from-argo.md");
const SYSTEM: &str = "sluice-system";
const ARGO: &str = "argo-rollouts";
const LEASE: &str = "argo-rollouts-controller-lock";

/// The blocks of a page that a test runs: fenced blocks of `sh` that are marked with `{test}`.
fn blocks(page: &str) -> Vec<&str> {
    let begun = page.split("```sh {test}\n").skip(1);
    begun.filter_map(|rest| rest.split("```").next()).collect()
}

/// The root of the workspace, where the page expects its reader.
fn workspace() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), ".."].iter().collect()
}

/// Runs a script as a user's shell does, and gives what it printed.
async fn shell(script: &str, environment: &[(&str, String)], input: &str) -> anyhow::Result<String> {
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", script]).current_dir(workspace()).kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start a shell")?;
    child.stdin.take().context("the shell has no input")?.write_all(input.as_bytes()).await?;
    let ended = tokio::time::timeout(Duration::from_mins(3), child.wait_with_output()).await;
    let output = ended.with_context(|| format!("this takes more than three minutes:\n{script}"))??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "failed:\n{script}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// Argo's Deployment with a program that does nothing in its place, and the lease that it holds.
async fn install_argo(argo: &Cluster) -> anyhow::Result<Holder> {
    argo.apply(
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: argo-rollouts}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: argo-rollouts}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argo-rollouts}}
    spec: {containers: [{name: argo-rollouts, image: 'localhost/sluice-demo:v1', args: [serve]}]}
",
    )
    .await?;
    let running =
        || async { Ok((!argo.pods("app.kubernetes.io/name=argo-rollouts").await?.is_empty()).then_some(())) };
    argo.until("Argo runs", LIMIT, running).await?;
    Holder::hold(argo, LEASE, "argo-rollouts-5c7f8d9b6-abcde_1f0c").await
}

async fn scale(cluster: &Cluster, deployment: &str, replicas: i64) -> anyhow::Result<()> {
    cluster.merge(Kind::Deployment, deployment, &json!({"spec": {"replicas": replicas}})).await
}

/// Runs the page: Argo's stand-in ends when the page scales it to zero.
async fn follow_the_page(argo: &Cluster, shop: &Cluster, images: &[(&str, String)]) -> anyhow::Result<()> {
    let holder = install_argo(argo).await?;
    let left = argo::leave(shop, State::Paused, Hashes::Before1_9, None).await?;
    let pods = |pods: Vec<Pod>| -> Vec<_> { pods.into_iter().filter_map(|pod| pod.metadata.uid).collect() };
    let before = pods(shop.pods("app=shop").await?);

    let [look, install, waits, crds, away, taken, check, back] = blocks(PAGE)[..] else {
        anyhow::bail!("the page has other blocks than this test knows: {:#?}", blocks(PAGE));
    };
    let seen = shell(look, images, "").await?;
    ensure!(seen.contains(ARGO) && seen.contains(LEASE) && seen.contains(shop.name()), "{seen}");
    shell(install, images, "").await?;
    shell(waits, images, "").await?;
    shell(crds, images, "").await?;
    let untouched =
        shop.get(Kind::ReplicaSet, &format!("{NAME}-{}", left.second)).await?.context("it is gone")?;
    let annotations = untouched.metadata.annotations.unwrap_or_default();
    ensure!(!annotations.contains_key("sluice.dev/template-fingerprint"), "Sluice acts beside Argo");
    let ends = async {
        let gone = || async {
            Ok(argo.pods("app.kubernetes.io/name=argo-rollouts").await?.is_empty().then_some(()))
        };
        argo.until("Argo has ended", LIMIT, gone).await?;
        drop(holder);
        Ok(())
    };
    tokio::try_join!(shell(away, images, ""), ends)?;
    shell(taken, images, "").await?;
    let listed = shell(check, images, "").await?;
    ensure!(listed.contains("Paused") && listed.contains(&left.second), "{listed}");
    ensure!(pods(shop.pods("app=shop").await?) == before, "pods were replaced");

    shop.merge_status(Kind::Rollout, NAME, &json!({"status": {"pauseConditions": null}})).await?;
    shop.until_rollout(NAME, "healthy", LIMIT, RolloutView::healthy).await?;
    shell(back, images, "").await?;
    // The old operator may still be on its way out, and without the right to change the lease it cannot give it back.
    let renewed = async || -> anyhow::Result<Value> {
        let lease = argo.get(Kind::Lease, LEASE).await?.context("the lease is gone")?;
        Ok(lease.data["spec"]["renewTime"].clone())
    };
    let left = || async {
        let before = renewed().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok((renewed().await? == before).then_some(()))
    };
    argo.until("Sluice has left the lease to Argo", LIMIT, left).await
}

/// Brings Sluice back as it was installed, with its values as input.
const RESTORE: &str = "helm upgrade sluice charts/sluice --namespace sluice-system --reset-values --values -
kubectl --namespace sluice-system rollout restart deployment/sluice-operator
kubectl --namespace sluice-system rollout status deployment/sluice-operator --timeout 120s";

/// The images that are installed, as the pages name them.
async fn images(system: &Cluster) -> anyhow::Result<Vec<(&'static str, String)>> {
    let image = async |deployment: &str| -> anyhow::Result<String> {
        let found = system.get(Kind::Deployment, deployment).await?.context("Sluice is not installed")?;
        let image = found.data["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
        Ok(image.context("it has no image")?.to_owned())
    };
    Ok(vec![
        ("OPERATOR_IMAGE", image("sluice-operator").await?),
        ("PROXY_IMAGE", image("sluice-proxy").await?),
    ])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_page_about_moving_from_argo_works_word_for_word() -> anyhow::Result<()> {
    let argo = Cluster::fresh_namespace(ARGO).await?;
    let shop = Cluster::fresh_namespace("it-moving").await?;
    let system = argo.elsewhere(SYSTEM);
    let values = shell("helm get values sluice --namespace sluice-system --output yaml", &[], "").await?;
    let images = images(&system).await?;
    scale(&system, "sluice-operator", 0).await?;
    let none =
        || async { Ok(system.pods("app.kubernetes.io/component=operator").await?.is_empty().then_some(())) };
    system.until("no operator runs", LIMIT, none).await?;

    let followed = follow_the_page(&argo, &shop, &images).await;
    // Whatever came of it: others count on the Sluice that was installed, and it must not find Argo's lease.
    argo.delete(Kind::Lease, LEASE).await?;
    let restored = shell(RESTORE, &[], &values).await;
    followed?;
    restored?;
    shop.remove().await?;
    argo.remove().await
}

/// An application behind the Service `web`, and a route to it.
const ROUTED: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'localhost/sluice-demo:v1', args: [serve]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
";

/// Runs every block of a page about routes; the last asks for `path`. What is installed is as before afterwards.
async fn follow_routes(page: &str, namespace: &str, route: &str, path: &str) -> anyhow::Result<Vec<String>> {
    let cluster = Cluster::fresh_namespace(namespace).await?;
    cluster.apply(&format!("{ROUTED}{route}")).await?;
    let values = shell("helm get values sluice --namespace sluice-system --output yaml", &[], "").await?;
    let environment =
        [images(&cluster.elsewhere(SYSTEM)).await?, vec![("ASKED_PATH", path.to_owned())]].concat();
    let mut printed = Vec::new();
    let mut failed = None;
    for block in blocks(page) {
        match shell(block, &environment, "").await {
            Ok(text) => printed.push(text),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let restored = shell(RESTORE, &[], &values).await;
    failed.map_or(Ok(()), Err)?;
    restored?;
    cluster.remove().await?;
    Ok(printed)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_page_about_moving_from_emissary_works_word_for_word() -> anyhow::Result<()> {
    let route = "apiVersion: getambassador.io/v2
kind: Mapping
metadata: {name: web}
spec: {prefix: /it-from-emissary/, service: web}
";
    let page = include_str!("../../docs/migrate-from-emissary.md");
    let printed = follow_routes(page, "it-from-emissary", route, "/it-from-emissary/").await?;
    ensure!(printed.last().is_some_and(|text| text.contains("v1 from ")), "{printed:#?}");
    let listed = printed.iter().any(|text| text.contains("it-from-emissary") && text.contains("Running"));
    ensure!(listed, "the Mapping does not say that it is served: {printed:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_page_about_moving_from_ingress_nginx_works_word_for_word() -> anyhow::Result<()> {
    let route = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /, nginx.ingress.kubernetes.io/limit-rps: '5'}
spec:
  ingressClassName: it-nginx
  rules:
    - http:
        paths:
          - {path: /it-from-nginx, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
";
    let class = "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: it-nginx}
spec: {controller: k8s.io/ingress-nginx}
";
    shell("kubectl apply --filename -", &[], class).await?;
    let page = include_str!("../../docs/migrate-from-ingress-nginx.md");
    let printed = follow_routes(page, "it-from-nginx", route, "/it-from-nginx").await;
    shell("kubectl delete ingressclass it-nginx", &[], "").await?;
    let printed = printed?;
    ensure!(printed.last().is_some_and(|text| text.contains("v1 from ")), "{printed:#?}");
    Ok(())
}

#[test]
fn blocks_of_a_page_are_found() {
    let page = "a\n```sh {test}\none\n```\nb\n```\nnot this\n```\n```sh {test}\ntwo\n```\n";

    assert_eq!(blocks(page), ["one\n", "two\n"]);
}
