//! Where the cluster lives: names, addresses and paths, each used nowhere else on the machine.
//!
//! The node has namespaces of its own (see [`super::node`]). Inside them the cluster's directory is always
//! [`INSIDE`]; outside it is that too for root, and lies in the user's state directory otherwise.

use std::path::{Path, PathBuf};

use crate::settings::Settings;

/// The cluster's directory as the node's programs see it.
pub(crate) const INSIDE: &str = "/var/lib/sluice-cluster";

/// Name of the kubeconfig's context, of the CNI network, and of the cgroup.
pub(crate) const NAME: &str = "sluice";
/// The node's name in Kubernetes.
pub(crate) const NODE: &str = "node0";

/// The interface on the machine that leads to the node. At most 15 characters.
pub(crate) const HOST_LINK: &str = "sluice0";
/// Says that [`HOST_LINK`] is ours, so that nobody else's is ever removed.
pub(crate) const HOST_LINK_ALIAS: &str = "local cluster of sluice";
/// The interface inside the node.
pub(crate) const NODE_LINK: &str = "node0";

/// Everything below comes from the range reserved for benchmarks (RFC 2544): no private network uses it.
pub(crate) const ALL_ADDRESSES: &str = "198.18.0.0/15";
/// Addresses of pods.
pub(crate) const PODS: &str = "198.18.0.0/16";
/// The machine's own address on [`HOST_LINK`].
pub(crate) const HOST_ADDRESS: &str = "198.19.0.1";
/// The node's address: API server, kubelet and node ports.
pub(crate) const NODE_ADDRESS: &str = "198.19.0.2";
/// Addresses of Services of type LoadBalancer.
pub(crate) const LOAD_BALANCERS: &str = "198.19.1.0/24";
/// One of them that is given last: free for a Service that asks for it.
pub(crate) const FREE_ADDRESS: &str = "198.19.1.254";
/// Addresses of Services.
pub(crate) const SERVICES: &str = "198.19.128.0/17";
/// Address of the Service `default/kubernetes`: the first of [`SERVICES`].
pub(crate) const API_SERVICE: &str = "198.19.128.1";
/// Address of the cluster's DNS.
pub(crate) const DNS_SERVICE: &str = "198.19.128.10";

/// The paths of this machine's cluster.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The cluster's directory, seen from outside the node.
    pub(crate) root: PathBuf,
    /// The file whose lock admits one task at a time.
    pub(crate) lock: PathBuf,
    /// True when the node has to do without root, in a user namespace.
    pub(crate) rootless: bool,
}

impl Place {
    /// The place for the user who runs this task.
    pub(crate) fn of(settings: &Settings) -> Self {
        if is_root() {
            return Self { root: INSIDE.into(), lock: "/run/sluice-cluster.lock".into(), rootless: false };
        }
        let state = settings.user_state();
        Self { root: state.join("sluice-cluster"), lock: state.join("sluice-cluster.lock"), rootless: true }
    }

    /// A path of the cluster's directory, seen from outside the node.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The administrator's credentials.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// The log of one of the node's programs.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.path("log").join(program).with_extension("log")
    }
}

/// A path of the cluster's directory as the node's programs see it.
pub(crate) fn inside(below: &str) -> String {
    format!("{INSIDE}/{below}")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// First and last address of a range, or of an address alone.
    fn range(text: &str) -> (u32, u32) {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let size = (1_u64 << (32 - bits.parse::<u32>().unwrap())) - 1;
        let first = u32::from(address.parse::<Ipv4Addr>().unwrap());
        (first, first + u32::try_from(size).unwrap())
    }

    #[test]
    fn every_address_is_one_that_no_private_network_has() {
        let (first, last) = range(ALL_ADDRESSES);
        for part in [PODS, HOST_ADDRESS, NODE_ADDRESS, LOAD_BALANCERS, SERVICES, API_SERVICE, DNS_SERVICE] {
            assert!(first <= range(part).0 && range(part).1 <= last, "{part} is outside");
        }
    }

    #[test]
    fn ranges_do_not_overlap() {
        let mut ranges = [PODS, "198.19.0.0/24", LOAD_BALANCERS, SERVICES].map(range);
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
    }

    #[test]
    fn names_of_interfaces_fit_the_kernel() {
        assert!(HOST_LINK.len() <= 15 && NODE_LINK.len() <= 15);
    }
}
