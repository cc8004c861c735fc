//! Everything that the holder of the lease knows about its proxies, and what it owes to whom. No clock, no socket:
//! the services of this module feed it and send what it gives.
//!
//! Proxies are of one *scope* each: the fleet that all Mappings and Ingresses share, one Gateway, or a class whose Gateways
//! share them. `scoped.rs` has all that concerns one of them. Here is what they have in common: who belongs to which, and what a watcher is told.

mod cohorts;
mod loads;
mod pods;
mod scoped;
mod tries;
mod updates;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use operator_gateways::Names;
use operator_routes::{Compiled, Delta, Leaving, ObjectName, Scope, SplitReport, gateway::Demand};
use proxy_config::{
    features::Features,
    model::{Change, Config, Epoch, Position, SplitId, Version},
    wire::traffic::Update,
};
use tokio::time::Instant;

use self::{cohorts::Cohorts, loads::Load, pods::PodLoad, scoped::Scoped, tries::Untold};
pub(crate) use self::{
    cohorts::{Cohort, CohortKey},
    tries::{Tries, TriesKey},
};
use super::fleet::{Connection, Counted, ProxyId, Report};

/// The pods behind the Service of each scope, by uid.
pub(crate) type Endpoints = BTreeMap<Scope, BTreeMap<String, ObjectName>>;

/// The holder's state in one epoch.
#[derive(Debug)]
pub(crate) struct State {
    epoch: Epoch,
    /// That of the fleet, and of all proxies that some Gateway asks for, or that are still there.
    scopes: BTreeMap<Scope, Scoped>,
    /// The scope of each `ServiceAccount` of proxies, beside that of the fleet.
    accounts: BTreeMap<ObjectName, Scope>,
    /// Those that no Gateway asks for any more, and whose proxies are there.
    gone: BTreeSet<Scope>,
    /// The Gateways that the proxies of a class serve.
    members: BTreeMap<Scope, BTreeSet<ObjectName>>,
    endpoints: Endpoints,
    /// Where each split is.
    homes: BTreeMap<SplitId, Scope>,
    /// Versions of which there are pods.
    versions: BTreeSet<Version>,
    leaving: BTreeMap<ObjectName, Leaving>,
    cohorts: Cohorts,
    watchers: BTreeMap<WatcherId, Watcher>,
    next_watcher: u64,
}

/// What a proxy says when it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The snapshot it serves now.
    pub(crate) last: Option<Position>,
    /// That snapshot's content.
    pub(crate) digest: String,
    /// What it can do.
    pub(crate) features: Features,
}

/// One stream of one proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Whose configuration it carries.
    pub(crate) scope: Scope,
    /// The proxy.
    pub(crate) id: ProxyId,
    connection: Connection,
}

/// A commit to send: the changes, then the position that closes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// In any order.
    pub(crate) changes: Vec<Change>,
    /// Of the commit.
    pub(crate) position: Position,
    /// Whether the changes are the whole configuration.
    pub(crate) full: bool,
}

/// Names a watcher of the traffic service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatcherId(u64);

/// One who watches, and what was said last.
#[derive(Debug, Default)]
struct Watcher {
    news: News,
    told: BTreeMap<Version, Load>,
    told_pods: BTreeMap<ObjectName, PodLoad>,
    /// All that was known when the watch began has been sent.
    complete: bool,
}

/// What has changed since.
#[derive(Clone, Debug, Default)]
struct News {
    splits: BTreeSet<SplitId>,
    fleet: bool,
    loads: bool,
    cohorts: BTreeSet<CohortKey>,
    tries: Untold,
}

/// What a proxy has counted, beside its [`Report`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// By the second in which requests began.
    pub(crate) cohorts: Vec<(CohortKey, Cohort)>,
    /// That have ended since it told the last time.
    pub(crate) tries: Vec<(TriesKey, Tries)>,
}

