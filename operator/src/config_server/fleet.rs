//! Which proxies may carry traffic, and what each of them may be serving.
//!
//! A proxy's content is a *set* of revisions: the last one it acknowledged and every one that was sent to it since.
//! A proxy that never acknowledged in this epoch may be serving anything (design §2.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use operator_routes::ObjectName;
use proxy_config::model::{Epoch, Position, Version};

use super::history::Revision;

/// One process: a restarted container is another proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProxyId {
    /// The pod's uid.
    pub(crate) pod: String,
    /// Chosen by the process when it starts; empty for a pod that has not connected.
    pub(crate) boot: String,
}

/// One stream of one proxy. A later stream replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection(u64);

/// What a proxy told about the requests under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Every worker routes by it.
    pub(crate) served: Position,
    /// The oldest snapshot that a request under way began with.
    pub(crate) oldest_pinned: Position,
    /// Requests under way by version of pods.
    pub(crate) in_flight: BTreeMap<Version, u64>,
    /// Requests under way by pod, of the pods that get no new ones; `None`: it does not count them.
    pub(crate) draining: Option<BTreeMap<ObjectName, u64>>,
}

/// A proxy of the fleet.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// Its pod, for people.
    pub(crate) name: ObjectName,
    connection: Option<Connection>,
    acknowledged: Option<Revision>,
    sent: BTreeSet<Revision>,
    /// The last commit that it refused, and why.
    pub(crate) refused: Option<(Revision, String)>,
    /// Its last report on the current stream.
    pub(crate) report: Option<Report>,
}

/// All proxies of one scope, in one epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    proxies: BTreeMap<ProxyId, Proxy>,
    /// Pods whose endpoint in the proxies' Service is ready or serving, by uid.
    endpoints: BTreeMap<String, ObjectName>,
    connections: u64,
}

/// A proxy that may carry traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Which process.
    pub(crate) id: ProxyId,
    /// Its pod.
    pub(crate) name: ObjectName,
    /// The revisions of which it serves one; `None`: anything.
    pub(crate) members: Option<BTreeSet<Revision>>,
}

impl Fleet {
    /// The pods behind the proxies' Service changed.
    pub(crate) fn set_endpoints(&mut self, endpoints: BTreeMap<String, ObjectName>) {
        self.endpoints = endpoints;
        self.forget_gone();
    }

    /// A proxy opened a stream. Other processes of its pod have ended.
    pub(crate) fn connect(&mut self, id: &ProxyId, name: ObjectName) -> Connection {
        self.connections += 1;
        let connection = Connection(self.connections);
        self.proxies.retain(|other, _| other.pod != id.pod || other.boot == id.boot);
        let proxy = self.proxies.entry(id.clone()).or_insert_with(|| Proxy {
            name,
            connection: None,
            acknowledged: None,
            sent: BTreeSet::new(),
            refused: None,
            report: None,
        });
        proxy.connection = Some(connection);
        proxy.report = None;
        connection
    }

    /// A stream ended.
    pub(crate) fn disconnect(&mut self, id: &ProxyId, connection: Connection) {
        if let Some(proxy) = self.on(id, connection) {
            proxy.connection = None;
        }
        self.forget_gone();
    }

    /// Whether this stream is the proxy's newest.
    pub(crate) fn is_current(&self, id: &ProxyId, connection: Connection) -> bool {
        self.proxies.get(id).is_some_and(|proxy| proxy.connection == Some(connection))
    }

    /// A commit is about to be sent: from now on it may be served.
    pub(crate) fn sent(&mut self, id: &ProxyId, connection: Connection, revision: Revision) {
        if let Some(proxy) = self.on(id, connection) {
            proxy.sent.insert(revision);
        }
    }

    /// A commit is served by every worker of the proxy. Says whether it was one that was sent.
    pub(crate) fn acknowledge(&mut self, id: &ProxyId, connection: Connection, revision: Revision) -> bool {
        let Some(proxy) = self.on(id, connection) else { return false };
        if !proxy.sent.contains(&revision) {
            return false;
        }
        proxy.sent = proxy.sent.split_off(&(revision + 1));
        proxy.acknowledged = Some(revision);
        proxy.refused = None;
        true
    }

