//! What makes a received configuration acceptable.
//!
//! The operator asks before it sends and the proxy before it takes, with the same functions, so that a commit
//! that leaves the one arrives at the other. What needs the outside (can the port be bound, does the name
//! resolve) is no part of it.

mod authorization;
mod cluster;
mod fault;
mod filters;
mod health;
mod listener;
mod references;
mod route;
mod text;

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

pub use self::{fault::Fault, references::References, text::is_server_name};
use crate::model::{Access, Change, Config, Key, Split};

/// One reason why a configuration is not acceptable, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The resource that has it.
    pub key: Key,
    /// What it is.
    pub fault: Fault,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Listener(id) => write!(f, "listener {id}: {}", self.fault),
            Key::Route(id) => write!(f, "route {id}: {}", self.fault),
            Key::Cluster(id) => write!(f, "cluster {id}: {}", self.fault),
            Key::Certificate(id) => write!(f, "certificate {id}: {}", self.fault),
            Key::Host(id) => write!(f, "host {id}: {}", self.fault),
            Key::TcpRoute(id) => write!(f, "tcp route {id}: {}", self.fault),
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
        Change::Listener(listener) => at(&Key::Listener(listener.id.clone()), listener::faults(listener)),
        Change::Route(route) => at(&Key::Route(route.id.clone()), route::faults(route)),
        Change::Cluster(cluster) => at(&Key::Cluster(cluster.id.clone()), cluster::faults(cluster)),
        Change::Host(host) => at(&Key::Host(host.id.clone()), listener::host_faults(host)),
        Change::TcpRoute(route) => at(&Key::TcpRoute(route.id.clone()), listener::tcp_route_faults(route)),
        // Whether a certificate can be read is found out where it is used: it must not keep anything else from it.
        Change::Certificate(_) | Change::Removed(_) => Vec::new(),
    }
}

/// What is wrong with who may use a route, by itself.
#[must_use]
pub fn validate_access(access: &Access) -> Vec<Fault> {
    let mut faults = Vec::new();
    filters::access(access, &mut faults);
    faults
}

/// What is wrong between the resources of a configuration each of which is acceptable by itself. It looks at all of
/// them; [`References`] tell whether a change is the reason to.
#[must_use]
pub fn validate_references(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ports = BTreeSet::new();
    for (id, listener) in &config.listeners {
        if !ports.insert((listener.protocol.transport(), listener.port)) {
            problems.push(Problem { key: Key::Listener(id.clone()), fault: Fault::PortTaken(listener.port) });
        }
    }
    let http = config.routes.iter().filter_map(|(id, route)| Some((Key::Route(id.clone()), route.split()?)));
    let tcp = config.tcp_routes.iter().map(|(id, route)| (Key::TcpRoute(id.clone()), &route.split));
    let mut splits = BTreeSet::new();
    for (key, split) in http.chain(tcp) {
        let mut faults = split_references(config, split);
        if !splits.insert(&split.id) {
            faults.push(Fault::SplitTaken(split.id.to_string()));
        }
        problems.extend(at(&key, faults));
    }
    for (id, route) in &config.routes {
        let missing =
            route.authorization().map(|it| &it.cluster).filter(|it| !config.clusters.contains_key(it));
        let faults = missing.cloned().map(Fault::NoAuthorizationCluster).into_iter().collect();
        problems.extend(at(&Key::Route(id.clone()), faults));
    }
    for (id, host) in &config.hosts {
        let named = host.tls.iter().flat_map(|it| &it.certificates);
        let missing = named.filter(|it| !config.certificates.contains_key(it));
        problems.extend(at(&Key::Host(id.clone()), missing.cloned().map(Fault::NoCertificate).collect()));
    }
    for (id, cluster) in &config.clusters {
        let named = cluster.tls.iter().flat_map(|it| &it.certificate);
        let missing = named.filter(|it| !config.certificates.contains_key(it));
        problems.extend(at(&Key::Cluster(id.clone()), missing.cloned().map(Fault::NoCertificate).collect()));
    }
    problems
}

fn split_references(config: &Config, split: &Split) -> Vec<Fault> {
    let arms = split
        .arms
        .iter()
        .filter(|it| !config.clusters.contains_key(&it.cluster))
        .map(|arm| Fault::NoCluster { arm: arm.id.to_string(), cluster: arm.cluster.clone() });
    let mirrors = split.mirrors.iter().filter(|it| !config.clusters.contains_key(&it.cluster));
    let mirrors = mirrors.map(|mirror| Fault::NoMirrorCluster {
        mirror: mirror.id.to_string(),
        cluster: mirror.cluster.clone(),
    });
    arms.chain(mirrors).collect()
}

fn at(key: &Key, faults: Vec<Fault>) -> Vec<Problem> {
    faults.into_iter().map(|fault| Problem { key: key.clone(), fault }).collect()
}

#[cfg(test)]
mod tests;
