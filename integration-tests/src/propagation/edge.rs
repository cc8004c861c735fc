//! The Gateway that is measured, and who serves it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use tokio::time::Instant;

use super::{Implementation, Usage, implementation::Selection};
use crate::{
    cluster::{Cluster, Kind},
    pod::{address, is_ready},
    probe::{Probe, resident_bytes},
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(5);

/// A Gateway whose proxies are up.
#[derive(Debug)]
pub struct Edge {
    cluster: Cluster,
    name: String,
    implementation: Implementation,
    proxies: Vec<Pod>,
    operators: Vec<Pod>,
}

/// What operator and proxies have used.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// Of all operators.
    pub operators: Usage,
    /// Of all proxies.
    pub proxies: Usage,
    /// Resident memory of the largest operator's process, in bytes.
    pub operator_bytes: u64,
    /// Resident memory of the largest proxy's process, in bytes, if proxies tell it.
    pub proxy_bytes: Option<u64>,
}

impl Edge {
    /// Waits until the Gateway of this name is programmed and all of its proxies are ready. Its implementation is
    /// installed in the namespace `system`.
    ///
    /// # Errors
    /// If it is not within five minutes.
    pub async fn wait(
        cluster: Cluster,
        name: &str,
        implementation: Implementation,
        system: &str,
    ) -> anyhow::Result<Self> {
        let end = Instant::now() + LIMIT;
        while !cluster.get(Kind::Gateway, name).await?.is_some_and(|gateway| programmed(&gateway)) {
            ensure!(Instant::now() < end, "waited in vain for the Gateway {name}: is Gateway API installed?");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let proxies = ready(&cluster, &implementation.proxies(system, cluster.name(), name)).await?;
        let operators = ready(&cluster, &implementation.operators(system)).await?;
        Ok(Self { cluster, name: name.to_owned(), implementation, proxies, operators })
    }

    /// One connection to each proxy.
    #[must_use]
    pub fn probes(&self, host: &str, path: &str) -> Vec<Probe> {
        let port = self.implementation.http_port();
        let probe = |address| Probe::at(SocketAddr::new(address, port), host, path);
        self.proxies.iter().filter_map(address).map(probe).collect()
    }

    /// Waits until the only listener has this many routes. Returns how long that took.
    ///
    /// # Errors
    /// If it does not have them within five minutes.
    pub async fn attached(&self, routes: usize) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let gateway =
                self.cluster.get(Kind::Gateway, &self.name).await?.context("the Gateway is gone")?;
            let attached = &gateway.data["status"]["listeners"][0]["attachedRoutes"];
            if attached.as_u64() == u64::try_from(routes).ok() {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < LIMIT, "waited in vain for {routes} attached routes; {attached} are");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What operator and proxies use. Takes as long as kubelets take to look at them again.
    ///
    /// # Errors
    /// If one does not answer.
    pub async fn footprint(&self) -> anyhow::Result<Footprint> {
        let proxy_bytes = match self.implementation.proxy_metrics() {
            Some(port) => Some(largest(&self.proxies, port).await?),
            None => None,
        };
        Ok(Footprint {
            operators: Usage::fresh(&self.cluster, &self.operators).await?,
            proxies: Usage::fresh(&self.cluster, &self.proxies).await?,
            operator_bytes: largest(&self.operators, self.implementation.operator_metrics()).await?,
            proxy_bytes,
        })
    }
}

/// Waits until all of these pods are ready, apart from those on their way out; there has to be one.
async fn ready(cluster: &Cluster, Selection { namespace, labels }: &Selection) -> anyhow::Result<Vec<Pod>> {
    let cluster = cluster.elsewhere(namespace);
    let all = || async {
        let mut pods = cluster.pods(labels).await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(Some(pods).filter(|pods| !pods.is_empty() && pods.iter().all(is_ready)))
    };
    cluster.until(&format!("pods with {labels} are ready"), LIMIT, all).await
}

/// The resident memory of the largest process that tells it at this port, in bytes.
async fn largest(pods: &[Pod], port: u16) -> anyhow::Result<u64> {
    let mut largest = 0;
    for address in pods.iter().filter_map(address) {
        largest = largest.max(resident_bytes(SocketAddr::new(address, port)).await?);
    }
    Ok(largest)
}

fn programmed(gateway: &DynamicObject) -> bool {
    let conditions = gateway.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|it| it["type"] == "Programmed" && it["status"] == "True")
}
