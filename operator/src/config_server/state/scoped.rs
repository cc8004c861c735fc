//! One scope: its configuration, and all that is known about the proxies that get it. Revisions are its own.

#![expect(clippy::similar_names, reason = "what changed, by the changes")]

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use operator_routes::{Leaving, ObjectName, SplitReport};
use proxy_config::{
    features::Features,
    model::{Action, Change, ClusterId, Config, Epoch, Key, Position, RouteId, SplitId, Version},
};
use tokio::time::Instant;

use super::{
    Hello, News, Outgoing,
    loads::{Load, Routability},
    pods::{PodLoad, Pods},
};
use crate::config_server::{
    fleet::{Connection, Counted, Fleet, Proxy, ProxyId, Report},
    history::{History, Revision},
    journal::Journal,
};

/// The state of one scope in one epoch.
#[derive(Debug)]
pub(super) struct Scoped {
    epoch: Epoch,
    journal: Journal,
    splits: History<SplitId, Arc<SplitReport>>,
    routability: Routability,
    pods: Pods,
    fleet: Fleet,
    /// As of the last change; what differs from it is news for the watchers.
    counted: Vec<Counted>,
    streams: BTreeMap<ProxyId, Stream>,
    /// What those can do that have connected, for as long as they count.
    features: BTreeMap<ProxyId, Features>,
    /// What the watchers have not been told.
    news: News,
}

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

impl Scoped {
    /// Begins with this configuration. `leaving`: the pods that were chosen to go.
    pub(super) fn new(epoch: Epoch, config: Config, leaving: &BTreeMap<ObjectName, Leaving>) -> Self {
        let journal = Journal::new(config);
        let pods = Pods::new(journal.revision(), leaving);
        Self {
            epoch,
            journal,
            splits: History::default(),
            routability: Routability::default(),
            pods,
            fleet: Fleet::default(),
            counted: Vec::new(),
            streams: BTreeMap::new(),
            features: BTreeMap::new(),
            news: News::default(),
        }
    }

    /// A split of the configuration that the scope began with.
    pub(super) fn begin_split(&mut self, id: &SplitId, report: &Arc<SplitReport>) {
        let revision = self.journal.revision();
        self.routability.replace(revision, None, Some(report));
        self.splits.set(revision, id.clone(), Some(Arc::clone(report)));
    }

    /// Takes what the compiler has changed of this scope.
    pub(super) fn publish(
        &mut self,
        changes: &[Change],
        splits: &BTreeMap<&SplitId, Option<&Arc<SplitReport>>>,
        leaving: &BTreeMap<ObjectName, Option<Leaving>>,
    ) {
        let changed: BTreeSet<Key> = changes.iter().map(Change::key).collect();
        let touches = |config: &Config, split: &SplitId| {
            let route = RouteId::new(split.as_str());
            let clusters = arm_clusters(config, &route);
            changed.contains(&Key::Route(route))
                || clusters.iter().any(|it| changed.contains(&Key::Cluster(it.clone())))
        };
        let mut reconfigured: BTreeSet<&SplitId> =
            splits.keys().copied().filter(|split| touches(self.journal.config(), split)).collect();
        if !changes.is_empty() {
            self.journal.apply(changes);
        }
        reconfigured.extend(splits.keys().copied().filter(|split| touches(self.journal.config(), split)));

        let revision = self.journal.revision();
        for (id, report) in splits {
            let before = self.splits.at(id, revision).cloned();
            self.routability.replace(revision, before.as_deref(), report.map(|it| &**it));
            let report = report.cloned();
            if reconfigured.contains(*id) {
                self.splits.set(revision, (*id).clone(), report);
            } else {
                self.splits.amend(revision, (*id).clone(), report);
            }
        }
        self.pods.apply(revision, leaving);
        self.news.splits.extend(splits.keys().map(|id| (*id).clone()));
        self.news.loads = true;
    }

    /// Takes everything out of the configuration.
    pub(super) fn clear(&mut self) {
        let removals: Vec<Change> =
            self.journal.config().changes().map(|change| Change::Removed(change.key())).collect();
        let splits: BTreeSet<SplitId> = self.splits.keys().cloned().collect();
        let splits = splits.iter().map(|id| (id, None)).collect();
        self.publish(&removals, &splits, &BTreeMap::new());
    }

