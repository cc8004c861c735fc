//! The configuration at its newest revision, and what changed on the way there.

use std::collections::{BTreeMap, BTreeSet};

use proxy_config::{
    digest::digest,
    model::{Change, Config, Key},
};

use super::history::Revision;

/// How many changed keys are kept per resource of the configuration, so that the journal stays in proportion to it.
/// Whoever is further behind gets the whole configuration.
const KEPT_PER_RESOURCE: usize = 4;
const KEPT_AT_LEAST: usize = 1024;

/// The newest configuration and the keys that changed at each revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    config: Config,
    revision: Revision,
    changed: BTreeMap<Revision, Vec<Key>>,
    kept: usize,
    /// Changes since this revision and later ones are known.
    floor: Revision,
    digest: Option<String>,
}

impl Journal {
    /// A journal whose first revision, 1, is `config`.
    pub(crate) fn new(config: Config) -> Self {
        Self { config, revision: 1, floor: 1, ..Self::default() }
    }

    /// The newest revision.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The configuration at it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Applies changes as the next revision, which it returns.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Revision {
        self.revision += 1;
        self.digest = None;
        self.changed.insert(self.revision, changes.iter().map(Change::key).collect());
        self.kept += changes.len();
        for change in changes {
            self.config.apply(change.clone());
        }
        let Config { listeners, routes, clusters, certificates, hosts, tcp_routes } = &self.config;
        let resources = listeners.len() + routes.len() + clusters.len();
        let resources = resources + certificates.len() + hosts.len() + tcp_routes.len();
        while self.kept > KEPT_AT_LEAST.max(KEPT_PER_RESOURCE * resources)
            && let Some((revision, keys)) = self.changed.pop_first()
        {
            self.kept -= keys.len();
            self.floor = revision;
        }
        self.revision
    }

    /// What leads from the configuration at `revision` to the newest; `None` if that is not known any more.
    pub(crate) fn since(&self, revision: Revision) -> Option<Vec<Change>> {
        if revision < self.floor {
            return None;
        }
        let keys: BTreeSet<&Key> = self.changed.range(revision + 1..).flat_map(|(_, keys)| keys).collect();
        Some(keys.into_iter().map(|key| self.current(key)).collect())
    }

    /// Whether a snapshot with this digest is the newest configuration.
    pub(crate) fn is_newest(&mut self, other: &str) -> bool {
        let config = &self.config;
        self.digest.get_or_insert_with(|| digest(config)) == other
    }

    fn current(&self, key: &Key) -> Change {
        let current = match key {
            Key::Listener(id) => self.config.listeners.get(id).cloned().map(Change::Listener),
            Key::Route(id) => self.config.routes.get(id).cloned().map(Change::Route),
            Key::Cluster(id) => self.config.clusters.get(id).cloned().map(Change::Cluster),
            Key::Certificate(id) => self.config.certificates.get(id).cloned().map(Change::Certificate),
            Key::Host(id) => self.config.hosts.get(id).cloned().map(Change::Host),
            Key::TcpRoute(id) => self.config.tcp_routes.get(id).cloned().map(Change::TcpRoute),
        };
        current.unwrap_or_else(|| Change::Removed(key.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proxy_config::model::{Cluster, ClusterId};

    use super::*;

    fn cluster(id: &str, connect_timeout_ms: u32) -> Change {
        Change::Cluster(Arc::new(Cluster::plain(ClusterId::new(id), connect_timeout_ms, Vec::new())))
    }

    #[test]
    fn changes_since_a_revision_lead_to_the_newest() {
        let mut journal = Journal::new(Config::default());
        journal.apply(&[cluster("a", 1), cluster("b", 1)]);
        let old = journal.config().clone();
        journal.apply(&[cluster("a", 2)]);
        journal.apply(&[cluster("a", 3), Change::Removed(Key::Cluster(ClusterId::new("b")))]);
        let changes = journal.since(2).unwrap();
        assert_eq!(changes.len(), 2, "several changes of one resource are one");
        let mut followed = old;
        for change in changes {
            followed.apply(change);
        }
        assert_eq!(&followed, journal.config());
        assert_eq!(journal.since(4), Some(Vec::new()));
    }

    #[test]
    fn the_journal_does_not_grow_without_bound() {
        let mut journal = Journal::new(Config::default());
        for round in 0..5_000 {
            journal.apply(&[cluster("a", round)]);
        }
        assert!(journal.kept <= KEPT_AT_LEAST);
        assert_eq!(journal.since(10), None, "whoever is that far behind gets everything");
        assert_eq!(journal.since(journal.revision() - 1).map(|changes| changes.len()), Some(1));
    }

    #[test]
    fn an_equal_snapshot_is_known_by_its_digest() {
        let mut journal = Journal::new(Config::default());
        journal.apply(&[cluster("a", 1)]);
        let digest = digest(journal.config());
        assert!(journal.is_newest(&digest));
        journal.apply(&[cluster("a", 2)]);
        assert!(!journal.is_newest(&digest));
    }
}
