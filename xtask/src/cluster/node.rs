//! The node: namespaces in which everything of the cluster runs, apart from the rest of the machine.
//!
//! One process, `pause`, is the first of a PID namespace and holds a mount and a network namespace of its own.
//! Inside, `/run`, `/var/lib` and `/var/log` are directories of the cluster, so that no other container runtime,
//! kubelet or CNI plugin of the machine shares a path with ours; ports, routes and firewall rules are those of
//! the network namespace. When that process ends the kernel ends all others and drops the mounts and links.
//! Without root a user namespace comes on top, in which the user is root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{place::Place, wait};
use crate::{
    command::{command, run},
    go::Programs,
};

/// What the kubelet insists on writing to the kernel of the whole machine. Inside the node these are files of
/// ours with the values that it wants, so the machine's own settings stay as they are.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Directories of the node: `lib` is its /var/lib, `run` its /run and `log` its /var/log.
const DIRECTORIES: [&str; 7] =
    ["bin", "conf", "lib/sluice-cluster", "lib/kubelet", "log/containers", "run", "sysctl"];

/// Names under which the combined program is called; see `integration-tests/cluster/cluster/main.go`.
const CLUSTER_NAMES: [&str; 8] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "load-balancer",
];

/// Is there, inside the node, once all its mounts are made.
const COMPLETE: &str = "run/sluice-node";

/// The node's first process.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) pid: Pid,
    rootless: bool,
}

impl Node {
    /// Finds the running node.
    pub(crate) fn find(place: &Place) -> anyhow::Result<Option<Self>> {
        let pause = place.path("bin/pause");
        for pid in processes()? {
            if first_argument(pid).as_deref() == Some(&pause) && is_first_of_its_namespace(pid) {
                return Ok(Some(Self { pid, rootless: place.rootless }));
            }
        }
        Ok(None)
    }

    /// True when the node's mounts are all made; false after a task that was killed while making them.
    pub(crate) fn is_complete(&self) -> bool {
        Path::new(&format!("/proc/{}/root", self.pid)).join(COMPLETE).exists()
    }

    /// Makes the namespaces and what belongs in them. The cluster's directory must be empty.
    pub(crate) fn create(place: &Place, programs: &Programs) -> anyhow::Result<Self> {
        for directory in DIRECTORIES {
            let path = place.path(directory);
            fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        }
        link_programs(place, programs)?;
        fs::write(place.path("programs"), &programs.hash).context("failed to record the programs")?;

        let mut unshare =
            command("setsid", ["unshare", "--mount", "--propagation", "slave", "--net", "--pid"]);
        unshare.args(["--fork", "--kill-child", "--mount-proc"]);
        if place.rootless {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.arg(place.path("bin/pause")).current_dir("/");
        let log = fs::File::create(place.log("node")).context("failed to create the node's log")?;
        unshare.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = unshare.spawn().context("failed to start unshare")?;
        let mut node = None;
        let late = || "the node's first process did not appear".to_owned();
        wait::until(10, late, || {
            if child.try_wait()?.is_some() {
                let said = fs::read_to_string(place.log("node")).unwrap_or_default();
                bail!("failed to create the node's namespaces: {}{}", said.trim(), hint(place.rootless));
            }
            node = Self::find(place)?;
            Ok(node.is_some())
        })?;
        let node = node.context("the node's first process ended at once")?;
        node.mount(place)?;
        Ok(node)
    }

    /// A command inside the node, with all its namespaces.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.enter(&["--mount", "--net", "--pid"]);
        command.arg(program);
        command
    }

    /// A command that has the node's network but the machine's files.
    pub(crate) fn networked(&self, program: &Path) -> Command {
        let mut command = self.enter(&["--net"]);
        command.arg(program);
        command
    }

