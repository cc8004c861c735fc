//! Everything that the holder of the lease knows about its proxies, and what it owes to whom. No clock, no socket:
//! the services of this module feed it and send what it gives.

mod loads;
mod pods;
mod tally;
mod updates;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use operator_routes::{Compiled, Delta, ObjectName, SplitReport};
use proxy_config::{
    features::Features,
    model::{Action, Change, ClusterId, Config, Epoch, Key, Position, RouteId, SplitId, Version},
    wire::traffic::Update,
};
use tokio::time::Instant;

pub(crate) use self::tally::{ArmCount, Count};
use self::{
    loads::{Load, Routability},
    pods::{PodLoad, Pods},
    tally::Tally,
};
use super::{
    fleet::{Connection, Counted, Fleet, ProxyId, Report},
    history::{History, Revision},
    journal::{Journal, key},
};

/// The holder's state in one epoch.
#[derive(Debug)]
pub(crate) struct State {
    epoch: Epoch,
    journal: Journal,
    splits: History<SplitId, Arc<SplitReport>>,
    routability: Routability,
    pods: Pods,
    tally: Tally,
    fleet: Fleet,
    /// As of the last change; what differs from it is news for the watchers.
    counted: Vec<Counted>,
    streams: BTreeMap<ProxyId, Stream>,
    /// What those can do that have connected, for as long as they count.
    features: BTreeMap<ProxyId, Features>,
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

/// One stream of configuration.
#[derive(Debug)]
struct Stream {
    connection: Connection,
    /// What the proxy has; `None`: nothing that changes could be applied to.
    base: Option<Revision>,
    /// A commit was sent on this stream; the first is sent even if nothing changed, to be acknowledged.
    greeted: bool,
    /// Sent, neither acknowledged nor refused. Until then nothing else is sent.
    pending: Option<(Revision, Instant)>,
}

/// One who watches, and what was said last.
#[derive(Debug, Default)]
struct Watcher {
    news: News,
    told: BTreeMap<Version, Load>,
    told_counts: BTreeMap<Version, Count>,
    told_pods: BTreeMap<ObjectName, PodLoad>,
    /// All that was known when the watch began has been sent.
    complete: bool,
}

/// What has changed since.
#[derive(Debug, Default)]
struct News {
    splits: BTreeSet<SplitId>,
    fleet: bool,
    loads: bool,
    counts: bool,
}

impl State {
    /// Begins an epoch with everything compiled so far and the pods behind the proxies' Service.
    pub(crate) fn new(epoch: Epoch, compiled: &Compiled, endpoints: BTreeMap<String, ObjectName>) -> Self {
        let journal = Journal::new(compiled.config.clone());
        let revision = journal.revision();
        let mut state = Self {
            epoch,
            journal,
            splits: History::default(),
            routability: Routability::new(compiled.pods.clone()),
            pods: Pods::new(revision, &compiled.leaving),
            tally: Tally::default(),
            fleet: Fleet::default(),
            counted: Vec::new(),
            streams: BTreeMap::new(),
            features: BTreeMap::new(),
            watchers: BTreeMap::new(),
            next_watcher: 0,
        };
        for (id, report) in &compiled.splits {
            state.routability.replace(revision, None, Some(report));
            state.splits.set(revision, id.clone(), Some(Arc::clone(report)));
        }
        state.set_endpoints(endpoints);
        state
    }

    /// Takes what the compiler has changed.
    pub(crate) fn publish(&mut self, delta: &Delta) {
        let changed: BTreeSet<Key> = delta.changes.iter().map(key).collect();
        let touches = |config: &Config, split: &SplitId| {
            let route = RouteId::new(split.as_str());
            let clusters = arm_clusters(config, &route);
            changed.contains(&Key::Route(route))
                || clusters.iter().any(|it| changed.contains(&Key::Cluster(it.clone())))
        };
        let mut reconfigured: BTreeSet<SplitId> =
            delta.splits.keys().filter(|split| touches(self.journal.config(), split)).cloned().collect();
        if !delta.changes.is_empty() {
            self.journal.apply(&delta.changes);
        }
        reconfigured
            .extend(delta.splits.keys().filter(|split| touches(self.journal.config(), split)).cloned());

        let revision = self.journal.revision();
        for (id, report) in &delta.splits {
            let before = self.splits.at(id, revision).cloned();
            self.routability.replace(revision, before.as_deref(), report.as_deref());
            if reconfigured.contains(id) {
                self.splits.set(revision, id.clone(), report.clone());
            } else {
                self.splits.amend(revision, id.clone(), report.clone());
            }
        }
        for (version, there) in &delta.pods {
            self.routability.set_pods(version, *there);
        }
        self.pods.apply(revision, &delta.leaving);
        for watcher in self.watchers.values_mut() {
            watcher.news.splits.extend(delta.splits.keys().cloned());
            watcher.news.loads = true;
        }
    }

