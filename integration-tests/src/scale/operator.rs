//! `sluice-operator` as a process on this machine.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::INSTANCE;
use crate::{probe, scrape::Scrape};

/// Ticks a second of the times in `/proc`: the same on every Linux that Rust knows.
const TICKS: u64 = 100;

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    metrics: SocketAddr,
    health: SocketAddr,
    log: PathBuf,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Time on a processor since its start.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most that it ever was.
    pub peak: u64,
}

impl Operator {
    /// Starts it on the cluster of this process's own kubeconfig, with its lease in `namespace`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, namespace: &str, log: &Path) -> anyhow::Result<Self> {
        let (metrics, health) = (free_port()?, free_port()?);
        let output = File::create(log).with_context(|| format!("failed to write {}", log.display()))?;
        let child = Command::new(program)
            .args(["--controllers=rollouts", "--loglevel=warn"])
            .args(["--instance-id", INSTANCE, "--pod-namespace", namespace, "--argo-namespace", namespace])
            .args(["--metricsPort", &metrics.port().to_string(), "--healthzPort", &health.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self { child, metrics, health, log: log.to_owned() })
    }

    /// Waits until its stores are complete.
    ///
    /// # Errors
    /// If it ends instead, or takes longer than two minutes.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_mins(2);
        while !probe::ready(self.health).await {
            if let Some(status) = self.child.try_wait().context("failed to look after the operator")? {
                bail!("the operator ended with {status}; it says why in {}", self.log.display());
            }
            ensure!(
                Instant::now() < end,
                "waited 120 s in vain for the operator; see {}",
                self.log.display()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn scrape(&self, families: &[&str]) -> anyhow::Result<Scrape> {
        Scrape::of(self.metrics, families).await
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// If it has ended, or this is no Linux.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let process = self.child.id().context("the operator has ended")?;
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
        };
        usage(&read("stat")?, &read("status")?).context("failed to understand /proc")
    }

    /// Ends it as Kubernetes would.
    ///
    /// # Errors
    /// If it does not end well within 30 s.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let process = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(process.context("the operator has ended by itself")?, Signal::TERM)
            .context("failed to end the operator")?;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = ended.context("the operator did not end within 30 s")??;
        ensure!(status.success(), "the operator ended with {status}; it says why in {}", self.log.display());
        Ok(())
    }
}

/// Reads `/proc/<pid>/stat` and `/proc/<pid>/status`.
fn usage(stat: &str, status: &str) -> Option<Usage> {
    // The name in parentheses may hold anything, so fields count from behind it: user and system time are 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    let cpu = Duration::from_millis(ticks * 1_000 / TICKS);
    Some(Usage { cpu, resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

/// A port that nobody has, now.
fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    listener.local_addr().context("failed to find a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_shifts_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 1 2 3";
        let status = "Name:\ta\nVmHWM:\t   30 kB\nVmRSS:\t   20 kB\n";
        let usage = usage(stat, status).unwrap();
        assert_eq!(usage.cpu, Duration::from_secs(3));
        assert_eq!((usage.resident, usage.peak), (20_480, 30_720));
    }
}
