//! Rollouts that cost an API server as little as Rollouts can: without pods, which would measure others than us.

use std::sync::Arc;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Kind},
    figures::progress,
};

/// The instance whose Rollouts these are: a Sluice that is installed leaves them alone.
pub const INSTANCE: &str = "bench-scale";

/// Requests at the same time.
const CONCURRENCY: usize = 32;

/// So many Rollouts in one namespace.
#[derive(Clone, Debug)]
pub struct Fleet {
    cluster: Cluster,
    rollout: Arc<Value>,
    size: usize,
}

impl Fleet {
    /// Nothing is made yet. `yaml` is what each of them is, but for its name and its labels.
    ///
    /// # Errors
    /// If it is no YAML.
    pub fn new(cluster: Cluster, yaml: &str, size: usize) -> anyhow::Result<Self> {
        let rollout = serde_saphyr::from_str(yaml).context("failed to read the Rollout")?;
        Ok(Self { cluster, rollout: Arc::new(rollout), size })
    }

    /// Makes all of them.
    ///
    /// # Errors
    /// The first refusal of the API server.
    pub async fn create(&self) -> anyhow::Result<()> {
        self.each("Rollouts made", self.size, |fleet, index| async move {
            let mut rollout = (*fleet.rollout).clone();
            rollout["metadata"] = json!({
                "name": name(index),
                "labels": {crds::contract::INSTANCE_ID_LABEL: INSTANCE},
            });
            fleet.cluster.create(Kind::Rollout, &rollout).await
        })
        .await
    }

    /// Changes the template of the first `number` of them: each gets a new version.
    ///
    /// # Errors
    /// The first refusal of the API server.
    pub async fn change(&self, number: usize) -> anyhow::Result<()> {
        let annotations = json!({"annotations": {"bench": "changed"}});
        let patch = Arc::new(json!({"spec": {"template": {"metadata": annotations}}}));
        self.each("Rollouts changed", number, |fleet, index| {
            let patch = patch.clone();
            async move { fleet.cluster.merge(Kind::Rollout, &name(index), &patch).await }
        })
        .await
    }

    async fn each<F>(&self, what: &str, number: usize, act: impl Fn(Self, usize) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let bar = progress(number as u64, what);
        let acts = futures::stream::iter((0..number).map(|index| act(self.clone(), index)));
        acts.buffer_unordered(CONCURRENCY)
            .try_for_each(async |()| {
                bar.inc(1);
                Ok(())
            })
            .await?;
        bar.finish_and_clear();
        Ok(())
    }
}

fn name(index: usize) -> String {
    format!("app-{index}")
}