    /// The pods behind the proxies' Service, by uid, are these now.
    pub(crate) fn set_endpoints(&mut self, endpoints: BTreeMap<String, ObjectName>) {
        self.fleet.set_endpoints(endpoints);
        self.recount();
    }

    /// A proxy has opened a stream and said hello.
    pub(crate) fn connect(&mut self, id: &ProxyId, name: ObjectName, hello: &Hello) -> Connection {
        let connection = self.fleet.connect(id, name);
        self.streams.retain(|other, _| other.pod != id.pod);
        let newest = self.journal.revision();
        let of_this_epoch = hello.last.filter(|last| last.epoch == self.epoch && last.seq <= newest);
        let base = if self.journal.is_newest(&hello.digest) {
            Some(newest)
        } else {
            of_this_epoch.map(|last| last.seq)
        };
        self.features.insert(id.clone(), hello.features.clone());
        self.streams.insert(id.clone(), Stream { connection, base, greeted: false, pending: None });
        self.recount();
        connection
    }

    /// A stream has ended.
    pub(crate) fn disconnect(&mut self, id: &ProxyId, connection: Connection) {
        if self.streams.get(id).is_some_and(|stream| stream.connection == connection) {
            self.streams.remove(id);
        }
        self.fleet.disconnect(id, connection);
        self.recount();
    }

    /// Whether this is the proxy's newest stream; another one ends.
    pub(crate) fn is_current(&self, id: &ProxyId, connection: Connection) -> bool {
        self.fleet.is_current(id, connection)
    }

    /// A proxy serves a commit. Returns how long that took, or nothing if it was not waited for.
    pub(crate) fn acknowledge(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        position: Position,
        now: Instant,
    ) -> Option<Duration> {
        if position.epoch != self.epoch || !self.fleet.acknowledge(id, connection, position.seq) {
            return None;
        }
        let since = self.settle_pending(id, connection, position.seq);
        if let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.connection == connection) {
            stream.base = Some(position.seq);
        }
        self.recount();
        since.map(|since| now.saturating_duration_since(since))
    }

    /// A proxy refuses a commit. It is not sent again before something changes.
    pub(crate) fn refuse(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        position: Position,
        reason: String,
    ) {
        if position.epoch != self.epoch {
            return;
        }
        self.settle_pending(id, connection, position.seq);
        self.fleet.refuse(id, connection, position.seq, reason);
        let all = self.splits.changed_within(0, position.seq);
        for watcher in self.watchers.values_mut() {
            watcher.news.splits.extend(all.iter().cloned());
        }
        self.recount();
    }

    /// A proxy tells of its requests under way, and of those that it has counted. Says whether that is news.
    pub(crate) fn report(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        report: Report,
        arms: Vec<ArmCount>,
    ) -> bool {
        let counts = self.fleet.is_current(id, connection) && self.tally.take(id, arms);
        let loads = self.fleet.report(id, connection, report);
        for watcher in self.watchers.values_mut() {
            watcher.news.counts |= counts;
            watcher.news.loads |= loads;
        }
        counts || loads
    }

    /// The next commit for a proxy, if there is one that it may be sent now.
    pub(crate) fn next_commit(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        now: Instant,
    ) -> Option<Outgoing> {
        let newest = self.journal.revision();
        let refused = self.fleet.get(id)?.refused.as_ref().map(|(revision, _)| *revision);
        let stream = self.streams.get_mut(id).filter(|stream| stream.connection == connection)?;
        let up_to_date = stream.greeted && stream.base == Some(newest);
        if stream.pending.is_some() || up_to_date || (stream.greeted && refused == Some(newest)) {
            return None;
        }
        let known = stream.base.and_then(|base| self.journal.since(base));
        let full = known.is_none();
        let mut changes = known.unwrap_or_else(|| self.journal.config().changes().collect());
        if let Some(features) = self.features.get(id).filter(|it| !it.is_complete()) {
            changes = features.adapt(changes, self.journal.config());
        }
        stream.greeted = true;
        stream.pending = Some((newest, now));
        self.fleet.sent(id, connection, newest);
        self.recount();
        Some(Outgoing { changes, position: Position { epoch: self.epoch, seq: newest }, full })
    }

