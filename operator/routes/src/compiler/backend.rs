//! The addresses behind the `service` of a Mapping, and how connections to them are made.

mod key;
mod pods;
mod ports;
mod slow_start;
mod zones;

use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, sync::Arc};

use litemap::LiteMap;
use proxy_config::{
    model::{
        Address, Balance, Certificate, Change, Cluster, ClusterId, Endpoint, TlsVersions, Trust,
        UpstreamProtocol, UpstreamTls, Version,
    },
    validate::validate_change,
};

pub(super) use self::key::BackendKey;
use self::{
    key::{Originates, Target},
    ports::{find_port, no_port},
};
use super::{certificates, gateway::policies, stores::Stores};
use crate::{
    compat::Compat,
    compiled::{ObjectKind, ObjectVersion},
    mapping::Connection,
    object::{AppProtocol, ObjectName, PortReference, Service, ServiceAddress, ServicePort},
};

/// A cluster and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) cluster: Arc<Cluster>,
    /// The Service it stands for.
    pub(super) service: Option<ObjectName>,
    /// By hash, the pods that may be picked.
    pub(super) ready: LiteMap<Arc<str>, u32>,
    /// The pods among them that were chosen to go: the Service has no better ones.
    pub(super) needed: BTreeSet<ObjectName>,
    pub(super) versions: Vec<ObjectVersion>,
    /// What it shows to its upstream.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Why it cannot serve, whatever its pods do.
    pub(super) problem: Option<Problem>,
    /// What the user should know although it serves.
    pub(super) remark: Option<String>,
}

/// Why a backend cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// For the reason header.
    pub(super) code: &'static str,
    /// For the user.
    pub(super) text: String,
}

impl BackendKey {
    /// What stands for it. A fault that its readers have let through must not keep everything else from the proxies:
    /// then there are no endpoints.
    pub(super) fn compile(&self, stores: &Stores) -> Backend {
        let backend = self.compile_as_written(stores);
        let Some(fault) = fault(&backend.cluster) else { return backend };
        let text = format!("the proxies would not take the cluster: {fault}");
        let Connection { connect_timeout_ms, .. } = Connection::default();
        let cluster = Cluster::plain(backend.cluster.id.clone(), connect_timeout_ms, Vec::new());
        Backend {
            cluster: Arc::new(cluster),
            ready: LiteMap::new(),
            needed: BTreeSet::new(),
            certificate: None,
            problem: Some(Problem { code: "invalid_cluster", text }),
            ..backend
        }
    }

    /// What the proxies would not take of connections that are made so.
    pub(super) fn fault_of(connection: &Connection, stores: &Stores) -> Option<String> {
        fault(&Self::without_endpoints(connection).compile_as_written(stores).cluster)
    }

    fn compile_as_written(&self, stores: &Stores) -> Backend {
        let mut backend = self.in_the_clear(stores);
        let tls = match self.tls() {
            Originates::No => return backend,
            Originates::Context(namespace) => self.upstream_tls(stores, namespace),
            Originates::Web => Ok((web(&backend.cluster.endpoints), None)),
            Originates::Policy(shown) => {
                let port = self.service_port(stores);
                let policy = backend.service.as_ref().zip(port).and_then(|(service, port)| {
                    if port.speaks == AppProtocol::H2c {
                        Arc::make_mut(&mut backend.cluster).protocol = UpstreamProtocol::Http2;
                    }
                    stores.gateway.policies.of(service, &port.name)
                });
                let Some(policy) = policy else { return backend };
                policies::upstream_tls(stores, policy, shown.as_ref())
            }
        };
        match tls {
            Ok((tls, certificate)) => {
                Arc::make_mut(&mut backend.cluster).tls = Some(Box::new(tls));
                backend.certificate = certificate;
            }
            // Never in the clear what was meant to be encrypted.
            Err(text) => {
                Arc::make_mut(&mut backend.cluster).endpoints.clear();
                backend.ready.clear();
                backend.problem.get_or_insert(Problem { code: "no_upstream_tls", text });
            }
        }
        backend
    }