    /// A commit was refused: the proxy goes on with what it had.
    pub(crate) fn refuse(
        &mut self,
        id: &ProxyId,
        connection: Connection,
        revision: Revision,
        reason: String,
    ) {
        if let Some(proxy) = self.on(id, connection)
            && proxy.sent.remove(&revision)
        {
            proxy.refused = Some((revision, reason));
        }
    }

    /// A report came. Says whether it differs from the one before.
    pub(crate) fn report(&mut self, id: &ProxyId, connection: Connection, report: Report) -> bool {
        let Some(proxy) = self.on(id, connection) else { return false };
        let differs = proxy.report.as_ref() != Some(&report);
        proxy.report = Some(report);
        differs
    }

    /// A proxy, if it is known.
    pub(crate) fn get(&self, id: &ProxyId) -> Option<&Proxy> {
        self.proxies.get(id)
    }

    /// Every proxy with a stream or a pod behind the Service, counted or not.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = (&ProxyId, &Proxy)> {
        self.proxies.iter()
    }

    /// Every proxy that may carry traffic: its pod is behind the Service, or its stream is up and it has acknowledged.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        let mut counted = Vec::new();
        for (id, proxy) in &self.proxies {
            let up = proxy.connection.is_some() && proxy.acknowledged.is_some();
            if up || self.endpoints.contains_key(&id.pod) {
                counted.push(Counted { id: id.clone(), name: proxy.name.clone(), members: proxy.members() });
            }
        }
        for (pod, name) in &self.endpoints {
            if !self.proxies.keys().any(|id| id.pod == *pod) {
                let id = ProxyId { pod: pod.clone(), boot: String::new() };
                counted.push(Counted { id, name: name.clone(), members: None });
            }
        }
        counted.sort_by(|a, b| a.id.cmp(&b.id));
        counted
    }

    /// The oldest revision that some proxy may serve; `None` if none is known to.
    pub(crate) fn oldest_member(&self) -> Option<Revision> {
        self.proxies.values().filter_map(|proxy| proxy.members()?.first().copied()).min()
    }

    fn on(&mut self, id: &ProxyId, connection: Connection) -> Option<&mut Proxy> {
        self.proxies.get_mut(id).filter(|proxy| proxy.connection == Some(connection))
    }

    /// Who has neither a stream nor an endpoint carries nothing.
    fn forget_gone(&mut self) {
        let endpoints = &self.endpoints;
        self.proxies.retain(|id, proxy| proxy.connection.is_some() || endpoints.contains_key(&id.pod));
    }
}

impl Proxy {
    /// The revisions of which it serves one; `None` if that is not known.
    pub(crate) fn members(&self) -> Option<BTreeSet<Revision>> {
        let acknowledged = self.acknowledged?;
        Some(self.sent.iter().copied().chain([acknowledged]).collect())
    }

    /// Its last report speaks of a moment at which all its workers routed by `revision` of `epoch` or a later one,
    /// and no request under way had begun before.
    pub(crate) fn has_settled(&self, epoch: Epoch, revision: Revision) -> bool {
        let since = Position { epoch, seq: revision };
        self.report.as_ref().is_some_and(|report| {
            let same = report.served.epoch == epoch && report.oldest_pinned.epoch == epoch;
            same && report.served >= since && report.oldest_pinned >= since
        })
    }

    /// Requests under way to a pod that gets no new ones, by its last report; `None` if it does not say.
    pub(crate) fn in_flight_of_pod(&self, pod: &ObjectName) -> Option<u64> {
        let draining = self.report.as_ref()?.draining.as_ref()?;
        Some(draining.get(pod).copied().unwrap_or(0))
    }

    /// Requests under way to `version`, by its last report.
    pub(crate) fn in_flight(&self, version: &Version) -> u64 {
        self.report.as_ref().and_then(|report| report.in_flight.get(version)).copied().unwrap_or(0)
    }
}

impl Display for ProxyId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pod, self.boot)
    }
}

#[cfg(test)]
mod tests;
