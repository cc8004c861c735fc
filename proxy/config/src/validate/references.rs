//! Who names what, kept from one configuration to the next, so that a change is checked in the time that the change
//! takes.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use crate::model::{CertificateId, ClusterId, Config, Key, Split, SplitId, Transport};

/// How often everything that can be named is named by the resources of a configuration.
#[derive(Clone, Debug, Default)]
pub struct References {
    clusters: Counts<ClusterId>,
    certificates: Counts<CertificateId>,
    splits: Counts<SplitId>,
    ports: Counts<(Transport, u16)>,
}

/// What is not there is named by nobody.
#[derive(Clone, Debug)]
struct Counts<K>(HashMap<K, usize>);

/// What one resource names.
#[derive(Debug, Default)]
struct Named<'a> {
    clusters: Vec<&'a ClusterId>,
    certificates: Vec<&'a CertificateId>,
    split: Option<&'a SplitId>,
    port: Option<(Transport, u16)>,
}

impl References {
    /// Those of a whole configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut references = Self::default();
        config.changes().for_each(|change| references.count(&named(config, &change.key()), 1));
        references
    }

    /// Brings them from a configuration without a fault to the next one, which differs from it in these resources. Says
    /// whether that has none either. [`validate_references`](super::validate_references) says which.
    #[must_use]
    pub fn follow(&mut self, past: &Config, next: &Config, changed: &BTreeSet<Key>) -> bool {
        for key in changed {
            self.count(&named(past, key), -1);
            self.count(&named(next, key), 1);
        }
        changed.iter().all(|key| self.is_sound(next, key))
    }

    fn count(&mut self, named: &Named<'_>, by: isize) {
        named.clusters.iter().for_each(|it| self.clusters.add(it, by));
        named.certificates.iter().for_each(|it| self.certificates.add(it, by));
        named.split.iter().for_each(|it| self.splits.add(it, by));
        named.port.iter().for_each(|it| self.ports.add(it, by));
    }

    /// Whether what a resource names is there and not somebody else's, and nobody names it if it is gone.
    fn is_sound(&self, config: &Config, key: &Key) -> bool {
        let Named { clusters, certificates, split, port } = named(config, key);
        let is_missed = match key {
            Key::Cluster(id) => !config.clusters.contains_key(id) && self.clusters.of(id) > 0,
            Key::Certificate(id) => !config.certificates.contains_key(id) && self.certificates.of(id) > 0,
            Key::Listener(_) | Key::Route(_) | Key::Host(_) | Key::TcpRoute(_) => false,
        };
        !is_missed
            && clusters.into_iter().all(|it| config.clusters.contains_key(it))
            && certificates.into_iter().all(|it| config.certificates.contains_key(it))
            && split.is_none_or(|it| self.splits.of(it) == 1)
            && port.is_none_or(|it| self.ports.of(&it) == 1)
    }
}

/// What a resource names, if it is there.
fn named<'a>(config: &'a Config, key: &Key) -> Named<'a> {
    match key {
        Key::Listener(id) => config.listeners.get(id).map(|listener| Named {
            port: Some((listener.protocol.transport(), listener.port)),
            ..Named::default()
        }),
        Key::Route(id) => config.routes.get(id).map(|route| {
            let mut named = route.split().map(Named::by_split).unwrap_or_default();
            named.clusters.extend(route.authorization().map(|it| &it.cluster));
            named
        }),
        Key::TcpRoute(id) => config.tcp_routes.get(id).map(|route| Named::by_split(&route.split)),
        Key::Host(id) => config.hosts.get(id).map(|host| Named {
            certificates: host.tls.iter().flat_map(|it| &it.certificates).collect(),
            ..Named::default()
        }),
        Key::Cluster(id) => config.clusters.get(id).map(|cluster| Named {
            certificates: cluster.tls.iter().flat_map(|it| &it.certificate).collect(),
            ..Named::default()
        }),
        Key::Certificate(_) => None,
    }
    .unwrap_or_default()
}

impl<'a> Named<'a> {
    fn by_split(split: &'a Split) -> Self {
        let clusters = split.clusters().collect();
        Self { clusters, split: Some(&split.id), ..Self::default() }
    }
}

impl<K: Clone + Eq + Hash> Counts<K> {
    fn of(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or_default()
    }

    fn add(&mut self, key: &K, by: isize) {
        let count = self.of(key).saturating_add_signed(by);
        if count == 0 {
            self.0.remove(key);
        } else {
            self.0.insert(key.clone(), count);
        }
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
