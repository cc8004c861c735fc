//! What a pass has computed, before it is compared with what there was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{
    Certificate, CertificateId, Change, Cluster, ClusterId, Config, Host, HostId, Key, Listener, ListenerId,
    Route, RouteId, SplitId, TcpRoute, TcpRouteId, Version,
};

use super::{backend::Backend, entries::Entries, wants::Wanted};
use crate::{
    compiled::{Compiled, Delta, Leaving, Rule, SplitReport, Status, Subject},
    edge::{Port, VirtualHost},
    gateway::{Demand, GatewayObjectName, GatewayStatus},
    object::ObjectName,
    scope::Scope,
};

/// New values of one scope.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) listeners: Entries<ListenerId, Arc<Listener>>,
    pub(super) certificates: Entries<CertificateId, Arc<Certificate>>,
    pub(super) server_names: Entries<HostId, Arc<Host>>,
    pub(super) tcp_routes: Entries<TcpRouteId, Arc<TcpRoute>>,
    pub(super) routes: Entries<RouteId, Arc<Route>>,
    pub(super) clusters: Entries<ClusterId, Arc<Cluster>>,
}

/// New values.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) fleet: Resources,
    pub(super) gateways: BTreeMap<Scope, Resources>,
    pub(super) demands: Entries<Scope, Arc<Demand>>,
    pub(super) gateway_statuses: Entries<GatewayObjectName, Arc<GatewayStatus>>,
    pub(super) config_maps: BTreeMap<ObjectName, bool>,
    pub(super) ports: Entries<ListenerId, Arc<Port>>,
    pub(super) hosts: Entries<HostId, Arc<VirtualHost>>,
    pub(super) rules: Entries<RouteId, Arc<Rule>>,
    pub(super) secrets: BTreeMap<ObjectName, bool>,
    pub(super) splits: Entries<SplitId, Arc<SplitReport>>,
    pub(super) statuses: Entries<Subject, Status>,
    pub(super) pods: BTreeMap<Version, bool>,
    pub(super) leaving: Entries<ObjectName, Leaving>,
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
        delta.demands = demands.settle(&mut compiled.demands);
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
        delta.ports = ports.settle(&mut compiled.ports);
        delta.hosts = hosts.settle(&mut compiled.hosts);
        delta.rules = rules.settle(&mut compiled.rules);
        delta.secrets = settle_names(&mut compiled.secrets, secrets);
        delta.config_maps = settle_names(&mut compiled.config_maps, config_maps);
        delta.splits = splits.settle(&mut compiled.splits);
        delta.statuses = statuses.settle(&mut compiled.statuses);
        delta.gateway_statuses = gateway_statuses.settle(&mut compiled.gateway_statuses);
        delta.leaving = leaving.settle(&mut compiled.leaving);
        delta.pods = settle_names(&mut compiled.pods, pods);
        delta
    }
}

impl Resources {
    /// Brings `config` up to date and says what differs.
    fn settle(self, config: &mut Config) -> Vec<Change> {
        let Self { listeners, certificates, server_names, tcp_routes, routes, clusters } = self;
        let mut changes = Changes::default();
        changes.take(certificates.settle(&mut config.certificates), Change::Certificate, Key::Certificate);
        changes.take(listeners.settle(&mut config.listeners), Change::Listener, Key::Listener);
        changes.take(server_names.settle(&mut config.hosts), Change::Host, Key::Host);
        changes.take(clusters.settle(&mut config.clusters), Change::Cluster, Key::Cluster);
        changes.take(tcp_routes.settle(&mut config.tcp_routes), Change::TcpRoute, Key::TcpRoute);
        changes.take(routes.settle(&mut config.routes), Change::Route, Key::Route);
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
    fn take<K, V>(&mut self, changed: Vec<(K, Option<V>)>, now: fn(V) -> Change, gone: fn(K) -> Key) {
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
