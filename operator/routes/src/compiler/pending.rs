//! What a pass has computed, before it is compared with what there was.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use proxy_config::model::{
    Certificate, CertificateId, Change, Cluster, ClusterId, Host, HostId, Key, Listener, ListenerId, Route,
    RouteId, SplitId, TcpRoute, TcpRouteId, Version,
};

use super::backend::Backend;
use crate::{
    compiled::{Compiled, Delta, Leaving, Rule, SplitReport, Status, Subject},
    edge::{Port, VirtualHost},
    object::ObjectName,
};

/// New values by id; `None` is gone. A later entry for the same id replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) listeners: BTreeMap<ListenerId, Option<Arc<Listener>>>,
    pub(super) certificates: BTreeMap<CertificateId, Option<Arc<Certificate>>>,
    pub(super) server_names: BTreeMap<HostId, Option<Arc<Host>>>,
    pub(super) tcp_routes: BTreeMap<TcpRouteId, Option<Arc<TcpRoute>>>,
    pub(super) ports: BTreeMap<ListenerId, Option<Arc<Port>>>,
    pub(super) hosts: BTreeMap<HostId, Option<Arc<VirtualHost>>>,
    pub(super) rules: BTreeMap<RouteId, Option<Arc<Rule>>>,
    pub(super) secrets: BTreeMap<ObjectName, bool>,
    pub(super) routes: BTreeMap<RouteId, Option<Arc<Route>>>,
    clusters: BTreeMap<ClusterId, Option<Arc<Cluster>>>,
    pub(super) splits: BTreeMap<SplitId, Option<SplitReport>>,
    pub(super) statuses: BTreeMap<Subject, Option<Status>>,
    pub(super) pods: BTreeMap<Version, bool>,
    pub(super) leaving: BTreeMap<ObjectName, Option<Leaving>>,
    /// Pods that some backend picked or picks although they were chosen to go.
    pub(super) needed: BTreeSet<ObjectName>,
}

impl Pending {
    pub(super) fn replace_backend(&mut self, before: Option<&Backend>, now: Option<&Backend>) {
        if let Some(before) = before {
            self.clusters.insert(before.cluster.id.clone(), None);
        }
        if let Some(now) = now {
            self.clusters.insert(now.cluster.id.clone(), Some(Arc::clone(&now.cluster)));
        }
        self.needed.extend(before.into_iter().chain(now).flat_map(|it| &it.needed).cloned());
    }

    /// Brings `compiled` up to date and says what differs.
    pub(super) fn settle(self, compiled: &mut Compiled) -> Delta {
        let Self {
            listeners,
            certificates,
            server_names,
            tcp_routes,
            ports,
            hosts,
            rules,
            secrets,
            routes,
            clusters,
            splits,
            statuses,
            pods,
            leaving,
            needed: _,
        } = self;
        let mut delta = Delta::default();
        let config = &mut compiled.config;
        let mut changes = Changes::default();
        changes.take(settle(&mut config.certificates, certificates), Change::Certificate, Key::Certificate);
        changes.take(settle(&mut config.listeners, listeners), Change::Listener, Key::Listener);
        changes.take(settle(&mut config.hosts, server_names), Change::Host, Key::Host);
        changes.take(settle(&mut config.clusters, clusters), Change::Cluster, Key::Cluster);
        changes.take(settle(&mut config.tcp_routes, tcp_routes), Change::TcpRoute, Key::TcpRoute);
        changes.take(settle(&mut config.routes, routes), Change::Route, Key::Route);
        delta.changes = changes.in_order();
        delta.ports = settle(&mut compiled.ports, ports);
        delta.hosts = settle(&mut compiled.hosts, hosts);
        delta.rules = settle(&mut compiled.rules, rules);
        for (secret, wanted) in secrets {
            let known = &mut compiled.secrets;
            let differs = if wanted { known.insert(secret.clone()) } else { known.remove(&secret) };
            if differs {
                delta.secrets.insert(secret, wanted);
            }
        }
        let splits = splits.into_iter().map(|(id, report)| (id, report.map(Arc::new)));
        delta.splits = settle(&mut compiled.splits, splits.collect());
        delta.statuses = settle(&mut compiled.statuses, statuses);
        delta.leaving = settle(&mut compiled.leaving, leaving);
        for (version, there) in pods {
            let differs =
                if there { compiled.pods.insert(version.clone()) } else { compiled.pods.remove(&version) };
            if differs {
                delta.pods.insert(version, there);
            }
        }
        delta
    }
}

/// Changes of a configuration: what is named by others before them, and gone after them.
#[derive(Default)]
struct Changes {
    now: Vec<Change>,
    gone: Vec<Change>,
}

impl Changes {
    fn take<K, V>(&mut self, changed: BTreeMap<K, Option<V>>, now: fn(V) -> Change, gone: fn(K) -> Key) {
        for (id, value) in changed {
            match value {
                Some(value) => self.now.push(now(value)),
                None => self.gone.push(Change::Removed(gone(id))),
            }
        }
    }

    fn in_order(self) -> Vec<Change> {
        self.now.into_iter().chain(self.gone.into_iter().rev()).collect()
    }
}

/// Puts the new values into `current` and returns those that differ from what was there.
fn settle<K: Ord + Clone, V: PartialEq + Clone>(
    current: &mut BTreeMap<K, V>,
    new: BTreeMap<K, Option<V>>,
) -> BTreeMap<K, Option<V>> {
    let mut changed = BTreeMap::new();
    for (key, value) in new {
        let differs = match (&value, current.get_mut(&key)) {
            (None, before) => before.is_some(),
            (Some(value), None) => {
                current.insert(key.clone(), value.clone());
                true
            }
            (Some(value), Some(before)) if before == value => false,
            (Some(value), Some(before)) => {
                drop(mem::replace(before, value.clone()));
                true
            }
        };
        if value.is_none() {
            current.remove(&key);
        }
        if differs {
            changed.insert(key, value);
        }
    }
    changed
}
