//! What makes a received configuration acceptable.
//!
//! The operator asks before it sends and the proxy before it takes, with the same functions, so that a commit
//! that leaves the one arrives at the other. What needs the outside (can the port be bound, does the name
//! resolve) is no part of it.

mod route;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use crate::{
    model::{Action, Change, Cluster, ClusterId, Config, Key, Listener},
    pattern::PatternError,
};

/// One reason why a configuration is not acceptable, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The resource that has it.
    pub key: Key,
    /// What it is.
    pub fault: Fault,
}

/// What can be wrong with a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A listener cannot be on port 0.
    #[error("port 0 cannot be listened on")]
    PortZero,
    /// Two listeners cannot share a port.
    #[error("port {0} has another listener")]
    PortTaken(u16),
    /// The shares of a split are parts of one whole.
    #[error("the shares of split {split} sum to {sum} instead of 10000")]
    Shares {
        /// The split.
        split: String,
        /// What they sum to.
        sum: u32,
    },
    /// Draws and counters are kept by arm id.
    #[error("the arms of split {0} are not in order of their ids, each once")]
    ArmOrder(String),
    /// An arm without endpoints is a cluster without endpoints, not the absence of a cluster.
    #[error("arm {arm} names cluster {cluster}, which does not exist")]
    NoCluster {
        /// The arm.
        arm: String,
        /// What it names.
        cluster: ClusterId,
    },
    /// The same for a mirror.
    #[error("mirror {mirror} names cluster {cluster}, which does not exist")]
    NoMirrorCluster {
        /// The mirror.
        mirror: String,
        /// What it names.
        cluster: ClusterId,
    },
    /// Draws and counters of mirrors are kept by their id.
    #[error("the mirrors of split {0} are not in order of their ids, each once")]
    MirrorOrder(String),
    /// Two routes with one split id would share draws and counters.
    #[error("split {0} belongs to another route as well")]
    SplitTaken(String),
    /// Hosts are compared in lower case.
    #[error("host `{0}` is not in lower case")]
    HostCase(String),
    /// A host text that can match nothing.
    #[error("host text is empty")]
    HostEmpty,
    /// A path begins with a slash.
    #[error("path `{0}` does not begin with `/`")]
    Path(String),
    /// So does what takes its place.
    #[error("rewrite `{0}` does not begin with `/` or holds a character that no path has")]
    Rewrite(String),
    /// A host that the upstream sees must be a host.
    #[error("host rewrite `{0}` is no host")]
    HostRewrite(String),
    /// An expression that the engine refuses.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Header names are compared in lower case.
    #[error("header name `{0}` is empty, not in lower case or no header name")]
    HeaderName(String),
    /// Only errors are answered by the proxy itself.
    #[error("refusal status {0} is not within 400 to 599")]
    RefusalStatus(u16),
    /// The reason is a header value and a label.
    #[error("refusal reason `{0}` is not made of 1 to 64 lower-case letters, digits and underscores")]
    RefusalReason(String),
    /// A connection that may take no time at all never succeeds.
    #[error("connect timeout is zero")]
    ConnectTimeout,
    /// An endpoint that cannot be dialled.
    #[error("endpoint `{0}` has port 0 or no host")]
    Endpoint(String),
    /// In-flight and pools are kept by endpoint.
    #[error("the endpoints are not in order of their addresses, each once")]
    EndpointOrder,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Listener(id) => write!(f, "listener {id}: {}", self.fault),
            Key::Route(id) => write!(f, "route {id}: {}", self.fault),
            Key::Cluster(id) => write!(f, "cluster {id}: {}", self.fault),
        }
    }
}

/// Everything that is wrong with a whole configuration; nothing is acceptable.
#[must_use]
pub fn validate(config: &Config) -> Vec<Problem> {
    let each = config.changes().flat_map(|change| validate_change(&change));
    each.chain(validate_references(config)).collect()
}

/// What is wrong with a change by itself, whatever it is applied to.
#[must_use]
pub fn validate_change(change: &Change) -> Vec<Problem> {
    match change {
        Change::Listener(listener) => at(&Key::Listener(listener.id.clone()), listener_faults(listener)),
        Change::Route(route) => at(&Key::Route(route.id.clone()), route::faults(route)),
        Change::Cluster(cluster) => at(&Key::Cluster(cluster.id.clone()), cluster_faults(cluster)),
        Change::Removed(_) => Vec::new(),
    }
}

/// What is wrong between the resources of a configuration each of which is acceptable by itself. Cheap: it
/// looks at names only, so that it can run at every commit.
#[must_use]
pub fn validate_references(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ports = BTreeSet::new();
    for (id, listener) in &config.listeners {
        if !ports.insert(listener.port) {
            problems.push(Problem { key: Key::Listener(id.clone()), fault: Fault::PortTaken(listener.port) });
        }
    }
    let mut splits = BTreeMap::new();
    for (id, route) in &config.routes {
        let Action::Split(split) = &route.action else { continue };
        if splits.insert(&split.id, id).is_some() {
            let fault = Fault::SplitTaken(split.id.to_string());
            problems.push(Problem { key: Key::Route(id.clone()), fault });
        }
        for arm in split.arms.iter().filter(|arm| !config.clusters.contains_key(&arm.cluster)) {
            let fault = Fault::NoCluster { arm: arm.id.to_string(), cluster: arm.cluster.clone() };
            problems.push(Problem { key: Key::Route(id.clone()), fault });
        }
        for mirror in split.mirrors.iter().filter(|mirror| !config.clusters.contains_key(&mirror.cluster)) {
            let (mirror, cluster) = (mirror.id.to_string(), mirror.cluster.clone());
            let fault = Fault::NoMirrorCluster { mirror, cluster };
            problems.push(Problem { key: Key::Route(id.clone()), fault });
        }
    }
    problems
}

fn listener_faults(listener: &Listener) -> Vec<Fault> {
    if listener.port == 0 { vec![Fault::PortZero] } else { Vec::new() }
}

fn cluster_faults(cluster: &Cluster) -> Vec<Fault> {
    use crate::model::Address;
    let mut faults = Vec::new();
    if cluster.connect_timeout_ms == 0 {
        faults.push(Fault::ConnectTimeout);
    }
    for endpoint in &cluster.endpoints {
        match &endpoint.address {
            Address::Socket(address) if address.port() == 0 => {
                faults.push(Fault::Endpoint(address.to_string()));
            }
            Address::Name { host, port } if host.is_empty() || *port == 0 => {
                faults.push(Fault::Endpoint(format!("{host}:{port}")));
            }
            Address::Socket(_) | Address::Name { .. } => {}
        }
    }
    if !cluster.endpoints.is_sorted_by(|a, b| (&a.address, &a.version) < (&b.address, &b.version)) {
        faults.push(Fault::EndpointOrder);
    }
    faults
}

fn at(key: &Key, faults: Vec<Fault>) -> Vec<Problem> {
    faults.into_iter().map(|fault| Problem { key: key.clone(), fault }).collect()
}

#[cfg(test)]
mod tests;
