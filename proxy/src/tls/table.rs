//! Which connection is spoken to how.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use proxy_config::model::{
    Certificate, CertificateId, Cluster, ClusterId, Config, Host, HostId, ListenerId, UpstreamProtocol,
    UpstreamTls,
};
use proxy_core::names::Names;
use rustls::{ServerConfig, sign::CertifiedKey};

use super::{Connector, TlsError, certificate, server};

/// The TLS of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Table {
    hosts: Names<Arc<Served>>,
    clusters: HashMap<ClusterId, Arc<Reached>>,
}

/// A host that is served with TLS.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) host: Arc<Host>,
    /// `None`: it cannot be.
    pub(crate) config: Option<Arc<ServerConfig>>,
}

/// A cluster that is reached with TLS.
#[derive(Debug)]
struct Reached {
    tls: Box<UpstreamTls>,
    protocol: UpstreamProtocol,
    own: Option<Arc<CertifiedKey>>,
    /// `None`: it cannot be.
    connector: Option<Connector>,
}

/// Makes tables, and keeps what does not change between them.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// What the newest table was made from.
    config: Config,
    table: Arc<Table>,
    certificates: BTreeMap<CertificateId, Known>,
    hosts: BTreeMap<HostId, (Keys, Arc<Served>)>,
    clusters: BTreeMap<ClusterId, Arc<Reached>>,
}

/// The keys of a host's certificates, `None` for those that cannot be used.
type Keys = Vec<Option<Arc<CertifiedKey>>>;

#[derive(Debug)]
struct Known {
    certificate: Arc<Certificate>,
    key: Option<Arc<CertifiedKey>>,
}

impl Table {
    /// The host that a client asks for by this name (none: the empty text) on a listener.
    pub(crate) fn host(&self, name: &str, listener: &ListenerId) -> Option<&Arc<Served>> {
        self.hosts.find(name, |it| it.host.listeners.is_empty() || it.host.listeners.contains(listener))
    }

    /// How endpoints of a cluster with TLS are reached. `None`: not at all.
    pub(crate) fn connector(&self, cluster: &ClusterId) -> Option<&Connector> {
        self.clusters.get(cluster)?.connector.as_ref()
    }
}

impl Builder {
    /// The table of a configuration, and what of it cannot be used.
    pub(crate) fn build(&mut self, config: &Config) -> (Arc<Table>, Vec<(String, TlsError)>) {
        let past = std::mem::replace(&mut self.config, config.clone());
        if !touches_tls(&past, config) {
            return (Arc::clone(&self.table), Vec::new());
        }
        let mut problems = Vec::new();
        self.update_certificates(config, &mut problems);
        self.update_hosts(config, &mut problems);
        self.update_clusters(config, &mut problems);
        let mut table = Table::default();
        for (_, served) in self.hosts.values() {
            served.host.names.iter().for_each(|name| table.hosts.insert(name, Arc::clone(served)));
        }
        table.clusters = self.clusters.iter().map(|(id, it)| (id.clone(), Arc::clone(it))).collect();
        self.table = Arc::new(table);
        (Arc::clone(&self.table), problems)
    }

    /// How many certificates, hosts and clusters cannot be used.
    pub(crate) fn unusable(&self) -> usize {
        self.certificates.values().filter(|it| it.key.is_none()).count()
            + self.hosts.values().filter(|(_, it)| it.config.is_none()).count()
            + self.clusters.values().filter(|it| it.connector.is_none()).count()
    }

    fn update_certificates(&mut self, config: &Config, problems: &mut Vec<(String, TlsError)>) {
        self.certificates.retain(|id, known| config.certificates.get(id) == Some(&known.certificate));
        for (id, certificate) in &config.certificates {
            if self.certificates.contains_key(id) {
                continue;
            }
            let key = certificate::certified(certificate);
            let key = key.map_err(|error| problems.push((format!("certificate {id}"), error))).ok();
            self.certificates.insert(id.clone(), Known { certificate: Arc::clone(certificate), key });
        }
    }

    fn update_hosts(&mut self, config: &Config, problems: &mut Vec<(String, TlsError)>) {
        self.hosts.retain(|id, _| config.hosts.contains_key(id));
        for (id, host) in &config.hosts {
            let Some(tls) = &host.tls else {
                self.hosts.remove(id);
                continue;
            };
            let keys: Keys = tls.certificates.iter().map(|it| self.key(it)).collect();
            if self.hosts.get(id).is_some_and(|(known, served)| same(known, &keys) && served.host == *host) {
                continue;
            }
            let made = server::config(tls, keys.iter().flatten().cloned().collect());
            let config = made.map_err(|error| problems.push((format!("host {id}"), error))).ok();
            self.hosts.insert(id.clone(), (keys, Arc::new(Served { host: Arc::clone(host), config })));
        }
    }

    fn update_clusters(&mut self, config: &Config, problems: &mut Vec<(String, TlsError)>) {
        let has_tls = |cluster: &Arc<Cluster>| cluster.tls.is_some();
        self.clusters.retain(|id, _| config.clusters.get(id).is_some_and(has_tls));
        for (id, cluster) in &config.clusters {
            let Some(tls) = &cluster.tls else { continue };
            let own = tls.certificate.as_ref().and_then(|it| self.key(it));
            let is_known = self.clusters.get(id).is_some_and(|known| {
                known.tls == *tls
                    && known.protocol == cluster.protocol
                    && same_key(known.own.as_ref(), own.as_ref())
            });
            if is_known {
                continue;
            }
            let connector = if own.is_none() && tls.certificate.is_some() {
                Err(TlsError::NoCertificate)
            } else {
                Connector::new(tls, cluster.protocol, own.clone())
            };
            let connector = connector.map_err(|error| problems.push((format!("cluster {id}"), error))).ok();
            let reached = Reached { tls: tls.clone(), protocol: cluster.protocol, own, connector };
            self.clusters.insert(id.clone(), Arc::new(reached));
        }
    }

    fn key(&self, id: &CertificateId) -> Option<Arc<CertifiedKey>> {
        self.certificates.get(id)?.key.clone()
    }
}

/// Whether what two configurations have of TLS is not the same.
fn touches_tls(past: &Config, next: &Config) -> bool {
    let has_tls = |config: &Config, id| config.clusters.get(id).is_some_and(|it| it.tls.is_some());
    let mut clusters = past.clusters.differences(&next.clusters);
    past.certificates != next.certificates
        || past.hosts != next.hosts
        || clusters.any(|id| has_tls(past, id) || has_tls(next, id))
}

fn same(known: &[Option<Arc<CertifiedKey>>], now: &[Option<Arc<CertifiedKey>>]) -> bool {
    known.len() == now.len() && known.iter().zip(now).all(|(a, b)| same_key(a.as_ref(), b.as_ref()))
}

fn same_key(a: Option<&Arc<CertifiedKey>>, b: Option<&Arc<CertifiedKey>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
