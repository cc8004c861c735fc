//! From one configuration to the next snapshot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use proxy_config::{
    model::{
        self, ClusterId, Config, HostMatch, Route, RouteId, Share, SplitId, TcpRouteId, UpstreamProtocol,
        Version,
    },
    pattern::{self, PatternError},
};
use regex::Regex;

use super::{
    Action, Arm, ArmCohorts, Cluster, CounterKey, Mirror, MirrorCounters, Near, PodLoad, Refusal, Refused,
    Rule, Snapshot, Split, TcpRule, Transform, VersionLoad, parts::Parts, registry::Registry, tcp,
};
use crate::{
    balance::Balancer,
    breaker::Breaker,
    cohorts::Cohorts,
    counters::ArmCounters,
    endpoint::EndpointId,
    latency::Counted,
    names::Names,
    outlier,
    router::{Hosts, Matcher, Paths, Slot},
    split::Draw,
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
    matchers: Vec<Option<Arc<Matcher>>>,
    rules: Vec<Option<Arc<Rule>>>,
    buckets: BTreeMap<HostMatch, BTreeSet<RouteId>>,
    hosts: Arc<Hosts>,
    clusters: Arc<HashMap<ClusterId, Arc<Cluster>>>,
    names: Arc<Names<Arc<model::Host>>>,
    connections: BTreeMap<TcpRouteId, Arc<TcpRule>>,
    tcp: Arc<tcp::TcpRules>,
}

/// What differs between two configurations.
#[derive(Default)]
struct Difference {
    clusters: BTreeSet<ClusterId>,
    /// New, changed, gone, or with an arm on a changed cluster.
    routes: BTreeSet<RouteId>,
    /// Of these, the ones that match differently.
    matches: BTreeSet<RouteId>,
    /// As `routes`.
    tcp_routes: BTreeSet<TcpRouteId>,
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
        let difference = Difference::between(&self.config, &config);
        let compiled = self.compile(&config, &difference)?;
        let past = std::mem::replace(&mut self.config, config);
        let Compiled { matchers, parts, hosts } = compiled;
        self.update_clusters(&difference);
        self.update_matchers(&past, &difference, matchers, hosts);
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
        self.mark_endpoints();
        Ok(Arc::new(Snapshot {
            hosts: Arc::clone(&self.hosts),
            rules: self.rules.clone().into(),
            clusters: Arc::clone(&self.clusters),
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

    /// A second begins, in Unix time: what is compared can be counted in it.
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
            let past = self.slots.get(id).and_then(|slot| self.rules.get(slot.0)?.as_deref());
            compiled.parts.insert(id.clone(), Parts::new(route, past)?);
        }
        Ok(compiled)
    }

    fn update_clusters(&mut self, difference: &Difference) {
        if difference.clusters.is_empty() {
            return;
        }
        let clusters = Arc::make_mut(&mut self.clusters);
        for id in &difference.clusters {
            if let Some(cluster) = self.config.clusters.get(id) {
                let cluster = self.registry.cluster(cluster, self.zone.as_deref());
                clusters.insert(id.clone(), Arc::new(cluster));
            } else {
                clusters.remove(id);
                self.registry.forget_cluster(id);
            }
        }
    }

    fn update_matchers(
        &mut self,
        past: &Config,
        difference: &Difference,
        matchers: BTreeMap<RouteId, Matcher>,
        mut hosts: HashMap<HostMatch, Regex>,
    ) {
        let mut touched = BTreeSet::new();
        for id in &difference.matches {
            let Some(route) = past.routes.get(id) else { continue };
            touched.insert(route.host.clone());
            if let Some(bucket) = self.buckets.get_mut(&route.host) {
                bucket.remove(id);
            }
        }
        let taken: HashSet<Slot> = matchers.values().map(|it| it.slot).collect();
        self.free.retain(|slot| !taken.contains(slot));
        for (id, matcher) in matchers {
            let Some(route) = self.config.routes.get(&id) else { continue };
            let slot = matcher.slot;
            if self.matchers.len() <= slot.0 {
                self.matchers.resize(slot.0 + 1, None);
                self.rules.resize(slot.0 + 1, None);
            }
            self.matchers[slot.0] = Some(Arc::new(matcher));
            self.slots.insert(id.clone(), slot);
            touched.insert(route.host.clone());
            self.buckets.entry(route.host.clone()).or_default().insert(id);
        }
        for id in difference.matches.iter().filter(|id| !self.config.routes.contains_key(id)) {
            if let Some(slot) = self.slots.remove(id) {
                self.matchers[slot.0] = None;
                self.rules[slot.0] = None;
                self.free.push(slot);
            }
        }
        for host in touched {
            let regex = hosts.remove(&host);
            self.update_bucket(&host, regex);
        }
    }

    fn update_bucket(&mut self, host: &HostMatch, regex: Option<Regex>) {
        let routes = self.buckets.get(host).into_iter().flatten();
        let rules: Vec<_> = routes
            .filter_map(|id| {
                let matcher = self.matchers[self.slots.get(id)?.0].as_ref()?;
                Some((self.config.routes.get(id)?.as_ref(), matcher))
            })
            .collect();
        let paths = (!rules.is_empty()).then(|| Paths::new(rules.into_iter()));
        if paths.is_none() {
            self.buckets.remove(host);
        }
        Arc::make_mut(&mut self.hosts).set(host, regex, paths);
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
                self.rules[slot.0] = Some(Arc::new(Rule { route, action, filters, clients }));
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
            let parts = Parts { transforms: tcp::transforms(&route.split), ..Parts::default() };
            let split = self.registry.split(&route.split, &self.clusters, parts, &mut random);
            self.connections.insert(id.clone(), Arc::new(TcpRule { route: Arc::clone(route), split }));
        }
        self.tcp = Arc::new(tcp::TcpRules::new(self.connections.values()));
    }