    /// How TLS is spoken to the upstream: as its context says; without one its certificate is not verified, as in
    /// Emissary.
    fn upstream_tls(
        &self,
        stores: &Stores,
        namespace: &Arc<str>,
    ) -> Result<(UpstreamTls, Option<Arc<Certificate>>), String> {
        let Some(text) = &self.connection().tls_context else {
            let server_name = match self.target() {
                Target::Dns { host, .. } if stores.compat == Compat::Ideal => Some(host.clone()),
                _ => None,
            };
            let tls = UpstreamTls {
                server_name,
                names: Vec::new(),
                trust: Trust::Anyone,
                certificate: None,
                versions: TlsVersions::default(),
            };
            return Ok((tls, None));
        };
        let (_, context) = stores
            .tls_context(text, namespace)
            .ok_or_else(|| format!("TLSContext `{text}` does not exist in namespace `{namespace}`"))?;
        let context = context.as_ref().map_err(|reason| format!("TLSContext `{text}`: {reason}"))?;
        let trust = match &context.settings.authorities {
            None => Trust::Anyone,
            Some(secret) => Trust::Ca(certificates::authorities(stores, secret)?),
        };
        let certificate = match &context.secret {
            None => None,
            Some(secret) => Some(Arc::new(certificates::certificate(stores, secret)?)),
        };
        let tls = UpstreamTls {
            server_name: context.settings.sni.clone(),
            names: Vec::new(),
            trust,
            certificate: certificate.as_ref().map(|certificate| certificate.id.clone()),
            versions: context.settings.versions,
        };
        Ok((tls, certificate))
    }

