//! What pods use, as the kubelets count it: in the same way for every program, whatever it tells of itself.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tokio::time::Instant;

use crate::cluster::Cluster;

/// Kubelets look at a pod every ten to fifteen seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// What one pod has used, with all of its containers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at: DateTime<Utc>,
    /// Without the pages of files, such as the text of programs.
    anonymous_bytes: u64,
    /// Since its start, in seconds.
    cpu: f64,
}

/// What some pods have used, by their UIDs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage(BTreeMap<String, Sample>);

impl Usage {
    /// Waits until the kubelets have looked at each of the pods anew, so that nothing is told that was before.
    ///
    /// # Errors
    /// If they have not within a minute, or do not know a pod.
    pub async fn fresh(cluster: &Cluster, pods: &[Pod]) -> anyhow::Result<Self> {
        let (begun, earlier) = (Instant::now(), Self::read(cluster, pods).await?);
        loop {
            let usage = Self::read(cluster, pods).await?;
            if usage.is_after(&earlier) {
                return Ok(usage);
            }
            ensure!(begun.elapsed() < LIMIT, "waited in vain for kubelets to look at pods");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The memory of the largest pod that is not backed by a file, in bytes.
    #[must_use]
    pub fn largest_anonymous_bytes(&self) -> u64 {
        self.0.values().map(|it| it.anonymous_bytes).max().unwrap_or_default()
    }

    /// How many cores all of them have used together since `earlier`.
    #[must_use]
    pub fn cores_since(&self, earlier: &Self) -> f64 {
        let cores = |(uid, now): (&String, &Sample)| {
            let before = earlier.0.get(uid)?;
            let seconds = (now.at - before.at).as_seconds_f64();
            (seconds > 0.0).then(|| (now.cpu - before.cpu) / seconds)
        };
        self.0.iter().filter_map(cores).sum()
    }

    fn is_after(&self, earlier: &Self) -> bool {
        self.0.iter().all(|(uid, now)| earlier.0.get(uid).is_none_or(|before| now.at > before.at))
    }

    async fn read(cluster: &Cluster, pods: &[Pod]) -> anyhow::Result<Self> {
        let mut samples = BTreeMap::new();
        let node = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
        let nodes: std::collections::BTreeSet<_> = pods.iter().filter_map(node).collect();
        for node in nodes {
            let path = format!("/api/v1/nodes/{node}/proxy/stats/summary?only_cpu_and_memory=true");
            let summary: Summary = cluster.raw(&path).await?;
            samples.extend(summary.pods.into_iter().filter_map(PodStats::sample));
        }
        let of = |pod: &Pod| {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let sample = samples.get(&uid).copied();
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            sample.map(|sample| (uid, sample)).with_context(|| format!("no kubelet knows what {name} uses"))
        };
        pods.iter().map(of).collect::<anyhow::Result<_>>().map(Self)
    }
}

/// The kubelet's answer, as far as it is of use.
#[derive(Debug, Deserialize)]
struct Summary {
    pods: Vec<PodStats>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: PodReference,
    cpu: Option<CpuStats>,
    memory: Option<MemoryStats>,
}

#[derive(Debug, Deserialize)]
struct PodReference {
    uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CpuStats {
    time: DateTime<Utc>,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MemoryStats {
    rss_bytes: Option<u64>,
}

impl PodStats {
    /// None for a pod that nobody has looked at yet.
    fn sample(self) -> Option<(String, Sample)> {
        let cpu = self.cpu?;
        let sample = Sample {
            at: cpu.time,
            anonymous_bytes: self.memory?.rss_bytes?,
            cpu: Duration::from_nanos(cpu.usage_core_nano_seconds?).as_secs_f64(),
        };
        Some((self.pod_ref.uid, sample))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(pods: &[(&str, &str, u64, u64)]) -> Usage {
        let pods: Vec<_> = pods
            .iter()
            .map(|(uid, time, nanoseconds, bytes)| {
                json!({
                    "podRef": {"uid": uid, "name": "a"},
                    "cpu": {"time": time, "usageCoreNanoSeconds": nanoseconds},
                    "memory": {"rssBytes": bytes, "workingSetBytes": 1},
                })
            })
            .collect();
        let summary: Summary = serde_json::from_value(json!({"node": {}, "pods": pods})).unwrap();
        Usage(summary.pods.into_iter().filter_map(PodStats::sample).collect())
    }

    #[test]
    fn cores_are_counted_between_the_samples_of_each_pod() {
        let before =
            usage(&[("a", "2026-12-01T00:00:00Z", 0, 1), ("b", "2026-12-01T00:00:05Z", 500_000_000, 1)]);
        let after = usage(&[
            ("a", "2026-12-01T00:00:10Z", 1_000_000_000, 7),
            ("b", "2026-12-01T00:00:25Z", 4_500_000_000, 5),
        ]);
        assert!((after.cores_since(&before) - 0.3).abs() < 1e-9, "{}", after.cores_since(&before));
        assert_eq!(after.largest_anonymous_bytes(), 7);
    }

    #[test]
    fn usage_is_fresh_once_each_pod_was_looked_at_again() {
        let before = usage(&[("a", "2026-12-01T00:00:00Z", 0, 1), ("b", "2026-12-01T00:00:00Z", 0, 1)]);
        let one = usage(&[("a", "2026-12-01T00:00:01Z", 0, 1), ("b", "2026-12-01T00:00:00Z", 0, 1)]);
        let both = usage(&[("a", "2026-12-01T00:00:01Z", 0, 1), ("b", "2026-12-01T00:00:02Z", 0, 1)]);
        assert!(!one.is_after(&before));
        assert!(both.is_after(&before));
    }

    #[test]
    fn a_pod_that_nobody_has_looked_at_has_no_sample() {
        let stats: PodStats = serde_json::from_value(json!({"podRef": {"uid": "a"}})).unwrap();
        assert_eq!(stats.sample(), None);
    }
}