    /// Lines of draws and counters live as long as a configuration names their split.
    fn forget_splits(&mut self, past: &Config, difference: &Difference) {
        let routes = difference.routes.iter().filter_map(|id| split_id(past.routes.get(id)?));
        let tcp = difference.tcp_routes.iter().filter_map(|id| Some(&past.tcp_routes.get(id)?.split.id));
        let mut gone: BTreeSet<_> = routes.chain(tcp).collect();
        if !gone.is_empty() {
            let routes = self.config.routes.values().filter_map(|it| split_id(it));
            for kept in routes.chain(self.config.tcp_routes.values().map(|it| &it.split.id)) {
                gone.remove(kept);
            }
        }
        for split in gone {
            self.registry.forget(split);
        }
    }

    /// Endpoints of clusters that no arm names get no requests either.
    fn mark_endpoints(&mut self) {
        let routed: HashSet<EndpointId> =
            self.clusters.values().flat_map(|it| it.balancer.endpoints()).map(|it| it.id).collect();
        self.registry.set_routable(|endpoint| routed.contains(&endpoint.id));
    }
}

impl Difference {
    fn between(past: &Config, next: &Config) -> Self {
        let mut difference = Self::default();
        for (id, cluster) in &next.clusters {
            if past.clusters.get(id).is_none_or(|it| !same(it, cluster)) {
                difference.clusters.insert(id.clone());
            }
        }
        difference
            .clusters
            .extend(past.clusters.keys().filter(|id| !next.clusters.contains_key(id)).cloned());
        for (id, route) in &next.routes {
            let before = past.routes.get(id);
            if before.is_none_or(|it| !same(it, route)) || difference.touches(route) {
                difference.routes.insert(id.clone());
                if before.is_none_or(|it| !Matcher::asks_the_same(it, route)) {
                    difference.matches.insert(id.clone());
                }
            }
        }
        for id in past.routes.keys().filter(|id| !next.routes.contains_key(id)) {
            difference.routes.insert(id.clone());
            difference.matches.insert(id.clone());
        }
        for (id, route) in &next.tcp_routes {
            let before = past.tcp_routes.get(id);
            if before.is_none_or(|it| !same(it, route)) || difference.touches_split(&route.split) {
                difference.tcp_routes.insert(id.clone());
            }
        }
        let gone = past.tcp_routes.keys().filter(|id| !next.tcp_routes.contains_key(id));
        difference.tcp_routes.extend(gone.cloned());
        difference
    }

    fn touches(&self, route: &Route) -> bool {
        match &route.action {
            model::Action::Split(split) => self.touches_split(split),
            model::Action::Refuse(_) | model::Action::Redirect(_) => false,
        }
    }

    fn touches_split(&self, split: &model::Split) -> bool {
        let arms = split.arms.iter().map(|arm| &arm.cluster);
        arms.chain(split.mirrors.iter().map(|mirror| &mirror.cluster))
            .any(|cluster| self.clusters.contains(cluster))
    }
}

impl Registry {
    fn cluster(&mut self, cluster: &model::Cluster, zone: Option<&str>) -> Cluster {
        let transport = Arc::new((cluster.protocol, cluster.tls.clone()));
        let mut of = |draining: bool| -> Box<[_]> {
            let members = cluster.endpoints.iter().filter(|it| it.draining.is_some() == draining);
            members.map(|it| self.endpoint(&cluster.id, &transport, it)).collect()
        };
        let (routable, draining) = (of(false), of(true));
        // They take turns together, in the zone and out of it.
        let near = Near::new(zone, cluster, &routable, || self.turns(&cluster.id));
        Cluster {
            id: cluster.id.clone(),
            connect_timeout: Duration::from_millis(u64::from(cluster.connect_timeout_ms)),
            protocol: cluster.protocol,
            tls: cluster.tls.is_some(),
            balancer: Balancer::new(routable, &cluster.balance.policy, || self.turns(&cluster.id)),
            near,
            breaker: Breaker::new(cluster.limits, self.usage(&cluster.id)),
            outliers: outlier::Policy::new(&cluster.outliers, || self.interval(&cluster.id)),
            checks: cluster.checks.clone().into(),
            slow_start: cluster.balance.slow_start_ms.map(|it| Duration::from_millis(u64::from(it))),
            absent: cluster.absent,
            draining,
        }
    }