    /// Whether no proxy has any of it.
    pub(super) fn is_deserted(&self) -> bool {
        self.counted.is_empty() && self.fleet.proxies().next().is_none()
    }

    /// The pods behind the scope's Service, by uid, are these now.
    pub(super) fn set_endpoints(&mut self, endpoints: BTreeMap<String, ObjectName>) {
        self.fleet.set_endpoints(endpoints);
        self.recount();
    }

    /// A proxy has opened a stream and said hello.
    pub(super) fn connect(&mut self, id: &ProxyId, name: ObjectName, hello: &Hello) -> Connection {
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
    pub(super) fn disconnect(&mut self, id: &ProxyId, connection: Connection) {
        if self.streams.get(id).is_some_and(|stream| stream.connection == connection) {
            self.streams.remove(id);
        }
        self.fleet.disconnect(id, connection);
        self.recount();
    }

    /// Whether this is the proxy's newest stream; another one ends.
    pub(super) fn is_current(&self, id: &ProxyId, connection: Connection) -> bool {
        self.fleet.is_current(id, connection)
    }

    /// A proxy serves a commit. Returns how long that took, or nothing if it was not waited for.
    pub(super) fn acknowledge(
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
    pub(super) fn refuse(
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
        self.news.splits.extend(self.splits.changed_within(0, position.seq));
        self.recount();
    }

    /// A proxy tells of its requests under way. Says whether that is news.
    pub(super) fn report(&mut self, id: &ProxyId, connection: Connection, report: Report) -> bool {
        let loads = self.fleet.report(id, connection, report);
        self.news.loads |= loads;
        loads
    }

    /// The next commit for a proxy, if there is one that it may be sent now.
    pub(super) fn next_commit(
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

    /// How many proxies count, and how many of them serve the newest configuration and nothing else.
    pub(super) fn progress(&self) -> (usize, usize) {
        let newest = BTreeSet::from([self.journal.revision()]);
        let current = self.counted.iter().filter(|proxy| proxy.members.as_ref() == Some(&newest)).count();
        (self.counted.len(), current)
    }

    // What the watchers are told.

    /// What has changed since this was asked last.
    pub(super) fn take_news(&mut self) -> News {
        mem::take(&mut self.news)
    }

    /// The proxies that may carry traffic.
    pub(super) fn counted(&self) -> &[Counted] {
        &self.counted
    }

    /// Every proxy with a stream or a pod behind the Service, counted or not.
    pub(super) fn proxies(&self) -> impl Iterator<Item = (&ProxyId, &Proxy)> {
        self.fleet.proxies()
    }

    /// Every split that some proxy may serve.
    pub(super) fn splits(&self) -> &History<SplitId, Arc<SplitReport>> {
        &self.splits
    }

    /// What the newest configuration says of a split.
    pub(super) fn newest(&self, id: &SplitId) -> Option<&Arc<SplitReport>> {
        self.splits.at(id, self.journal.revision())
    }

    /// The loads of all versions of which a proxy of this scope may know. `pods`: those of which there are pods.
    pub(super) fn loads(&mut self, pods: &BTreeSet<Version>) -> BTreeMap<Version, Load> {
        self.routability.loads(pods, self.epoch, &self.counted, &self.fleet)
    }

    /// The load of each pod that was chosen to go.
    pub(super) fn pod_loads(&self) -> BTreeMap<ObjectName, PodLoad> {
        self.pods.loads(self.epoch, &self.counted, &self.fleet)
    }

    /// The feature without which this proxy answers the requests of a split with 500, if there is one.
    pub(super) fn missing(&self, proxy: &ProxyId, split: &SplitId) -> Option<&'static str> {
        let config = self.journal.config();
        let route = config.routes.get(&RouteId::new(split.as_str()))?;
        self.features.get(proxy)?.missing(route, config)
    }

    /// A proxy that has been told to be of an older make, for tests.
    #[cfg(test)]
    pub(super) fn forget_features(&mut self, proxy: &ProxyId) {
        self.features.insert(proxy.clone(), Features::default());
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

    /// Compares who counts and what they serve with what the watchers know, and forgets what nobody serves.
    fn recount(&mut self) {
        let now = self.fleet.counted();
        let before = mem::replace(&mut self.counted, now);
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
            self.news.splits.extend(touched);
            self.news.fleet |= other_fleet;
            self.news.loads = true;
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
