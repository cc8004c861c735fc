//! The addresses behind the `service` of a Mapping.

mod ports;
mod slow_start;
mod zones;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt::Write as _,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use proxy_config::model::{
    Address, Balance, Certificate, Cluster, ClusterId, Draining, Endpoint, TlsVersions, Trust,
    UpstreamProtocol, UpstreamTls, Version,
};

use self::{
    ports::{find_port, no_port},
    slow_start::slow_start,
};
use super::{certificates, gateway::policies, stores::Stores};
use crate::{
    compat::Compat,
    compiled::{ObjectKind, ObjectVersion},
    mapping::{Connection, ServiceHost, ServiceReference},
    object::{
        AppProtocol, EndpointCondition, ObjectName, PortReference, Service, ServiceAddress, ServicePort,
        SliceEndpoint,
    },
};

/// The port where none is written and the Service does not say better.
const DEFAULT_PORT: u16 = 80;
const DEFAULT_TLS_PORT: u16 = 443;

/// What a backend is asked for by. Mappings with equal ones share a cluster. One is held in many places, so it is shared.
#[derive(Clone, Debug)]
pub(super) struct BackendKey(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    target: Target,
    tls: Originates,
    connection: Connection,
    /// The text of all but the target: what makes connections shareable.
    settings: String,
}

impl PartialEq for BackendKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for BackendKey {}

impl Hash for BackendKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Asked { target, tls, connection: _, settings } = &*self.0;
        (target, tls, settings).hash(state);
    }
}

impl PartialOrd for BackendKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BackendKey {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let Self(other) = other;
        (&self.0.target, &self.0.tls, &self.0.settings).cmp(&(&other.target, &other.tls, &other.settings))
    }
}