impl State {
    /// Begins an epoch with everything compiled so far and the pods behind the Services of the proxies.
    pub(crate) fn new(epoch: Epoch, compiled: &Compiled, endpoints: Endpoints) -> Self {
        let mut state = Self {
            epoch,
            scopes: BTreeMap::new(),
            accounts: BTreeMap::new(),
            gone: BTreeSet::new(),
            members: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            homes: BTreeMap::new(),
            versions: compiled.pods.clone(),
            leaving: compiled.leaving.clone(),
            cohorts: Cohorts::default(),
            watchers: BTreeMap::new(),
            next_watcher: 0,
        };
        for scope in [Scope::Fleet].into_iter().chain(compiled.gateways.keys().cloned()) {
            let config = compiled.config_of(&scope).cloned().unwrap_or_default();
            state.scopes.insert(scope, Scoped::new(epoch, config, &compiled.leaving));
        }
        for (scope, demand) in &compiled.demands {
            state.open(scope, demand);
        }
        for (id, report) in &compiled.splits {
            state.homes.insert(id.clone(), report.scope.clone());
            state.scoped(&report.scope).begin_split(id, report);
        }
        state.set_endpoints(endpoints);
        state
    }

    /// Takes what the compiler has changed.
    pub(crate) fn publish(&mut self, delta: &Delta) {
        // Classes come last, and first here: who leaves proxies of its own may have moved to those of its class.
        for (scope, demand) in delta.demands.iter().rev() {
            match demand {
                Some(demand) => self.open(scope, demand),
                None => self.close(scope),
            }
        }
        for (version, there) in &delta.pods {
            if *there {
                self.versions.insert(version.clone());
            } else {
                self.versions.remove(version);
            }
        }
        for (pod, leaving) in &delta.leaving {
            match leaving {
                Some(leaving) => drop(self.leaving.insert(pod.clone(), leaving.clone())),
                None => drop(self.leaving.remove(pod)),
            }
        }
        let mut splits: BTreeMap<Scope, BTreeMap<&SplitId, Option<&Arc<SplitReport>>>> = BTreeMap::new();
        for (id, report) in &delta.splits {
            let before = match report {
                Some(report) => self.homes.insert(id.clone(), report.scope.clone()),
                None => self.homes.remove(id),
            };
            // One that moves leaves the other proxies, unless nobody tells these anything any more.
            let elsewhere = |before: &Scope| report.as_ref().is_none_or(|it| it.scope != *before);
            if let Some(before) = before.filter(|it| elsewhere(it) && !self.gone.contains(it)) {
                splits.entry(before).or_default().insert(id, None);
            }
            if let Some(report) = report {
                splits.entry(report.scope.clone()).or_default().insert(id, Some(report));
            }
        }
        let none = BTreeMap::new();
        // What concerns all of them is news for each.
        let mut touched: BTreeSet<Scope> = if delta.leaving.is_empty() {
            delta.gateways.keys().chain(splits.keys()).cloned().collect()
        } else {
            self.scopes.keys().cloned().collect()
        };
        touched.extend((!delta.changes.is_empty()).then_some(Scope::Fleet));
        for scope in &touched {
            let Some(scoped) = self.scopes.get_mut(scope) else { continue };
            let splits = splits.get(scope).unwrap_or(&none);
            scoped.publish(delta.changes_of(scope), splits, &delta.leaving);
        }
        touched.extend(delta.demands.keys().cloned());
        if !delta.pods.is_empty() {
            for watcher in self.watchers.values_mut() {
                watcher.news.loads = true;
            }
        }
        self.pass_news_on(&touched);
    }

    /// The pods behind the Services of the proxies are these now.
    pub(crate) fn set_endpoints(&mut self, endpoints: Endpoints) {
        let before = std::mem::replace(&mut self.endpoints, endpoints);
        let known: BTreeSet<&Scope> = before.keys().chain(self.endpoints.keys()).collect();
        let differs = |scope: &&Scope| before.get(*scope) != self.endpoints.get(*scope);
        let touched: BTreeSet<Scope> = known.into_iter().filter(differs).cloned().collect();
        for scope in &touched {
            let now = self.endpoints.get(scope).cloned().unwrap_or_default();
            if let Some(scoped) = self.scopes.get_mut(scope) {
                scoped.set_endpoints(now);
            }
        }
        self.pass_news_on(&touched);
    }

