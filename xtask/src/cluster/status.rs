//! What runs, and what does not.

use std::fs;

use super::{handle::Cluster, node::Node, place::Place, running};
use crate::{
    settings::Settings,
    terminal::{note, result},
};

/// Programs of the node, in the order in which they start.
const DAEMONS: [&str; 8] = [
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "load-balancer",
];

/// Shows the local cluster.
pub(crate) fn show(settings: &Settings, place: &Place) -> anyhow::Result<()> {
    let Some(node) = Node::find(place)? else {
        note("the cluster is not up: `cargo xtask cluster up` makes it");
        if place.root.exists() {
            note("an earlier one left its directory, which the next `up` clears");
        }
        return Ok(());
    };
    let running_now = node.running()?;
    for name in DAEMONS {
        let state = if running_now.iter().any(|running| running == name) { "running" } else { "not running" };
        result(format_args!("{name:<24} {state}"));
    }
    let directory = place.root.display();
    result(format_args!("{:<24} {directory} (programs {})", "directory", recorded_programs(place)));
    show_existing(&running(settings)?)
}

/// Shows what any cluster can tell.
pub(crate) fn show_existing(cluster: &Cluster) -> anyhow::Result<()> {
    result(format_args!("{:<24} {}", "kubeconfig", cluster.kubeconfig().display()));
    result(cluster.kubectl(&["get", "nodes,pods", "--all-namespaces", "--request-timeout=5s"])?);
    Ok(())
}

/// True when the kubelet has reported its node as ready.
pub(crate) fn node_is_ready(cluster: &Cluster) -> bool {
    let path = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    cluster.kubectl(&["get", "nodes", "--output", path]).is_ok_and(|status| status == "True")
}

fn recorded_programs(place: &Place) -> String {
    fs::read_to_string(place.path("programs")).unwrap_or_default()
}
