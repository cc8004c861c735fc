//! What a pass has computed, before it is compared with what there was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::{
    model::{
        Certificate, CertificateId, Change, Cluster, ClusterId, Config, Host, HostId, Key, Listener,
        ListenerId, Route, RouteId, SplitId, TcpRoute, TcpRouteId, Version,
    },
    table::Table,
};

use super::{backend::Backend, wants::Wanted};
use crate::{
    compiled::{Compiled, Delta, Leaving, Rule, SplitReport, Status, Subject},
    edge::{Port, VirtualHost},
    gateway::{Demand, GatewayObjectName, GatewayStatus},
    object::ObjectName,
    scope::Scope,
};

/// New values of one scope by id; `None` is gone. A later entry for the same id replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) listeners: BTreeMap<ListenerId, Option<Arc<Listener>>>,
    pub(super) certificates: BTreeMap<CertificateId, Option<Arc<Certificate>>>,
    pub(super) server_names: BTreeMap<HostId, Option<Arc<Host>>>,
    pub(super) tcp_routes: BTreeMap<TcpRouteId, Option<Arc<TcpRoute>>>,
    pub(super) routes: BTreeMap<RouteId, Option<Arc<Route>>>,
    pub(super) clusters: BTreeMap<ClusterId, Option<Arc<Cluster>>>,
}

/// New values; `None` is gone. A later entry for the same id replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) fleet: Resources,
    pub(super) gateways: BTreeMap<Scope, Resources>,
    pub(super) demands: BTreeMap<Scope, Option<Arc<Demand>>>,
    pub(super) gateway_statuses: BTreeMap<GatewayObjectName, Option<Arc<GatewayStatus>>>,
    pub(super) config_maps: BTreeMap<ObjectName, bool>,
    pub(super) ports: BTreeMap<ListenerId, Option<Arc<Port>>>,
    pub(super) hosts: BTreeMap<HostId, Option<Arc<VirtualHost>>>,
    pub(super) rules: BTreeMap<RouteId, Option<Arc<Rule>>>,
    pub(super) secrets: BTreeMap<ObjectName, bool>,
    pub(super) splits: BTreeMap<SplitId, Option<SplitReport>>,
    pub(super) statuses: BTreeMap<Subject, Option<Status>>,
    pub(super) pods: BTreeMap<Version, bool>,
    pub(super) leaving: BTreeMap<ObjectName, Option<Leaving>>,
    /// Pods that some backend picked or picks although they were chosen to go.
    pub(super) needed: BTreeSet<ObjectName>,
}

impl Pending {
    /// What of a scope is new.
    pub(super) fn scope(&mut self, scope: &Scope) -> &mut Resources {
        match scope {
            Scope::Fleet => &mut self.fleet,
            Scope::Gateway(_) | Scope::Class(_) => self.gateways.entry(scope.clone()).or_default(),
        }
    }

    /// Something is needed now, or no longer.
    pub(super) fn want(&mut self, wanted: &Wanted, needed: bool) {
        match wanted {
            Wanted::Secret(name) => self.secrets.insert(name.clone(), needed),
            Wanted::ConfigMap(name) => self.config_maps.insert(name.clone(), needed),
        };
    }

    /// Puts the cluster of a backend in the place of another.
    pub(super) fn replace_backend(&mut self, scope: &Scope, before: Option<&Backend>, now: Option<&Backend>) {
        let clusters = &mut self.scope(scope).clusters;
        if let Some(before) = before {
            clusters.insert(before.cluster.id.clone(), None);
        }
        if let Some(now) = now {
            clusters.insert(now.cluster.id.clone(), Some(Arc::clone(&now.cluster)));
        }
        self.needed.extend(before.into_iter().chain(now).flat_map(|it| &it.needed).cloned());
    }