    /// The scope of the proxies of a `ServiceAccount`; `None`: it is not that of a Gateway's proxies.
    pub(crate) fn scope_of(&self, service_account: &ObjectName) -> Option<&Scope> {
        self.accounts.get(service_account)
    }

    /// A proxy has opened a stream and said hello; `None`: there is no such scope.
    pub(crate) fn connect(
        &mut self,
        scope: &Scope,
        id: &ProxyId,
        name: ObjectName,
        hello: &Hello,
    ) -> Option<Seat> {
        let connection = self.scopes.get_mut(scope)?.connect(id, name, hello);
        self.pass_news_on([scope]);
        Some(Seat { scope: scope.clone(), id: id.clone(), connection })
    }

    /// A stream has ended.
    pub(crate) fn disconnect(&mut self, seat: &Seat) {
        self.on(seat, |scoped, Seat { id, connection, .. }| scoped.disconnect(id, *connection));
    }

    /// Whether this is the proxy's newest stream; another one ends.
    pub(crate) fn is_current(&self, seat: &Seat) -> bool {
        self.scopes.get(&seat.scope).is_some_and(|scoped| scoped.is_current(&seat.id, seat.connection))
    }

    /// A proxy serves a commit. Returns how long that took, or nothing if it was not waited for.
    pub(crate) fn acknowledge(&mut self, seat: &Seat, position: Position, now: Instant) -> Option<Duration> {
        self.on(seat, |scoped, Seat { id, connection, .. }| {
            scoped.acknowledge(id, *connection, position, now)
        })
        .flatten()
    }

    /// A proxy refuses a commit. It is not sent again before something changes.
    pub(crate) fn refuse(&mut self, seat: &Seat, position: Position, reason: String) {
        self.on(seat, |scoped, Seat { id, connection, .. }| scoped.refuse(id, *connection, position, reason));
    }

    /// A proxy tells of its requests under way, and at the second `now` of those that it has counted. Says whether that
    /// is news.
    pub(crate) fn report(&mut self, seat: &Seat, report: Report, tally: Tally, now: i64) -> bool {
        let Tally { cohorts, tries } = if self.is_current(seat) { tally } else { Tally::default() };
        let cohorts = self.cohorts.take(&seat.id, cohorts, now);
        let tries = self.of_versions(&seat.scope, &tries);
        for watcher in self.watchers.values_mut() {
            watcher.news.cohorts.extend(cohorts.iter().cloned());
            watcher.news.tries.add(&tries);
        }
        let loads =
            self.on(seat, |scoped, Seat { id, connection, .. }| scoped.report(id, *connection, report));
        !cohorts.is_empty() || !tries.is_empty() || loads == Some(true)
    }

    /// The next commit for a proxy, if there is one that it may be sent now.
    pub(crate) fn next_commit(&mut self, seat: &Seat, now: Instant) -> Option<Outgoing> {
        self.on(seat, |scoped, Seat { id, connection, .. }| scoped.next_commit(id, *connection, now))
            .flatten()
    }

    /// Begins a watch of what the proxies serve.
    pub(crate) fn watch(&mut self) -> WatcherId {
        self.next_watcher += 1;
        let id = WatcherId(self.next_watcher);
        let splits = self.scopes.values().flat_map(|scoped| scoped.splits().keys().cloned()).collect();
        let cohorts = self.cohorts.keys().cloned().collect();
        let news = News { splits, fleet: true, loads: true, cohorts, tries: Untold::default() };
        self.watchers.insert(id, Watcher { news, ..Watcher::default() });
        id
    }

    /// Ends a watch.
    pub(crate) fn unwatch(&mut self, id: WatcherId) {
        self.watchers.remove(&id);
    }

    /// The next of what a watcher has not been told yet; `None`: it knows everything.
    pub(crate) fn next_update(&mut self, id: WatcherId) -> Option<Update> {
        let mut watcher = self.watchers.remove(&id)?;
        let update = self.update_for(&mut watcher);
        self.watchers.insert(id, watcher);
        update
    }

