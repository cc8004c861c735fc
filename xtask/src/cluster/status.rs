//! What runs, and what does not.

use std::fs;

use super::{
    daemons,
    handle::Cluster,
    node::Node,
    place::{NODE, Place},
    running,
};
use crate::{
    settings::Settings,
    terminal::{note, result},
};

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
    for name in daemons::ALL {
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

/// True when the kubelet answers and has reported its node as ready. Its last report alone would be believed for
/// most of a minute after it has ended.
pub(crate) fn node_is_ready(cluster: &Cluster) -> bool {
    let health = format!("--raw=/api/v1/nodes/{NODE}/proxy/healthz");
    if !cluster.kubectl(&["get", &health]).is_ok_and(|health| health == "ok") {
        return false;
    }
    let path = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    cluster.kubectl(&["get", "nodes", "--output", path]).is_ok_and(|status| status == "True")
}

fn recorded_programs(place: &Place) -> String {
    fs::read_to_string(place.path("programs")).unwrap_or_default()
}
