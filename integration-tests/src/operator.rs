//! Sluice's operator as a program of this machine, outside of the cluster.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
};

use crate::{probe, scrape::Scrape};

/// The program; `cargo xtask test` puts the one that it has built for the image into `PATH`.
const PROGRAM: &str = "sluice-operator";

/// Where an operator answers.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// `/metrics`
    pub metrics: u16,
    /// `/healthz` and `/readyz`
    pub health: u16,
}

impl Ports {
    /// Those of Argo Rollouts' controller, which are the defaults of the flags.
    pub const DEFAULT: Self = Self { metrics: 8090, health: 8080 };

    /// Two that nobody uses now.
    pub fn free() -> anyhow::Result<Self> {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let listeners = (TcpListener::bind(any)?, TcpListener::bind(any)?);
        Ok(Self { metrics: listeners.0.local_addr()?.port(), health: listeners.1.local_addr()?.port() })
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A running operator; it is killed when this is dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    ports: Ports,
    log: Log,
}

/// What the operator has written so far.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl Operator {
    /// Starts it with the credentials of `KUBECONFIG` and ports of its own.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let ports = Ports::free()?;
        let (metrics, health) =
            (format!("--metricsPort={}", ports.metrics), format!("--healthzPort={}", ports.health));
        Self::start_at(ports, &[arguments, &[&metrics, &health]].concat())
    }

    /// Starts it with these arguments and no others; they lead to `ports`.
    pub fn start_at(ports: Ports, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {PROGRAM}: run `cargo xtask test --only NAME`"))?;
        let log = Log::default();
        let stderr = child.stderr.take().context("the operator has no standard error")?;
        tokio::spawn(log.clone().read(stderr));
        Ok(Self { child, ports, log })
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged this text.
    pub async fn logs(&self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + limit;
        while !self.log().contains(text) {
            if tokio::time::Instant::now() > end {
                bail!(
                    "waited {} s in vain until {text:?} is logged; the log:\n{}",
                    limit.as_secs(),
                    self.log()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        probe::metrics(local(self.ports.metrics)).await
    }

    /// The text of a page of the health port, `/healthz` or `/readyz`.
    pub async fn health(&self, path: &str) -> anyhow::Result<String> {
        probe::page(local(self.ports.health), path).await
    }

    /// How many requests it has sent to the API server that change an object, other than a lease and its own token.
    pub async fn writes(&self) -> anyhow::Result<f64> {
        let requests = "controller_clientset_k8s_request_total";
        let scrape = Scrape::of(local(self.ports.metrics), &[requests]).await?;
        let changing = |labels: &&[String]| match labels {
            [verb, kind] => {
                let reads = ["Get", "List", "Watch"].contains(&verb.as_str());
                !reads && !["leases", "serviceaccounts"].contains(&kind.as_str())
            }
            _ => false,
        };
        let sums = scrape.sums(requests, &["verb", "kind"]);
        Ok(sums.iter().filter(|(labels, _)| changing(&labels.as_slice())).map(|(_, count)| count).sum())
    }

    /// Stops its execution, as a frozen machine does; it knows nothing of it.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it without warning, as `kill -9` does.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("failed to kill the operator")
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<String> {
        self.signal(Signal::TERM)?;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = ended.context("the operator did not end within 30 s")?.context("failed to wait")?;
        if !status.success() {
            bail!("the operator ended with {status}; its log:\n{}", self.log());
        }
        Ok(self.log())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.with_context(|| format!("the operator has ended; its log:\n{}", self.log()))?;
        kill_process(id, signal).context("failed to signal the operator")
    }
}

impl Log {
    async fn read(self, stderr: ChildStderr) {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    }
}