/// Whether TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Originates {
    No,
    /// It is, and the context is looked up in this namespace.
    Context(Arc<str>),
    /// If a BackendTLSPolicy says so; then it is shown the certificate in this Secret.
    Policy(Option<ObjectName>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Target {
    Service {
        name: ObjectName,
        port: Option<PortReference>,
        pods: bool,
        or_dns: bool,
    },
    Dns {
        host: String,
        port: u16,
    },
    Address {
        address: IpAddr,
        port: u16,
    },
    Nobody,
    /// Requests are answered with 500.
    Absent,
}

/// A cluster and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) cluster: Arc<Cluster>,
    /// The Service it stands for.
    pub(super) service: Option<ObjectName>,
    /// By hash, the pods that may be picked.
    pub(super) ready: BTreeMap<Arc<str>, u32>,
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
    /// The backend of a reference in `namespace`; `pods` is whether its resolver asks for pods.
    pub(super) fn of(
        reference: &ServiceReference,
        connection: &Connection,
        namespace: &Arc<str>,
        pods: bool,
    ) -> Self {
        let tls = if reference.tls { Originates::Context(namespace.clone()) } else { Originates::No };
        let default_port = if reference.tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
        let port = reference.port.unwrap_or(default_port);
        let given = || reference.port.map(PortReference::Number);
        let service =
            |name: &ObjectName, or_dns| Target::Service { name: name.clone(), port: given(), pods, or_dns };
        let target = match &reference.host {
            ServiceHost::Service(name) => service(name, false),
            // With pods asked for, a DNS name has no meaning.
            ServiceHost::ServiceOrName(name) => service(name, !pods),
            ServiceHost::Name(host) => Target::Dns { host: host.clone(), port },
            ServiceHost::Address(address) => Target::Address { address: *address, port },
        };
        Self::new(target, tls, connection.clone())
    }

    /// The pods of a Service of an Ingress.
    pub(super) fn of_ingress(
        service: &ObjectName,
        port: &PortReference,
        connection: &Connection,
        tls: bool,
    ) -> Self {
        let tls = if tls { Originates::Context(service.namespace.clone()) } else { Originates::No };
        let target =
            Target::Service { name: service.clone(), port: Some(port.clone()), pods: true, or_dns: false };
        Self::new(target, tls, connection.clone())
    }

    /// The pods of a Service of a route of the Gateway API. `http2`: they speak it whatever the Service says.
    pub(super) fn of_route(service: &ObjectName, port: u16, http2: bool, shown: Option<&ObjectName>) -> Self {
        let port = Some(PortReference::Number(port));
        let target = Target::Service { name: service.clone(), port, pods: true, or_dns: false };
        let connection = Connection { http2, ..Connection::default() };
        Self::new(target, Originates::Policy(shown.cloned()), connection)
    }

    /// What has these connections and no endpoints.
    pub(super) fn without_endpoints(connection: &Connection) -> Self {
        Self::new(Target::Nobody, Originates::No, connection.clone())
    }

    /// What stands for a reference that means nothing.
    pub(super) fn absent() -> Self {
        Self::new(Target::Absent, Originates::No, Connection::default())
    }

    /// A backend without endpoints.
    pub(super) fn nobody() -> Self {
        Self::new(Target::Nobody, Originates::No, Connection::default())
    }

    fn new(target: Target, tls: Originates, connection: Connection) -> Self {
        let mut settings = connection.id();
        match &tls {
            Originates::No => {}
            // The name of a context means another one in another namespace.
            Originates::Context(namespace) => drop(write!(settings, " originates={namespace}")),
            Originates::Policy(None) => settings.push_str(" policy"),
            Originates::Policy(Some(secret)) => drop(write!(settings, " policy shown={secret}")),
        }
        Self(Arc::new(Asked { target, tls, connection, settings }))
    }

    /// Whether it depends on TLS contexts and Secrets.
    pub(super) fn originates_tls(&self) -> bool {
        matches!(self.0.tls, Originates::Context(_))
    }

    fn default_port(&self) -> u16 {
        match self.0.tls {
            Originates::Context(_) => DEFAULT_TLS_PORT,
            Originates::No | Originates::Policy(_) => DEFAULT_PORT,
        }
    }

    /// The number of a port where no Service says which: a name says none.
    fn number(&self, written: Option<&PortReference>) -> u16 {
        match written {
            Some(PortReference::Number(number)) => *number,
            Some(PortReference::Name(_)) | None => self.default_port(),
        }
    }

    /// The Service whose changes change the backend.
    pub(super) fn service(&self) -> Option<&ObjectName> {
        match &self.0.target {
            Target::Service { name, .. } => Some(name),
            Target::Dns { .. } | Target::Address { .. } | Target::Nobody | Target::Absent => None,
        }
    }

    /// Whether what is in this Secret is shown to it.
    pub(super) fn is_shown(&self, secret: &ObjectName) -> bool {
        matches!(&self.0.tls, Originates::Policy(Some(shown)) if shown == secret)
    }

    pub(super) fn compile(&self, stores: &Stores) -> Backend {
        let mut backend = self.in_the_clear(stores);
        let tls = match &self.0.tls {
            Originates::No => return backend,
            Originates::Context(namespace) => self.upstream_tls(stores, namespace),
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
                Arc::make_mut(&mut backend.cluster).tls = Some(tls);
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
        let Some(text) = &self.0.connection.tls_context else {
            let server_name = match &self.0.target {
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
        let Target::Service { name, port, .. } = &self.0.target else { return None };
        find_port(stores.service(name)?, port.as_ref(), self.default_port())
    }

    fn in_the_clear(&self, stores: &Stores) -> Backend {
        match &self.0.target {
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

    fn pods(
        &self,
        stores: &Stores,
        name: &ObjectName,
        service: &Service,
        port: &ServicePort,
        id: String,
    ) -> Backend {
        let slices: Vec<_> =
            stores.slices(name).filter(|(_, slice)| slice.family == service.family).collect();
        // An endpoint may be in two slices while it moves from one to the other.
        let mut found: BTreeMap<SocketAddr, Found> = BTreeMap::new();
        for (_, slice) in &slices {
            let Some(number) = slice.ports.get(&port.name) else { continue };
            for endpoint in &slice.endpoints {
                let Some(candidate) = Found::new(stores, name, service, endpoint) else { continue };
                match found.entry(SocketAddr::new(endpoint.address, *number)) {
                    Entry::Occupied(known) if known.get().standing <= candidate.standing => {}
                    Entry::Occupied(mut known) => drop(known.insert(candidate)),
                    Entry::Vacant(place) => drop(place.insert(candidate)),
                }
            }
        }
        let best = found.values().map(|it| it.standing).min();
        let (mut ready, mut needed) = (BTreeMap::new(), BTreeSet::new());
        let mut endpoints = Vec::with_capacity(found.len());
        for (address, Found { standing, leaving, pod, version, zones }) in found {
            let draining = (Some(standing) != best).then(|| leaving.unwrap_or_default());
            if draining.is_none() {
                *ready.entry(version.hash.clone()).or_default() += 1;
                if leaving.is_some() {
                    needed.insert(name.sibling(pod.clone()));
                }
            }
            endpoints.push(Endpoint { address: Address::Socket(address), version, pod, draining, zones });
        }
        zones::all_or_none(&mut endpoints);
        let remark = (!needed.is_empty()).then(|| {
            format!(
                "every pod of Service `{}` was chosen to go, and they get requests until there is another",
                name.name
            )
        });
        let versions = slices.into_iter().map(|(slice_name, slice)| ObjectVersion {
            kind: ObjectKind::EndpointSlice,
            object: name.sibling(slice_name.clone()),
            resource_version: slice.resource_version.clone(),
        });
        let mut cluster = self.cluster(id, endpoints);
        let of_pods = Arc::make_mut(&mut cluster);
        of_pods.checks.clone_from(&self.0.connection.checks);
        let slow_start = slow_start(name, service, &of_pods.balance.policy);
        let (slow_start_ms, slow_start_remark) =
            slow_start.map_or_else(|remark| (None, Some(remark)), |it| (it, None));
        of_pods.balance.slow_start_ms = slow_start_ms;
        let remark =
            remark.into_iter().chain(slow_start_remark).reduce(|one, other| format!("{one}; {other}"));
        Backend {
            ready,
            needed,
            versions: versions.collect(),
            certificate: None,
            cluster,
            service: None,
            problem: None,
            remark,
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
        let remark = (!self.0.connection.checks.is_empty())
            .then(|| "`health_checks` are for pods and not acted on without `resolver: endpoint`".to_owned());
        Backend {
            cluster: self.cluster(id, addresses.into_iter().map(endpoint).collect()),
            service: None,
            ready: BTreeMap::new(),
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
        let _ = write!(id, " {}", self.0.settings);
        let Connection {
            connect_timeout_ms,
            http2,
            tls_context: _,
            tag: _,
            balance,
            limits,
            outliers,
            checks: _,
        } = &self.0.connection;
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

/// One endpoint that answers.
struct Found {
    standing: Standing,
    leaving: Option<Draining>,
    pod: Arc<str>,
    version: Version,
    zones: Vec<Arc<str>>,
}

/// Which endpoints are better than others: only the best of a Service are picked, and there is always a best. So
/// pods that were chosen to go get nothing unless all were; and with nothing else, pods that end and still answer
/// are better than none (as kube-proxy does).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    terminating: bool,
    leaving: bool,
}

impl Found {
    /// `None` for an endpoint that does not answer.
    fn new(stores: &Stores, name: &ObjectName, service: &Service, endpoint: &SliceEndpoint) -> Option<Self> {
        let terminating = match endpoint.condition {
            EndpointCondition::Ready => false,
            EndpointCondition::Terminating => true,
            EndpointCondition::NotReady => return None,
        };
        let pod = endpoint.pod.as_ref().map(|pod| name.sibling(pod.clone()));
        let leaving = pod.as_ref().and_then(|pod| stores.leaving(pod));
        let hash = pod.as_ref().map_or_else(|| "".into(), |pod| stores.hash(pod));
        Some(Self {
            standing: Standing { terminating, leaving: leaving.is_some() },
            leaving,
            pod: endpoint.pod.clone().unwrap_or_else(|| "".into()),
            version: Version { namespace: name.namespace.clone(), hash },
            zones: zones::zones(service, endpoint),
        })
    }
}