    fn action(
        &mut self,
        route: &Route,
        clusters: &HashMap<ClusterId, Arc<Cluster>>,
        parts: Parts,
        random: impl FnMut() -> u64,
    ) -> Action {
        match &route.action {
            model::Action::Split(split) => Action::Split(self.split(split, clusters, parts, random)),
            model::Action::Refuse(refusal) => Action::Refuse(Refusal {
                status: StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                refused: self.refused(&refusal.reason),
            }),
            model::Action::Redirect(_) => match parts.redirect {
                Some(redirect) => Action::Redirect(redirect),
                // Which is compiled for every redirect.
                None => Action::Refuse(Refusal {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    refused: self.refused("redirect"),
                }),
            },
        }
    }

    fn split(
        &mut self,
        split: &model::Split,
        clusters: &HashMap<ClusterId, Arc<Cluster>>,
        parts: Parts,
        mut random: impl FnMut() -> u64,
    ) -> Split {
        let shares: Vec<_> = split.arms.iter().map(|it| it.share).collect();
        let draw = Draw::new(&shares, |arm| self.line(&split.id, &split.arms[arm].id, &mut random));
        let with_transforms = split.arms.iter().zip(parts.transforms);
        let compares = compares(split, clusters);
        let made = |(arm, transform)| self.arm(split, arm, transform, clusters, compares);
        let arms = with_transforms.map(made).collect();
        self.tidy(&split.id, |id| split.arms.iter().any(|arm| arm.id == *id));
        let with_conditions = split.mirrors.iter().zip(parts.mirrors);
        let mirrors = with_conditions.map(|(mirror, condition)| {
            let (line, counters) = self.mirror(&split.id, &mirror.id, &mut random);
            let others = u32::from(Share::WHOLE.parts() - mirror.share.parts());
            let shares = [mirror.share, Share::of_10000(others).unwrap_or_default()];
            let cluster = clusters
                .get(&mirror.cluster)
                .map_or_else(|| Arc::new(Cluster::missing(&mirror.cluster)), Arc::clone);
            Mirror { cluster, counters, condition, draw: Draw::new(&shares, |_| Arc::clone(&line)) }
        });
        let mirrors = mirrors.collect();
        self.tidy_mirrors(split);
        Split { draw, arms, mirrors }
    }

    fn arm(
        &mut self,
        split: &model::Split,
        arm: &model::Arm,
        transform: Arc<Transform>,
        clusters: &HashMap<ClusterId, Arc<Cluster>>,
        compares: bool,
    ) -> Arm {
        let cluster =
            clusters.get(&arm.cluster).map_or_else(|| Arc::new(Cluster::missing(&arm.cluster)), Arc::clone);
        let members = cluster.balancer.endpoints().iter().chain(&cluster.draining);
        let versions: BTreeSet<&Version> = members.map(|it| &it.version).collect();
        let counters = versions.iter().map(|it| self.counters(&split.id, &arm.id, it)).collect();
        let cohorts = compares.then(|| {
            let mut of = |version: &Version| self.cohorts(&split.id, &arm.id, version);
            let placed = versions.iter().map(|it| (Arc::clone(&it.hash), of(it))).collect();
            ArmCohorts { placed, unplaced: of(&Version::default()) }
        });
        let milliseconds = |it: u32| Duration::from_millis(u64::from(it));
        Arm {
            id: arm.id.clone(),
            share: arm.share,
            transform,
            timeout: arm.timeout_ms.map(milliseconds),
            idle_timeout: arm.idle_timeout_ms.map(milliseconds),
            total_timeout: arm.total_timeout_ms.map(milliseconds),
            counters,
            unplaced: self.counters(&split.id, &arm.id, &Version::default()),
            cohorts,
            cluster,
        }
    }
}

impl Cluster {
    /// Stands in for a cluster that does not exist, which no validated configuration has: it has no endpoints.
    pub(super) fn missing(id: &ClusterId) -> Self {
        Self {
            id: id.clone(),
            connect_timeout: Duration::ZERO,
            protocol: UpstreamProtocol::Http1,
            tls: false,
            balancer: Balancer::default(),
            near: None,
            breaker: Breaker::default(),
            outliers: None,
            checks: Arc::default(),
            slow_start: None,
            absent: false,
            draining: Box::default(),
        }
    }
}

/// Whether requests of the split go to several versions, or may as soon as an arm without pods has some.
fn compares(split: &model::Split, clusters: &HashMap<ClusterId, Arc<Cluster>>) -> bool {
    let carrying = || split.arms.iter().filter(|arm| arm.share > Share::ZERO);
    let members = |arm: &model::Arm| clusters.get(&arm.cluster).map(|it| it.balancer.endpoints());
    let hashes = carrying().filter_map(members).flatten().map(|it| &*it.version.hash);
    let versions: BTreeSet<&str> = hashes.filter(|hash| !hash.is_empty()).collect();
    versions.len() > 1 || !versions.is_empty() && carrying().count() > 1
}

fn split_id(route: &Route) -> Option<&SplitId> {
    match &route.action {
        model::Action::Split(split) => Some(&split.id),
        model::Action::Refuse(_) | model::Action::Redirect(_) => None,
    }
}

pub(super) fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
