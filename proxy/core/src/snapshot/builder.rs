//! From one configuration to the next snapshot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use proxy_config::{
    model::{self, Config, HostMatch, RouteId, SplitId, TcpRouteId},
    pattern::{self, PatternError},
};
use regex::Regex;

use super::{
    Cluster, CounterKey, MirrorCounters, PodLoad, Refused, Rule, Snapshot, TcpRule, Transform, VersionLoad,
    difference::{Difference, Users},
    parts::Parts,
    pieces::Clusters,
    registry::Registry,
    rules::Rules,
    tcp,
};
use crate::{
    cohorts::Cohorts,
    counters::ArmCounters,
    endpoint::EndpointId,
    latency::Counted,
    names::Names,
    router::{Hosts, Matcher, Slot},
};

/// Makes snapshots and owns what outlives them. One per process.
#[derive(Debug, Default)]
pub struct Builder {
    /// Where the proxy is.
    zone: Option<Arc<str>>,
    /// What the newest snapshot was made from.
    config: Arc<Config>,
    registry: Registry,
    slots: BTreeMap<RouteId, Slot>,
    free: Vec<Slot>,
    /// By slot; those that are not free have one.
    matchers: Vec<Option<Arc<Matcher>>>,
    rules: Rules,
    hosts: Arc<Hosts>,
    clusters: Clusters,
    /// Those of them whose endpoints are asked how they are.
    checked: Arc<[Arc<Cluster>]>,
    users: Users,
    names: Arc<Names<Arc<model::Host>>>,
    /// What arms do that change nothing.
    untouched: Arc<Transform>,
    connections: BTreeMap<TcpRouteId, Arc<TcpRule>>,
    tcp: Arc<tcp::TcpRules>,
}

/// What of a difference may fail, done before anything is changed.
#[derive(Default)]
struct Compiled {
    matchers: BTreeMap<RouteId, Matcher>,
    parts: BTreeMap<RouteId, Parts>,
    hosts: HashMap<HostMatch, Regex>,
}

impl Builder {
    /// For a proxy in this zone; `None`: nobody knows where it is, and no endpoint is nearer than another.
    #[must_use]
    pub fn in_zone(zone: Option<Arc<str>>) -> Self {
        Self { zone, ..Self::default() }
    }

    /// The snapshot of a validated configuration. It shares with the last one what did not change.
    ///
    /// `random` is asked for each draw that did not exist before. A pattern that does not compile leaves
    /// everything as it was.
    pub fn build(
        &mut self,
        config: Arc<Config>,
        mut random: impl FnMut() -> u64,
    ) -> Result<Arc<Snapshot>, PatternError> {
        let difference = Difference::between(&self.config, &self.users, &config);
        let compiled = self.compile(&config, &difference)?;
        let past = std::mem::replace(&mut self.config, config);
        let Compiled { matchers, parts, hosts } = compiled;
        self.users.follow(&past, &self.config, &difference);
        self.update_clusters(&difference);
        self.update_matchers(&past, &difference, matchers, &hosts);
        self.update_rules(&difference, parts, &mut random);
        self.update_connections(&difference, &mut random);
        self.forget_splits(&past, &difference);
        if past.hosts != self.config.hosts {
            let mut names = Names::default();
            for host in self.config.hosts.values() {
                host.names.iter().for_each(|name| names.insert(name, Arc::clone(host)));
            }
            self.names = Arc::new(names);
        }
        Ok(Arc::new(Snapshot {
            hosts: Arc::clone(&self.hosts),
            rules: self.rules.clone(),
            clusters: self.clusters.clone(),
            checked: Arc::clone(&self.checked),
            names: Arc::clone(&self.names),
            tcp: Arc::clone(&self.tcp),
            config: Arc::clone(&self.config),
        }))
    }

    /// The requests that each version has now; versions without any are not named.
    #[must_use]
    pub fn loads(&self) -> Vec<VersionLoad> {
        self.registry.loads()
    }

    /// The requests that each pod has now which gets no new ones; pods without any are not named.
    #[must_use]
    pub fn draining(&self) -> Vec<PodLoad> {
        self.registry.draining()
    }