    /// Brings `compiled` up to date and says what differs.
    pub(super) fn settle(self, compiled: &mut Compiled) -> Delta {
        let Self {
            fleet,
            gateways,
            demands,
            gateway_statuses,
            config_maps,
            ports,
            hosts,
            rules,
            secrets,
            splits,
            statuses,
            pods,
            leaving,
            needed: _,
        } = self;
        let mut delta = Delta { changes: fleet.settle(&mut compiled.config), ..Delta::default() };
        delta.demands = settle(&mut compiled.demands, demands);
        compiled.gateways.retain(|scope, _| compiled.demands.contains_key(scope));
        for scope in compiled.demands.keys() {
            compiled.gateways.entry(scope.clone()).or_default();
        }
        for (scope, resources) in gateways {
            let Some(config) = compiled.gateways.get_mut(&scope) else { continue };
            let changes = resources.settle(config);
            if !changes.is_empty() {
                delta.gateways.insert(scope, changes);
            }
        }
        delta.ports = settle(&mut compiled.ports, ports);
        delta.hosts = settle(&mut compiled.hosts, hosts);
        delta.rules = settle(&mut compiled.rules, rules);
        delta.secrets = settle_names(&mut compiled.secrets, secrets);
        delta.config_maps = settle_names(&mut compiled.config_maps, config_maps);
        let splits = splits.into_iter().map(|(id, report)| (id, report.map(Arc::new)));
        delta.splits = settle(&mut compiled.splits, splits.collect());
        delta.statuses = settle(&mut compiled.statuses, statuses);
        delta.gateway_statuses = settle(&mut compiled.gateway_statuses, gateway_statuses);
        delta.leaving = settle(&mut compiled.leaving, leaving);
        delta.pods = settle_names(&mut compiled.pods, pods);
        delta
    }
}

impl Resources {
    /// Brings `config` up to date and says what differs.
    fn settle(self, config: &mut Config) -> Vec<Change> {
        let Self { listeners, certificates, server_names, tcp_routes, routes, clusters } = self;
        let mut changes = Changes::default();
        changes.take(settle(&mut config.certificates, certificates), Change::Certificate, Key::Certificate);
        changes.take(settle(&mut config.listeners, listeners), Change::Listener, Key::Listener);
        changes.take(settle(&mut config.hosts, server_names), Change::Host, Key::Host);
        changes.take(settle(&mut config.clusters, clusters), Change::Cluster, Key::Cluster);
        changes.take(settle(&mut config.tcp_routes, tcp_routes), Change::TcpRoute, Key::TcpRoute);
        changes.take(settle(&mut config.routes, routes), Change::Route, Key::Route);
        changes.in_order()
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

/// Puts the names that are there now (`true`) into `current`, takes the others out, and returns those that differ.
fn settle_names<K: Ord + Clone>(current: &mut BTreeSet<K>, new: BTreeMap<K, bool>) -> BTreeMap<K, bool> {
    let differs = |(name, there): &(K, bool)| {
        if *there { current.insert(name.clone()) } else { current.remove(name) }
    };
    new.into_iter().filter(differs).collect()
}

/// Puts the new values into `current` and returns those that differ from what was there.
fn settle<K: Ord + Clone, V: PartialEq + Clone>(
    current: &mut impl Entries<K, V>,
    new: BTreeMap<K, Option<V>>,
) -> BTreeMap<K, Option<V>> {
    if current.is_empty() {
        // All at once, which costs no search.
        let there = new.into_iter().filter(|(_, value)| value.is_some());
        let changed: BTreeMap<K, Option<V>> = there.collect();
        *current = changed.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        return changed;
    }
    let differs = |(key, value): &(K, Option<V>)| match value {
        None => current.remove(key).is_some(),
        Some(value) if current.get(key) == Some(value) => false,
        Some(value) => {
            current.insert(key.clone(), value.clone());
            true
        }
    };
    new.into_iter().filter(differs).collect()
}

/// A map, of either kind.
trait Entries<K, V>: FromIterator<(K, V)> {
    fn is_empty(&self) -> bool;
    fn get(&self, key: &K) -> Option<&V>;
    fn insert(&mut self, key: K, value: V) -> Option<V>;
    fn remove(&mut self, key: &K) -> Option<V>;
}

macro_rules! entries {
    ($map:ident) => {
        impl<K: Ord + Clone, V: Clone> Entries<K, V> for $map<K, V> {
            fn is_empty(&self) -> bool {
                self.is_empty()
            }

            fn get(&self, key: &K) -> Option<&V> {
                self.get(key)
            }

            fn insert(&mut self, key: K, value: V) -> Option<V> {
                self.insert(key, value)
            }

            fn remove(&mut self, key: &K) -> Option<V> {
                self.remove(key)
            }
        }
    };
}

entries!(BTreeMap);
entries!(Table);
