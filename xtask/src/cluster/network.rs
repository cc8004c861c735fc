//! The node's network: a pair of interfaces between machine and node, and routes to pods and Services.
//!
//! The node has no default route and the machine forwards nothing for it: no packet of the cluster leaves the
//! machine. Pods have routed interfaces (the CNI plugin `ptp`), so no bridge and no setting of bridges is needed.

use std::fs;

use anyhow::bail;
use serde_json::json;

use super::{
    files,
    node::Node,
    place::{
        ALL_ADDRESSES, HOST_ADDRESS, HOST_LINK, HOST_LINK_ALIAS, LOAD_BALANCERS, NAME, NODE_ADDRESS,
        NODE_LINK, PODS, Place, SERVICES,
    },
};
use crate::command::{command, run};

/// Makes sure that nobody else uses our interface name or addresses. Call it when there is no node yet.
pub(crate) fn check_free(place: &Place) -> anyhow::Result<()> {
    if place.rootless {
        return Ok(());
    }
    remove_link()?;
    let routes = ip(&["route", "show", "root", ALL_ADDRESSES])?;
    if !routes.is_empty() {
        bail!(
            "the cluster's addresses, {ALL_ADDRESSES}, are in use on this machine:\n{routes}\n\
             remove these routes, or use another cluster with --context NAME"
        );
    }
    Ok(())
}

/// Connects the node, unless it is connected.
pub(crate) fn ensure(place: &Place, node: &Node) -> anyhow::Result<()> {
    write_plugin_configuration(place)?;
    // The last of the steps below tells whether all of them were made.
    let connected = node_ip(node, &["route", "show", "type", "unreachable"])?;
    if connected.contains(PODS) {
        return Ok(());
    }
    if place.rootless {
        // Nothing leads to the machine from here; a bridge without ports holds the node's address.
        let _ = node_ip(node, &["link", "delete", NODE_LINK]);
        node_ip(node, &["link", "add", NODE_LINK, "type", "bridge"])?;
    } else {
        remove_link()?;
        let pid = node.pid.to_string();
        ip(&["link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", &pid])?;
        ip(&["link", "set", HOST_LINK, "alias", HOST_LINK_ALIAS])?;
        ip(&["address", "add", &format!("{HOST_ADDRESS}/24"), "dev", HOST_LINK])?;
        ip(&["link", "set", HOST_LINK, "up"])?;
        ip(&["route", "add", ALL_ADDRESSES, "via", NODE_ADDRESS, "dev", HOST_LINK])?;
    }
    run(node.command("sh").args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]))?;
    node_ip(node, &["link", "set", "lo", "up"])?;
    node_ip(node, &["address", "add", &format!("{NODE_ADDRESS}/24"), "dev", NODE_LINK])?;
    node_ip(node, &["link", "set", NODE_LINK, "up"])?;
    // A packet to a Service needs a route before kube-proxy gives it the address of a pod.
    node_ip(node, &["route", "add", SERVICES, "dev", NODE_LINK])?;
    node_ip(node, &["route", "add", LOAD_BALANCERS, "dev", NODE_LINK])?;
    node_ip(node, &["route", "add", "unreachable", PODS]).map(drop)
}

/// Removes our end of the pair; fails if an interface of that name is not ours.
pub(crate) fn remove_link() -> anyhow::Result<()> {
    let Ok(alias) = fs::read_to_string(format!("/sys/class/net/{HOST_LINK}/ifalias")) else { return Ok(()) };
    if alias.trim() != HOST_LINK_ALIAS {
        bail!(
            "this machine has a network interface {HOST_LINK} that is not the cluster's: rename or remove it"
        );
    }
    match ip(&["link", "delete", HOST_LINK]) {
        // It goes by itself when the node has ended; that may be just now.
        Err(_) if fs::metadata(format!("/sys/class/net/{HOST_LINK}")).is_err() => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    run(&mut command("ip", arguments))
}

fn node_ip(node: &Node, arguments: &[&str]) -> anyhow::Result<String> {
    run(node.command("ip").args(arguments))
}

fn write_plugin_configuration(place: &Place) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&plugin_configuration())?;
    files::write(&place.path("conf/net.d/10-sluice.conflist"), &text)
}

fn plugin_configuration() -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": NAME,
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}
