//! The Gateway that is measured, and who serves it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use kube::api::DynamicObject;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Kind},
    probe::{Probe, resident_bytes},
    scrape::Scrape,
};

/// The port of the proxies that stands for port 80 of a Gateway.
const HTTP: u16 = 64_512 + 80;
/// Where proxies of Gateways and the operator tell of themselves.
const PROXY_METRICS: u16 = 64_512;
const OPERATOR_METRICS: u16 = 8090;
/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(5);

/// A Gateway whose proxies are up.
#[derive(Debug)]
pub struct Edge {
    cluster: Cluster,
    name: String,
    /// Of its proxies.
    proxies: Vec<IpAddr>,
    /// Of the operator.
    operators: Vec<IpAddr>,
}

/// What operator and proxies have used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// Resident memory of the largest operator, in bytes.
    pub operator_bytes: u64,
    /// Resident memory of the largest proxy, in bytes.
    pub proxy_bytes: u64,
    /// Processor time of all operators since their start, in seconds.
    pub operator_cpu: f64,
    /// Processor time of all proxies since their start, in seconds.
    pub proxy_cpu: f64,
}

impl Edge {
    /// Waits until the Gateway of this name is programmed.
    ///
    /// # Errors
    /// If it is not within five minutes.
    pub async fn wait(cluster: Cluster, name: &str, system: &str) -> anyhow::Result<Self> {
        let end = Instant::now() + LIMIT;
        while !cluster.get(Kind::Gateway, name).await?.is_some_and(|gateway| programmed(&gateway)) {
            ensure!(Instant::now() < end, "waited in vain for the Gateway {name}: is Gateway API installed?");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let labels = format!("gateway.networking.k8s.io/gateway-name={name}");
        let proxies = cluster.pod_addresses(&labels).await?;
        let system = cluster.elsewhere(system);
        let operators = system.pod_addresses("app.kubernetes.io/component=operator").await?;
        Ok(Self { cluster, name: name.to_owned(), proxies, operators })
    }

    /// One connection to each proxy.
    #[must_use]
    pub fn probes(&self, host: &str, path: &str) -> Vec<Probe> {
        let probe = |address: &IpAddr| Probe::at(SocketAddr::new(*address, HTTP), host, path);
        self.proxies.iter().map(probe).collect()
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

    /// What operator and proxies use.
    ///
    /// # Errors
    /// If one does not answer.
    pub async fn footprint(&self) -> anyhow::Result<Footprint> {
        let mut footprint = Footprint::default();
        for operator in &self.operators {
            let address = SocketAddr::new(*operator, OPERATOR_METRICS);
            footprint.operator_bytes = footprint.operator_bytes.max(resident_bytes(address).await?);
            footprint.operator_cpu += cpu_seconds(address).await?;
        }
        for proxy in &self.proxies {
            let address = SocketAddr::new(*proxy, PROXY_METRICS);
            footprint.proxy_bytes = footprint.proxy_bytes.max(resident_bytes(address).await?);
            footprint.proxy_cpu += cpu_seconds(address).await?;
        }
        Ok(footprint)
    }
}

async fn cpu_seconds(address: SocketAddr) -> anyhow::Result<f64> {
    Ok(Scrape::of(address, &["process_cpu_seconds_total"]).await?.sum("process_cpu_seconds_total", &[]))
}

fn programmed(gateway: &DynamicObject) -> bool {
    let conditions = gateway.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|it| it["type"] == "Programmed" && it["status"] == "True")
}
