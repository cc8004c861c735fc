//! What the API server refuses and takes: the cases of `crds/tests/admission`, each as a dry run.

use std::{fmt::Debug, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use crds::{Listener, Mapping, Rollout};
use integration_tests::cluster::Cluster;
use kube::{
    Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Cases {
    base: Value,
    refused: Vec<Refused>,
    accepted: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Refused {
    says: String,
    edit: Value,
}

#[derive(Deserialize)]
struct Accepted {
    edit: Value,
}

/// Plays a file of cases on a stored object: refused edits change it, accepted ones make another one like it.
async fn check<K>(cluster: &Cluster, file: &str) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../crds/tests/admission", file].iter().collect();
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {file}"))?;
    let Cases { base, refused, accepted } =
        serde_saphyr::from_str(&text).with_context(|| format!("failed to parse {file}"))?;
    cluster.apply(&base.to_string()).await?;
    let api = cluster.api::<K>();
    let name = base["metadata"]["name"].as_str().context("the base has no name")?;

    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    for Refused { says, edit } in refused {
        let answer = api.patch(name, &dry_run, &Patch::Merge(&edit)).await.map(drop);
        let refusal = match &answer {
            Err(kube::Error::Api(status)) => status.message.as_str(),
            other => bail!("{edit} gives {other:?}, not {says:?}"),
        };
        ensure!(refusal.contains(&says), "{edit} gives {refusal:?}, not {says:?}");
    }
    let dry_run = PatchParams { dry_run: true, ..PatchParams::apply("sluice-integration-tests") };
    for Accepted { edit } in accepted {
        let mut object = base.clone();
        json_patch::merge(&mut object, &edit);
        object["metadata"] = json!({"name": format!("{name}-other")});
        let applied = api.patch(&format!("{name}-other"), &dry_run, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("{edit} was refused"))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn edits_that_can_never_work_are_refused_and_others_taken() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-admission").await?;
    check::<Rollout>(&cluster, "rollouts.yaml").await?;
    check::<Mapping>(&cluster, "mappings.yaml").await?;
    check::<Listener>(&cluster, "listeners.yaml").await?;
    cluster.remove().await
}