    /// Begins a watch of what the proxies serve.
    pub(crate) fn watch(&mut self) -> WatcherId {
        self.next_watcher += 1;
        let id = WatcherId(self.next_watcher);
        let splits = self.splits.keys().cloned().collect();
        self.watchers.insert(
            id,
            Watcher { news: News { splits, fleet: true, loads: true, counts: true }, ..Watcher::default() },
        );
        id
    }

    /// Ends a watch.
    pub(crate) fn unwatch(&mut self, id: WatcherId) {
        self.watchers.remove(&id);
    }

    /// What a watcher has not been told yet; nothing if it knows everything.
    pub(crate) fn next_updates(&mut self, id: WatcherId) -> Vec<Update> {
        let Some(mut watcher) = self.watchers.remove(&id) else { return Vec::new() };
        let updates = self.updates_for(&mut watcher);
        self.watchers.insert(id, watcher);
        updates
    }

    /// How many proxies count, and how many of them serve the newest configuration and nothing else.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let newest = BTreeSet::from([self.journal.revision()]);
        let current = self.counted.iter().filter(|proxy| proxy.members.as_ref() == Some(&newest)).count();
        (self.counted.len(), current)
    }

    /// The proxies that may carry traffic.
    pub(crate) fn counted(&self) -> &[Counted] {
        &self.counted
    }

    fn settle_pending(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        revision: Revision,
    ) -> Option<Instant> {
        let stream = self.streams.get_mut(id).filter(|stream| stream.connection == connection)?;
        let (_, since) = stream.pending.take_if(|(pending, _)| *pending <= revision)?;
        Some(since)
    }

    /// The feature without which this proxy answers the requests of a split with 500, if there is one.
    fn missing(&self, proxy: &ProxyId, split: &SplitId) -> Option<&'static str> {
        let config = self.journal.config();
        let route = config.routes.get(&RouteId::new(split.as_str()))?;
        self.features.get(proxy)?.missing(route, config)
    }

    /// Compares who counts and what they serve with what the watchers know, and forgets what nobody serves.
    fn recount(&mut self) {
        let now = self.fleet.counted();
        let before = std::mem::replace(&mut self.counted, now);
        let (counted, streams) = (&self.counted, &self.streams);
        self.features.retain(|id, _| streams.contains_key(id) || counted.iter().any(|it| it.id == *id));
        let outline = |counted: &[Counted]| -> Vec<(ProxyId, ObjectName, bool)> {
            counted.iter().map(|it| (it.id.clone(), it.name.clone(), it.members.is_some())).collect()
        };
        let mut touched = BTreeSet::new();
        let other_fleet = outline(&before) != outline(&self.counted);
        if other_fleet {
            touched.extend(self.splits.keys().cloned());
        } else {
            for (before, now) in before.iter().zip(&self.counted).filter(|(before, now)| before != now) {
                let members = || before.members.iter().chain(&now.members).flatten().copied();
                if let (Some(oldest), Some(newest)) = (members().min(), members().max()) {
                    touched.extend(self.splits.changed_within(oldest, newest));
                }
            }
        }
        if before != self.counted {
            for watcher in self.watchers.values_mut() {
                watcher.news.splits.extend(touched.iter().cloned());
                watcher.news.fleet |= other_fleet;
                watcher.news.loads = true;
            }
        }
        let floor = self.fleet.oldest_member().unwrap_or_else(|| self.journal.revision());
        self.splits.forget_before(floor);
        self.routability.forget_before(floor);
    }
}

/// The clusters that a route sends to.
fn arm_clusters(config: &Config, route: &RouteId) -> Vec<ClusterId> {
    match config.routes.get(route).map(|route| &route.action) {
        Some(Action::Split(split)) => {
            let arms = split.arms.iter().map(|arm| &arm.cluster);
            arms.chain(split.mirrors.iter().map(|mirror| &mirror.cluster)).cloned().collect()
        }
        Some(Action::Refuse(_) | Action::Redirect(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
