//! `cargo xtask cluster`: a real one-node Kubernetes on this machine, without Docker and without pulling
//! an image, or somebody else's cluster with `--context`.
//!
//! [`up`] is the table of contents: each stage is a module, and each can be run again at any time.

mod certificates;
mod cgroups;
mod containerd;
mod control_plane;
mod coredns;
mod daemons;
mod down;
mod existing;
mod files;
mod handle;
mod kubeconfig;
mod kubelet;
mod limits;
mod lock;
mod logs;
mod network;
mod node;
mod packages;
mod place;
mod programs;
mod status;
mod wait;

use std::ffi::OsString;

use anyhow::bail;
use clap::Subcommand;

pub(crate) use self::{handle::Cluster, place::FREE_ADDRESS};
use self::{lock::Lock, node::Node, place::Place};
use crate::{
    go::Programs,
    settings::Settings,
    terminal::{self, stage},
};

/// Tasks on the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Make the cluster, or repair it; prints the path of its kubeconfig.
    Up,
    /// Remove the cluster and everything it has put on this machine.
    Down,
    /// Say what runs.
    Status,
    /// Run kubectl on the cluster.
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run helm on the cluster.
    #[command(disable_help_flag = true)]
    Helm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show the log of one of the node's programs, or the names of all logs.
    Logs {
        /// Name of the program, such as `kubelet`.
        program: Option<String>,
        /// Go on showing what is added.
        #[arg(short, long)]
        follow: bool,
    },
}

/// Runs one task.
pub(crate) fn run(settings: &Settings, task: Task) -> anyhow::Result<()> {
    match task {
        Task::Up => {
            let cluster = ensure(settings)?;
            terminal::result(cluster.kubeconfig().display());
            Ok(())
        }
        Task::Down => match &settings.context {
            Some(context) => bail!("the cluster of context `{context}` is not ours to remove"),
            None => down::run(&Place::of(settings)),
        },
        Task::Status => match &settings.context {
            Some(_) => status::show_existing(&running(settings)?),
            None => status::show(settings, &Place::of(settings)),
        },
        Task::Kubectl { arguments } => running(settings)?.become_kubectl(&arguments),
        Task::Helm { arguments } => running(settings)?.become_helm(&arguments),
        Task::Logs { program, follow } => logs::show(&Place::of(settings), program.as_deref(), follow),
    }
}

/// The cluster that the settings name, made or repaired if it is ours. Takes about a second when it is up.
pub(crate) fn ensure(settings: &Settings) -> anyhow::Result<Cluster> {
    match &settings.context {
        Some(context) => existing::connect(settings, context),
        None => up(settings),
    }
}

/// The cluster that the settings name; fails with a hint when it is ours and is not up.
pub(crate) fn running(settings: &Settings) -> anyhow::Result<Cluster> {
    if let Some(context) = &settings.context {
        return existing::connect(settings, context);
    }
    let place = Place::of(settings);
    match Node::find(&place)? {
        Some(node) if place.kubeconfig().exists() => Cluster::local(settings, &place, node),
        _ => bail!("the local cluster is not up: `cargo xtask cluster up` makes it"),
    }
}

/// Whether pods can open connections to this machine: those of the local cluster can where root made it.
pub(crate) fn reaches_this_machine(settings: &Settings) -> bool {
    settings.context.is_none() && !Place::of(settings).rootless
}

fn up(settings: &Settings) -> anyhow::Result<Cluster> {
    let place = Place::of(settings);
    let _lock = Lock::take(&place)?;
    if place.rootless {
        terminal::note(ROOTLESS);
    }
    stage("packages", |stage| packages::ensure(place.rootless, stage))?;
    let programs = stage("programs", |stage| programs::ensure(settings, stage))?;
    let own_images = stage("node images", |_| coredns::images(&programs))?;
    let node = stage("node", |stage| {
        let node = find_or_create(&place, &programs, stage)?;
        limits::raise(&place)?;
        Ok(node)
    })?;
    stage("certificates", |_| {
        certificates::ensure(&place)?;
        kubeconfig::write_all(&place)
    })?;
    stage("network", |_| network::ensure(&place, &node))?;
    let cluster = Cluster::local(settings, &place, node.clone())?;
    stage("API server", |_| {
        let runtime = containerd::configure(&place, &own_images.pause.reference)?;
        daemons::start(&place, &node, &[runtime])?;
        daemons::start(&place, &node, &control_plane::servers())?;
        daemons::wait_for(&place, &node, "kube-apiserver", 90, || {
            cluster.kubectl(&["get", "--raw=/readyz"]).is_ok()
        })
    })?;
    stage("container runtime", |_| {
        daemons::wait_for(&place, &node, "containerd", 30, || containerd::answers(&node))?;
        for image in [&own_images.pause, &own_images.coredns] {
            containerd::load(&node, image)?;
        }
        Ok(())
    })?;
    stage("controllers", |_| {
        daemons::start(&place, &node, &control_plane::controllers())?;
        let account = ["get", "serviceaccount", "default", "--namespace=default"];
        daemons::wait_for(&place, &node, "kube-controller-manager", 60, || cluster.kubectl(&account).is_ok())
    })?;
    stage("kubelet", |_| {
        if !place.rootless {
            cgroups::create()?;
        }
        daemons::start(&place, &node, &kubelet::configure(&place)?)?;
        daemons::wait_for(&place, &node, "kubelet", 60, || status::node_is_ready(&cluster))?;
        daemons::check_all(&place, &node)
    })?;
    stage("DNS", |_| coredns::ensure(&cluster, &own_images.coredns.reference))?;
    Ok(cluster)
}

/// What differs without root, in one line.
const ROOTLESS: &str = "without root: containers have no CPU and memory limits and run as one user, and the cluster \
                        is reached only through `cargo xtask cluster kubectl` and the other tasks";

/// The node, made if it is not there. What is left of one that ended is of no use: pods, mounts and interfaces
/// that it knew are gone.
fn find_or_create(place: &Place, programs: &Programs, stage: &mut terminal::Stage) -> anyhow::Result<Node> {
    if let Some(node) = Node::find(place)? {
        if node.is_complete() {
            if std::fs::read_to_string(place.path("programs")).is_ok_and(|hash| hash != programs.hash) {
                stage.outcome(
                    "runs programs of other sources: `cargo xtask cluster down` to get the new ones",
                );
            }
            return Ok(node);
        }
        node.kill()?;
    }
    if place.root.exists() {
        stage.outcome("cleared what an earlier cluster left");
        down::clear(place)?;
    }
    network::check_free(place)?;
    Node::create(place, programs)
}
