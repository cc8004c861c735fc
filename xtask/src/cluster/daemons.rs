//! The programs that run in the node for as long as the cluster is up.

use std::{
    fs::{self, File},
    process::Stdio,
};

use anyhow::{Context as _, bail};

use super::{
    node::Node,
    place::{Place, inside},
    wait,
};
use crate::command::command;

/// What they find in their environment, and nothing else: a proxy or locale of the user's is not for them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Lines of a log that a failure shows.
const SHOWN: usize = 12;

/// Names of all, in the order in which they start.
pub(crate) const ALL: [&str; 8] = [
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "load-balancer",
];

/// A program of the node and how it is called.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    /// Name of the program, of its process and of its log.
    pub(crate) name: &'static str,
    /// The file to run, as seen inside the node.
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

impl Daemon {
    /// One of the programs that we built.
    pub(crate) fn built(name: &'static str, arguments: Vec<String>) -> Self {
        Self { name, program: inside(&format!("bin/{name}")), arguments }
    }
}

/// Starts those that do not run.
pub(crate) fn start(place: &Place, node: &Node, daemons: &[Daemon]) -> anyhow::Result<()> {
    let running = node.running()?;
    for daemon in daemons.iter().filter(|daemon| !running.iter().any(|name| name == daemon.name)) {
        spawn(place, node, daemon).with_context(|| format!("failed to start {}", daemon.name))?;
    }
    Ok(())
}

/// Waits until a program answers; fails with the end of its log when it has ended or does not answer in time.
pub(crate) fn wait_for(
    place: &Place,
    node: &Node,
    name: &str,
    seconds: u32,
    mut ready: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let mut seen = false;
    let late = || format!("{name} is not ready after {seconds} seconds\n{}", end_of_log(place, name));
    wait::until(seconds, late, || {
        if ready() {
            return Ok(true);
        }
        let runs = node.running()?.iter().any(|running| running == name);
        if seen && !runs {
            bail!("{name} has ended\n{}", end_of_log(place, name));
        }
        seen |= runs;
        Ok(false)
    })
}

/// Fails when one of the programs is not running: its last words are in its log.
pub(crate) fn check_all(place: &Place, node: &Node) -> anyhow::Result<()> {
    let running = node.running()?;
    match ALL.into_iter().find(|name| !running.iter().any(|running| running == name)) {
        Some(name) => bail!("{name} has ended\n{}", end_of_log(place, name)),
        None => Ok(()),
    }
}

fn spawn(place: &Place, node: &Node, daemon: &Daemon) -> anyhow::Result<()> {
    let path = place.log(daemon.name);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("failed to open {}", path.display()))?;
    let enter = node.command(&daemon.program);
    // A session of its own: it outlives the terminal and does not see its interrupts.
    let mut setsid = command("setsid", [enter.get_program()]);
    setsid.args(enter.get_args()).args(&daemon.arguments).env_clear().env("PATH", PATH).current_dir("/");
    setsid.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    setsid.spawn()?;
    Ok(())
}

fn end_of_log(place: &Place, name: &str) -> String {
    let path = place.log(name);
    let log = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    format!("the end of {}:\n{end}", path.display())
}
