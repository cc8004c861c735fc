//! A Prometheus of this machine that scrapes the cluster's proxies. Pods reach it at the machine's address on their way.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use crate::{cluster::Cluster, probe};

/// The program, as Debian's package of the same name has it.
const PROGRAM: &str = "prometheus";

/// Where proxies tell their metrics.
const METRICS_PORT: u16 = 8877;

/// How long it may take to start and to scrape every proxy once.
const LIMIT: Duration = Duration::from_mins(1);

/// A running Prometheus; it is killed when this is dropped, and what it has stored goes.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts one that looks at every proxy of `system` each second, and waits until it has seen them.
    pub async fn start(system: &Cluster) -> anyhow::Result<Self> {
        let proxies = system.pod_addresses("app.kubernetes.io/component=proxy").await?;
        let first = *proxies.first().context("there is no proxy")?;
        let address = free_port(address_towards(first)?)?;
        let folder =
            std::env::temp_dir().join(format!("sluice-prometheus-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let configuration = folder.join("prometheus.yml");
        fs::write(&configuration, scraping(&proxies)).context("failed to write the configuration")?;
        let child = Command::new(PROGRAM)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {PROGRAM}: on Debian, `apt-get install {PROGRAM}`"))?;
        let mut prometheus = Self { child, address, folder };
        prometheus.until_it_has_seen(proxies.len()).await?;
        Ok(prometheus)
    }

    /// Where the cluster's pods reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn until_it_has_seen(&mut self, proxies: usize) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().context("failed to look after Prometheus")? {
                bail!("Prometheus has ended with {status}");
            }
            let said = probe::page(self.address, "/api/v1/targets?state=active").await;
            let seen = said.as_ref().map_or(0, |text| text.matches("\"health\":\"up\"").count());
            if seen == proxies {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "waited {} s in vain until Prometheus has seen {proxies} proxies; it says {said:?}",
                LIMIT.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Kept open files are no reason to keep the folder, and a folder that stays hurts nobody.
        let _ = self.child.start_kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// This machine's address on the way to a pod: the pod reaches it by that one. No packet is sent.
fn address_towards(pod: IpAddr) -> anyhow::Result<IpAddr> {
    let any = if pod.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("failed to make a socket")?;
    socket.connect((pod, METRICS_PORT)).with_context(|| format!("there is no way to {pod}"))?;
    Ok(socket.local_addr().context("failed to read the own address")?.ip())
}

fn free_port(address: IpAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((address, 0)).context("failed to find a free port")?;
    listener.local_addr().context("failed to read the free port")
}

/// The configuration: each proxy, each second.
fn scraping(proxies: &[IpAddr]) -> String {
    let targets: Vec<String> =
        proxies.iter().map(|proxy| format!("\"{}\"", SocketAddr::new(*proxy, METRICS_PORT))).collect();
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: sluice-proxy\n  \
           static_configs: [{{targets: [{}]}}]\n",
        targets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proxy_is_scraped() {
        let text = scraping(&["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]);
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["global"]["scrape_interval"], "1s");
        let targets = &read["scrape_configs"][0]["static_configs"][0]["targets"];
        assert_eq!(*targets, serde_json::json!(["192.0.2.7:8877", "[2001:db8::7]:8877"]));
    }
}