    /// The port of the Service that is meant.
    fn service_port<'s>(&self, stores: &'s Stores) -> Option<&'s ServicePort> {
        let Target::Service { name, port, .. } = self.target() else { return None };
        find_port(stores.service(name)?, port.as_ref(), self.default_port())
    }

    fn in_the_clear(&self, stores: &Stores) -> Backend {
        match self.target() {
            Target::Service { name, port, pods, or_dns } => {
                self.of_service(stores, name, port.as_ref(), *pods, *or_dns)
            }
            Target::Dns { host, port } => {
                let address = Address::Name { host: host.clone(), port: *port };
                self.plain(format!("name {host}:{port}"), vec![address])
            }
            Target::Address { address, port } => {
                let socket = SocketAddr::new(*address, *port);
                self.plain(format!("address {socket}"), vec![Address::Socket(socket)])
            }
            Target::Nobody => self.plain("nobody".to_owned(), Vec::new()),
            Target::Absent => {
                let mut backend = self.plain("absent".to_owned(), Vec::new());
                Arc::make_mut(&mut backend.cluster).absent = true;
                backend
            }
        }
    }

    fn of_service(
        &self,
        stores: &Stores,
        name: &ObjectName,
        written: Option<&PortReference>,
        pods: bool,
        or_dns: bool,
    ) -> Backend {
        let mut id = format!("{} {name}", if pods { "endpoint" } else { "service" });
        match written {
            None => {}
            Some(PortReference::Number(port)) => drop(write!(id, ":{port}")),
            Some(PortReference::Name(port)) => drop(write!(id, ":{port}")),
        }
        if or_dns {
            id.push_str(" or name");
        }
        let Some(service) = stores.service(name) else {
            if or_dns {
                let host = format!("{}.{}", name.name, name.namespace);
                let address = Address::Name { host, port: self.number(written) };
                let remark = format!(
                    "there is no Service `{}` in namespace `{}`: requests go to the DNS name",
                    name.name, name.namespace
                );
                let plain = self.plain(id, vec![address]);
                let remark = [Some(remark), plain.remark.clone()].into_iter().flatten();
                let remark = remark.reduce(|one, other| format!("{one}; {other}"));
                return Backend { service: Some(name.clone()), remark, ..plain };
            }
            let text = format!("Service `{}` does not exist in namespace `{}`", name.name, name.namespace);
            return self.broken(id, name, "no_service", text);
        };
        let version = ObjectVersion {
            kind: ObjectKind::Service,
            object: name.clone(),
            resource_version: service.resource_version.clone(),
        };
        let mut backend = self.of_known_service(stores, name, service, written, pods, id);
        backend.versions.reserve_exact(1);
        backend.versions.push(version);
        backend.versions.sort();
        backend.service = Some(name.clone());
        backend
    }

    fn of_known_service(
        &self,
        stores: &Stores,
        name: &ObjectName,
        service: &Service,
        written: Option<&PortReference>,
        pods: bool,
        mut id: String,
    ) -> Backend {
        if let ServiceAddress::External(host) = &service.address {
            let address = Address::Name { host: host.clone(), port: self.number(written) };
            return self.plain(id, vec![address]);
        }
        let Some(port) = find_port(service, written, self.default_port()) else {
            let text = no_port(name, service, written, self.default_port());
            return self.broken(id, name, "no_port", text);
        };
        match &service.address {
            ServiceAddress::ClusterIp(address) if !(pods || service.managed || stores.is_managed(name)) => {
                // With another selector it is another pool, so that connections to the old pods are not reused.
                let selector: Vec<String> =
                    service.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let _ = write!(id, " selector={}", selector.join(","));
                self.plain(id, vec![Address::Socket(SocketAddr::new(*address, port.port))])
            }
            ServiceAddress::ClusterIp(_) | ServiceAddress::Headless | ServiceAddress::External(_) => {
                self.pods(stores, name, service, port, id)
            }
        }
    }

    fn plain(&self, id: String, addresses: Vec<Address>) -> Backend {
        let endpoint = |address| Endpoint {
            address,
            version: Version::default(),
            pod: "".into(),
            draining: None,
            zones: Vec::new(),
        };
        let remark = (!self.connection().checks.is_empty())
            .then(|| "`health_checks` are for pods and not acted on without `resolver: endpoint`".to_owned());
        Backend {
            cluster: self.cluster(id, addresses.into_iter().map(endpoint).collect()),
            service: None,
            ready: LiteMap::new(),
            needed: BTreeSet::new(),
            versions: Vec::new(),
            certificate: None,
            problem: None,
            remark,
        }
    }

    fn broken(&self, id: String, service: &ObjectName, code: &'static str, text: String) -> Backend {
        let problem = Some(Problem { code, text });
        Backend { service: Some(service.clone()), problem, ..self.plain(id, Vec::new()) }
    }

    fn cluster(&self, mut id: String, endpoints: Vec<Endpoint>) -> Arc<Cluster> {
        let _ = write!(id, " {}", self.settings());
        let Connection {
            connect_timeout_ms,
            http2,
            tls_context: _,
            tag: _,
            balance,
            limits,
            outliers,
            checks: _,
        } = self.connection();
        Arc::new(Cluster {
            id: ClusterId::new(id),
            connect_timeout_ms: *connect_timeout_ms,
            endpoints,
            protocol: if *http2 { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 },
            tls: None,
            balance: Balance { policy: balance.clone().unwrap_or_default(), slow_start_ms: None },
            limits: *limits,
            outliers: *outliers,
            checks: Vec::new(),
            absent: false,
        })
    }
}

fn fault(cluster: &Arc<Cluster>) -> Option<String> {
    let problems = validate_change(&Change::Cluster(Arc::clone(cluster)));
    problems.into_iter().next().map(|problem| problem.fault.to_string())
}

/// How TLS is spoken to a service that somebody asks: what has a name must show that it is its own, as on the web. Pods are
/// known by their addresses, which no certificate has.
fn web(endpoints: &[Endpoint]) -> UpstreamTls {
    let server_name = endpoints.iter().find_map(|endpoint| match &endpoint.address {
        Address::Name { host, .. } => Some(host.clone()),
        Address::Socket(_) => None,
    });
    UpstreamTls {
        trust: if server_name.is_some() { Trust::System } else { Trust::Anyone },
        server_name,
        names: Vec::new(),
        certificate: None,
        versions: TlsVersions::default(),
    }
}
