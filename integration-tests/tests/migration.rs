//! Objects under Argo's CRDs: they keep their hashes under ours, and what Argo's drop of them is told. A CRD of the whole
//! cluster is changed for a moment: run these alone, one after the other.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use crds::rollout::OwnField;
use integration_tests::cluster::{Cluster, Kind};
use operator_core::hash;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

const LIMIT: Duration = Duration::from_mins(1);

/// The definition of Rollouts.
const DEFINITION: &str = "rollouts.argoproj.io";

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

/// Ours without the fields that Argo's does not have.
fn without_own_fields() -> Value {
    let mut definition = crds::definition::all()["argoproj.io_rollouts.yaml"].clone();
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for path in
        OwnField::ALL.map(OwnField::path).into_iter().chain(["status.canary.guard", "status.duration"])
    {
        let (parent, field) = path.rsplit_once('.').unwrap_or_default();
        let parent = format!("/properties/{}", parent.replace('.', "/properties/"));
        let properties = schema.pointer_mut(&parent).and_then(|it| it["properties"].as_object_mut());
        let removed = properties.and_then(|it| it.remove(field));
        assert!(removed.is_some(), "our definition has no {path}");
    }
    definition
}

/// Does something while the API server serves this definition of Rollouts. Ours comes back whatever happens.
async fn under<T>(
    cluster: &Cluster,
    definition: &Value,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let ours: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../charts/sluice/crds/argoproj.io_rollouts.yaml"].iter().collect();
    let ours = std::fs::read_to_string(ours)?;
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl(cluster.name(), &apply, &definition.to_string()).await?;
    let done = work.await;
    kubectl(cluster.name(), &apply, &ours).await?;
    done
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

    let before = under(&cluster, &with_argos_facts_only(), async {
        kubectl(namespace, &["apply", "-f", "-"], ROLLOUT).await?;
        stored(&cluster).await
    })
    .await?;

    assert_eq!(stored(&cluster).await?, before, "read under our CRD");
    kubectl(namespace, &["apply", "-f", "-"], ROLLOUT).await?;
    assert_eq!(stored(&cluster).await?.0, before.0, "applied again by the client");
    kubectl(namespace, &["apply", "--server-side", "--force-conflicts", "-f", "-"], ROLLOUT).await?;
    assert_eq!(stored(&cluster).await?.0, before.0, "applied again by the server");
    cluster.remove().await
}

/// Waits for an event on the definition.
async fn told(cluster: &Cluster, event: &str) -> anyhow::Result<()> {
    let everywhere = cluster.elsewhere("default");
    let told = || async {
        let events = everywhere.events(DEFINITION).await?;
        Ok(events.iter().any(|it| it.starts_with(event)).then_some(()))
    };
    cluster.until(&format!("{event:?} is told of the definition"), LIMIT, told).await
}

/// Waits until the Rollout has, or has not, the condition that fields are missing.
async fn until_missing(cluster: &Cluster, field: Option<&str>) -> anyhow::Result<()> {
    let seen = || async {
        let rollout = cluster.get(Kind::Rollout, "guarded").await?.context("the Rollout is gone")?;
        let conditions = rollout.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions.into_iter().find(|it| it["type"] == "FieldsPruned");
        let message = condition.as_ref().map(|it| it["message"].as_str().unwrap_or_default());
        let is_observed = rollout.data["status"]["observedGeneration"].is_string();
        let as_wanted = match (message, field) {
            (Some(message), Some(field)) => message.contains(field),
            (None, None) => is_observed,
            (Some(_), None) | (None, Some(_)) => false,
        };
        Ok(as_wanted.then_some(()))
    };
    cluster.until(&format!("the Rollout lacks {field:?}"), LIMIT, seen).await
}

/// A Rollout that has nothing to do, with a field of our own.
const GUARDED: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: guarded}
spec:
  replicas: 0
  selector: {matchLabels: {app: guarded}}
  strategy: {canary: {guard: {errorRate: {}}}}
  template:
    metadata: {labels: {app: guarded}}
    spec: {containers: [{name: app, image: 'localhost/sluice-demo:v1'}]}
";

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn fields_that_a_definition_drops_are_told_until_they_are_applied_again() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-pruned").await?;
    let about = format!("involvedObject.name={DEFINITION}");
    kubectl("default", &["delete", "events", "--field-selector", &about], "").await?;

    under(&cluster, &without_own_fields(), async {
        told(&cluster, "FieldsPruned ").await?;
        kubectl(cluster.name(), &["apply", "--validate=ignore", "-f", "-"], GUARDED).await?;
        until_missing(&cluster, Some("spec.strategy.canary.guard")).await
    })
    .await?;

    told(&cluster, "FieldsKept ").await?;
    until_missing(&cluster, Some("spec.strategy.canary.guard")).await?;
    kubectl(cluster.name(), &["apply", "-f", "-"], GUARDED).await?;
    until_missing(&cluster, None).await?;
    let rollout = cluster.get(Kind::Rollout, "guarded").await?.context("the Rollout is gone")?;
    ensure!(rollout.data["spec"]["strategy"]["canary"]["guard"].is_object(), "{rollout:#?}");
    cluster.remove().await
}