    /// Ends everything that runs in the node, at once.
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        // An error here is that of a process that has ended by itself.
        let _ = kill_process(self.pid, Signal::KILL);
        wait::until(20, || format!("process {} does not end", self.pid), || Ok(!is_alive(self.pid)))
    }

    /// The programs that run directly in the node (not those of pods), by the name they were called by.
    pub(crate) fn running(&self) -> anyhow::Result<Vec<String>> {
        let namespace = pid_namespace(self.pid);
        let mut names = Vec::new();
        for pid in processes()? {
            if pid_namespace(pid) == namespace
                && let Some(name) = first_argument(pid)
                && let Some(name) = name.file_name()
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn enter(&self, namespaces: &[&str]) -> Command {
        let mut command = command("nsenter", ["--target", &self.pid.to_string()]);
        if self.rootless {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(namespaces).arg("--").current_dir("/");
        command
    }

    fn mount(&self, place: &Place) -> anyhow::Result<()> {
        let mount = |options: &[&str], from: &Path, to: &str| {
            let mut mount = self.enter(&["--mount"]);
            mount.arg("mount").args(options).arg(from).arg(to);
            run(&mut mount).with_context(|| format!("failed to mount {to} in the node"))
        };
        // A user namespace may not mount a /proc for its containers when parts of its own are covered; there the
        // kubelet is told not to mind (see `kubelet`).
        if !place.rootless {
            for (setting, value) in KERNEL_SETTINGS {
                let file = place.path("sysctl").join(setting.replace('/', "."));
                fs::write(&file, value).with_context(|| format!("failed to write {}", file.display()))?;
                let target = format!("/proc/sys/{setting}");
                if Path::new(&target).exists() {
                    mount(&["--bind"], &file, &target)?;
                }
            }
        }
        let own = place.path("lib/sluice-cluster");
        mount(&["--bind"], &place.root, &own.to_string_lossy())?;
        mount(&["--rbind"], &place.path("lib"), "/var/lib")?;
        mount(&["--bind"], &place.path("log"), "/var/log")?;
        // Pods may ask for mounts that spread from container to node and back, which needs shared ones.
        run(self.enter(&["--mount"]).args(["mount", "--make-rshared", "/"]))?;
        fs::write(place.root.join(COMPLETE), "").context("failed to mark the node as complete")?;
        mount(&["--bind"], &place.path("run"), "/run")?;
        run(self.enter(&["--mount"]).args(["mount", "--make-rshared", "/run"])).map(drop)
    }
}

/// Processes of the machine.
fn processes() -> anyhow::Result<Vec<Pid>> {
    let entries = fs::read_dir("/proc").context("failed to list /proc")?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter_map(Pid::from_raw).collect())
}

fn first_argument(pid: Pid) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = line.split(|&byte| byte == 0).next().filter(|first| !first.is_empty())?;
    Some(PathBuf::from(String::from_utf8_lossy(first).into_owned()))
}

fn is_first_of_its_namespace(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_some_and(|pids| {
        pids.split_whitespace().count() > 1 && pids.split_whitespace().last() == Some("1")
    })
}

fn pid_namespace(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// A process that has ended but that nobody has waited for does not count.
fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains("zombie"))
}

/// Gives the programs their places in the cluster's directory: the cache may lie where the node cannot see it.
fn link_programs(place: &Place, programs: &Programs) -> anyhow::Result<()> {
    let link = |from: &Path, name: &str| {
        let to = place.path("bin").join(name);
        fs::hard_link(from, &to)
            .or_else(|_| fs::copy(from, &to).map(drop))
            .with_context(|| format!("failed to put {} at {}", from.display(), to.display()))
    };
    link(&programs.path("pause"), "pause")?;
    link(&programs.path("cluster"), CLUSTER_NAMES[0])?;
    // Hard links, not copies, also when the cache is on another file system.
    let combined = place.path("bin").join(CLUSTER_NAMES[0]);
    CLUSTER_NAMES[1..].iter().try_for_each(|name| link(&combined, name))
}

fn hint(rootless: bool) -> &'static str {
    if !rootless {
        return "";
    }
    "\nwithout root the cluster needs unprivileged user namespaces; allow them \
     (`sysctl kernel.unprivileged_userns_clone=1`, and on Ubuntu \
     `sysctl kernel.apparmor_restrict_unprivileged_userns=0`) or run the task as root"
}
