//! The cluster's DNS, and the images that the node itself needs.

use super::{handle::Cluster, place::DNS_SERVICE};
use crate::{
    go::Programs,
    images::{self, Built, Reference},
};

const MANIFEST: &str = include_str!("../../../integration-tests/cluster/coredns/manifest.yaml");

/// Images of the node.
#[derive(Debug)]
pub(crate) struct NodeImages {
    /// Holds the namespaces of each pod.
    pub(crate) pause: Built,
    pub(crate) coredns: Built,
}

/// Writes the images beside the programs that they are made of.
pub(crate) fn images(programs: &Programs) -> anyhow::Result<NodeImages> {
    let write = |name| images::write_program(name, &programs.path(name), programs.directory());
    Ok(NodeImages { pause: write("pause")?, coredns: write("coredns")? })
}

/// Applies CoreDNS and waits until it answers.
pub(crate) fn ensure(cluster: &Cluster, image: &Reference) -> anyhow::Result<()> {
    let manifest = MANIFEST.replace("{image}", &image.name()).replace("{address}", DNS_SERVICE);
    cluster.kubectl_with_input(&["apply", "--filename=-"], &manifest)?;
    let wait = ["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=90s"];
    cluster.kubectl(&wait).map(drop)
}