    /// All counters of arms.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<ArmCounters>> {
        self.registry.all_counters()
    }

    /// A second begins, in Unix time: what is compared, and what is going to be, can be counted in it.
    pub fn begin_second(&mut self, now: i64) {
        self.registry.begin_second(now);
    }

    /// What is compared: of which split, arm and version.
    pub fn cohorts(&self) -> impl Iterator<Item = (CounterKey<'_>, &Cohorts)> {
        self.registry.all_cohorts()
    }

    /// How many endpoints get new requests only where there is nobody else, because they do not pass a health check.
    #[must_use]
    pub fn unhealthy(&self) -> usize {
        self.registry.unhealthy()
    }

    /// The latencies of arms that are gone: with those of [`Self::counters`] a sum that only grows.
    #[must_use]
    pub fn retired_latencies(&self) -> &Counted {
        self.registry.retired()
    }

    /// All counters of mirrors.
    pub fn mirrors(&self) -> impl Iterator<Item = &Arc<MirrorCounters>> {
        self.registry.all_mirrors()
    }

    /// All counters of refusals that configurations asked for.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.registry.all_refused()
    }

    fn compile(&self, config: &Config, difference: &Difference) -> Result<Compiled, PatternError> {
        let mut compiled = Compiled::default();
        let mut unused = self.free.iter().copied().chain((self.matchers.len()..).map(Slot));
        for id in &difference.matches {
            let Some(route) = config.routes.get(id) else { continue };
            let slot = self.slots.get(id).copied().or_else(|| unused.next());
            let Some(slot) = slot else { continue };
            compiled.matchers.insert(id.clone(), Matcher::new(route, slot)?);
            if let HostMatch::Regex(text) = &route.host {
                compiled.hosts.insert(route.host.clone(), pattern::compile(text)?);
            }
        }
        for id in &difference.routes {
            let Some(route) = config.routes.get(id) else { continue };
            let past = self.slots.get(id).and_then(|slot| self.rules.get(*slot)).map(AsRef::as_ref);
            compiled.parts.insert(id.clone(), Parts::new(route, past, &self.untouched)?);
        }
        Ok(compiled)
    }

    fn update_clusters(&mut self, difference: &Difference) {
        let mut touches_checks = false;
        for id in &difference.clusters {
            let before = self.clusters.remove(id);
            let now = self.config.clusters.get(id);
            let now = now.map(|it| Arc::new(self.registry.cluster(it, self.zone.as_deref())));
            // Endpoints of clusters that no arm names get no requests either, which is not known here.
            mark_endpoints(before.as_deref(), now.as_deref());
            let is_checked = |cluster: Option<&Arc<Cluster>>| cluster.is_some_and(|it| !it.checks.is_empty());
            touches_checks |= is_checked(before.as_ref()) || is_checked(now.as_ref());
            if let Some(now) = now {
                self.clusters.insert(id.clone(), now);
            } else {
                self.registry.forget_cluster(id);
            }
        }
        if touches_checks {
            self.checked = self.clusters.values().filter(|it| !it.checks.is_empty()).cloned().collect();
        }
    }

    fn update_matchers(
        &mut self,
        past: &Config,
        difference: &Difference,
        matchers: BTreeMap<RouteId, Matcher>,
        regexes: &HashMap<HostMatch, Regex>,
    ) {
        if difference.matches.is_empty() {
            return;
        }
        let hosts = Arc::make_mut(&mut self.hosts);
        for id in &difference.matches {
            let Some((route, slot)) = past.routes.get(id).zip(self.slots.get(id)) else { continue };
            if let Some(matcher) = self.matchers[slot.0].take() {
                hosts.remove(route, &matcher);
            }
        }
        let taken: HashSet<Slot> = matchers.values().map(|it| it.slot).collect();
        self.free.retain(|slot| !taken.contains(slot));
        for (id, matcher) in matchers {
            let Some(route) = self.config.routes.get(&id) else { continue };
            let slot = matcher.slot;
            if self.matchers.len() <= slot.0 {
                self.matchers.resize(slot.0 + 1, None);
            }
            let matcher = Arc::new(matcher);
            hosts.insert(route, Arc::clone(&matcher), regexes.get(&route.host).cloned());
            self.matchers[slot.0] = Some(matcher);
            self.slots.insert(id, slot);
        }
        for id in difference.matches.iter().filter(|id| !self.config.routes.contains_key(*id)) {
            if let Some(slot) = self.slots.remove(id) {
                self.rules.set(slot, None);
                self.free.push(slot);
            }
        }
    }

    fn update_rules(
        &mut self,
        difference: &Difference,
        mut parts: BTreeMap<RouteId, Parts>,
        mut random: impl FnMut() -> u64,
    ) {
        for id in &difference.routes {
            if let Some((route, slot)) = self.config.routes.get(id).zip(self.slots.get(id)) {
                let parts = parts.remove(id).unwrap_or_default();
                let filters = parts.filters.clone();
                let clients = route.filters.clients.as_ref().map(|limits| self.registry.clients(limits));
                let action = self.registry.action(route, &self.clusters, parts, &mut random);
                let route = Arc::clone(route);
                self.rules.set(*slot, Some(Arc::new(Rule { route, action, filters, clients })));
            }
        }
    }

    fn update_connections(&mut self, difference: &Difference, mut random: impl FnMut() -> u64) {
        if difference.tcp_routes.is_empty() {
            return;
        }
        for id in &difference.tcp_routes {
            let Some(route) = self.config.tcp_routes.get(id) else {
                self.connections.remove(id);
                continue;
            };
            let parts =
                Parts { transforms: tcp::transforms(&route.split, &self.untouched), ..Parts::default() };
            let split = self.registry.split(&route.split, &self.clusters, parts, &mut random);
            self.connections.insert(id.clone(), Arc::new(TcpRule { route: Arc::clone(route), split }));
        }
        self.tcp = Arc::new(tcp::TcpRules::new(self.connections.values()));
    }

    /// Lines of draws and counters live as long as a configuration names their split. No two routes have one split, so
    /// that one which a route had is now with a route that changed as well, or nowhere.
    fn forget_splits(&mut self, past: &Config, difference: &Difference) {
        let of = |config: &Config| -> BTreeSet<SplitId> {
            let routes = difference.routes.iter().filter_map(|id| config.routes.get(id)?.split());
            let tcp = difference.tcp_routes.iter().filter_map(|id| Some(&config.tcp_routes.get(id)?.split));
            routes.chain(tcp).map(|split| split.id.clone()).collect()
        };
        for gone in of(past).difference(&of(&self.config)) {
            self.registry.forget(gone);
        }
    }
}

/// Tells the endpoints of a cluster whether they get new requests.
fn mark_endpoints(before: Option<&Cluster>, now: Option<&Cluster>) {
    let routable =
        |cluster: Option<&Cluster>| cluster.map(|it| it.balancer.endpoints().to_vec()).unwrap_or_default();
    let now = routable(now);
    let stay: HashSet<EndpointId> = now.iter().map(|it| it.id).collect();
    for gone in routable(before).iter().filter(|it| !stay.contains(&it.id)) {
        gone.set_routable(false);
    }
    for endpoint in now {
        endpoint.set_routable(true);
    }
}

pub(super) fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