    /// How many proxies count, and how many of them serve the newest configuration and nothing else.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let each = self.scopes.values().map(Scoped::progress);
        each.fold((0, 0), |(counted, current), (more, newest)| (counted + more, current + newest))
    }

    /// The proxies of each scope that may carry traffic.
    pub(crate) fn counted(&self) -> BTreeMap<Scope, Vec<Counted>> {
        self.scopes.iter().map(|(scope, scoped)| (scope.clone(), scoped.counted().to_vec())).collect()
    }

    /// The tries by version, each as often as it counts.
    fn of_versions(&self, scope: &Scope, tries: &[(TriesKey, Tries)]) -> Vec<(Version, Tries)> {
        let scoped = self.scopes.get(scope);
        let of = |(key, tries): &(TriesKey, Tries)| {
            let split = scoped.and_then(|scoped| scoped.newest(&key.split)).map(AsRef::as_ref);
            let versions = tries::versions(key, split).into_iter();
            versions.map(|version| (version, tries.clone())).collect::<Vec<_>>()
        };
        tries.iter().flat_map(of).collect()
    }

    /// Somebody asks for these proxies: they may come.
    fn open(&mut self, scope: &Scope, demand: &Demand) {
        let Some(names) = Names::of_scope(scope, &demand.class) else { return };
        if self.gone.remove(scope) {
            // What they were left with is not what the changes begin with.
            self.scoped(scope).clear();
        }
        let account = names.service_account();
        self.accounts.retain(|_, other| other != scope);
        // Nobody takes another's, whatever they are called.
        self.accounts.entry(account.clone()).or_insert_with(|| scope.clone());
        self.members.insert(scope.clone(), demand.members.keys().cloned().collect());
        self.scoped(scope);
    }

    /// Nobody asks for these proxies any more. They lose what they have, and are known until they are gone as well. Those
    /// whose Gateway has moved to the proxies of its class, or from these to its own, keep it: connections end there as
    /// they began.
    fn close(&mut self, scope: &Scope) {
        let left = self.members.remove(scope).unwrap_or_default();
        let moved = match scope {
            Scope::Gateway(gateway) => self.members.values().any(|members| members.contains(gateway)),
            Scope::Class(_) => left.into_iter().any(|it| self.members.contains_key(&Scope::Gateway(it))),
            Scope::Fleet => false,
        };
        if let Some(scoped) = self.scopes.get_mut(scope) {
            if !moved {
                scoped.clear();
            }
            self.gone.insert(scope.clone());
        }
    }

    /// A scope, which begins empty if it is new.
    fn scoped(&mut self, scope: &Scope) -> &mut Scoped {
        let (epoch, leaving) = (self.epoch, &self.leaving);
        let endpoints = self.endpoints.get(scope);
        self.scopes.entry(scope.clone()).or_insert_with(|| {
            let mut scoped = Scoped::new(epoch, Config::default(), leaving);
            // They may be known for longer than the Gateway.
            scoped.set_endpoints(endpoints.cloned().unwrap_or_default());
            scoped
        })
    }

    /// Works on the scope of a stream.
    fn on<T>(&mut self, seat: &Seat, work: impl FnOnce(&mut Scoped, &Seat) -> T) -> Option<T> {
        let done = self.scopes.get_mut(&seat.scope).map(|scoped| work(scoped, seat));
        self.pass_news_on([&seat.scope]);
        done
    }

    /// Lets the watchers know what is new of these scopes, and forgets those of which nothing is left.
    fn pass_news_on<'a>(&mut self, touched: impl IntoIterator<Item = &'a Scope>) {
        for scope in touched {
            let Some(scoped) = self.scopes.get_mut(scope) else { continue };
            let (news, deserted) = (scoped.take_news(), scoped.is_deserted());
            for watcher in self.watchers.values_mut() {
                watcher.news.splits.extend(news.splits.iter().cloned());
                watcher.news.fleet |= news.fleet;
                watcher.news.loads |= news.loads;
            }
            if deserted && self.gone.remove(scope) {
                self.scopes.remove(scope);
                self.accounts.retain(|_, other| other != scope);
            }
        }
    }
}

#[cfg(test)]
mod tests;
