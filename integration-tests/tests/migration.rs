//! Objects that lived under Argo's CRDs keep their hashes under ours. It changes a CRD of the whole cluster for a
//! moment: run it alone.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, ensure};
use integration_tests::cluster::{Cluster, Kind};
use operator_core::hash;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Every place of a pod template at which the API server adds something, left for it to add.
const ROLLOUT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: migrated}
spec:
  replicas: 0
  selector: {matchLabels: {app: migrated}}
  strategy: {canary: {}}
  template:
    metadata: {labels: {app: migrated}}
    spec:
      imagePullSecrets: [{}]
      initContainers:
        - name: init
          image: localhost/sluice-demo:v1
          ports: [{containerPort: 9000}]
      containers:
        - name: app
          image: localhost/sluice-demo:v1
          ports: [{name: http, containerPort: 8080}, {containerPort: 8080, protocol: UDP}]
          env:
            - {name: A, valueFrom: {configMapKeyRef: {key: a}}}
            - {name: B, valueFrom: {secretKeyRef: {key: b, optional: true}}}
          envFrom: [{configMapRef: {}}, {secretRef: {name: x}}]
          livenessProbe: {grpc: {port: 8080}}
          resources: {limits: {cpu: "0.50", memory: 1048576}}
"#;

/// The definition with what Argo's schema does to an object, and nothing of ours.
fn with_argos_facts_only() -> Value {
    let mut definition = crds::definition::all()["argoproj.io_rollouts.yaml"].clone();
    let keep = |properties: Value| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": properties});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({
        "type": "object",
        "properties": {
            "spec": keep(json!({"template": crds::schema::pod_template::schema()})),
            "status": keep(json!({})),
        },
    });
    definition
}

async fn kubectl(namespace: &str, arguments: &[&str], input: &str) -> anyhow::Result<()> {
    let mut child = Command::new("kubectl")
        .args(["--namespace", namespace])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("failed to start kubectl")?;
    child.stdin.take().context("kubectl has no input")?.write_all(input.as_bytes()).await?;
    ensure!(child.wait().await?.success(), "kubectl {arguments:?} failed");
    Ok(())
}

/// Hash and generation of the stored Rollout.
async fn stored(cluster: &Cluster) -> anyhow::Result<(String, Option<i64>)> {
    let rollout = cluster.get(Kind::Rollout, "migrated").await?.context("the Rollout is gone")?;
    let hash = hash::pod_template_hash(&rollout.data["spec"]["template"], None)?;
    Ok((hash.to_string(), rollout.metadata.generation))
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn a_rollout_from_argos_crd_keeps_its_hash_when_applied_again_under_ours() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-migration").await?;
    let namespace = cluster.name();
    let ours: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../charts/sluice/crds/argoproj.io_rollouts.yaml"].iter().collect();
    let ours = std::fs::read_to_string(ours)?;
    let apply_crd = ["apply", "--server-side", "--force-conflicts", "-f", "-"];

    kubectl(namespace, &apply_crd, &with_argos_facts_only().to_string()).await?;
    let applied = kubectl(namespace, &["apply", "-f", "-"], ROLLOUT).await;
    let before = stored(&cluster).await;
    // Ours comes back whatever happened.
    kubectl(namespace, &apply_crd, &ours).await?;
    applied?;
    let before = before?;

    assert_eq!(stored(&cluster).await?, before, "read under our CRD");
    kubectl(namespace, &["apply", "-f", "-"], ROLLOUT).await?;
    assert_eq!(stored(&cluster).await?.0, before.0, "applied again by the client");
    kubectl(namespace, &["apply", "--server-side", "--force-conflicts", "-f", "-"], ROLLOUT).await?;
    assert_eq!(stored(&cluster).await?.0, before.0, "applied again by the server");
    cluster.remove().await
}
