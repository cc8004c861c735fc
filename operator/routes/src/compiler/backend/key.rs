//! What a backend is asked for by, and what makes two askers share one.

use std::{
    cmp::Ordering,
    fmt::Write as _,
    hash::{Hash, Hasher},
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use crate::{
    mapping::{Connection, ServiceHost, ServiceReference},
    object::{ObjectName, PortReference},
};

/// The port where none is written and the Service does not say better.
const DEFAULT_PORT: u16 = 80;
const DEFAULT_TLS_PORT: u16 = 443;

/// Those that thousands of others would each hold one of.
static ABSENT: LazyLock<BackendKey> = LazyLock::new(|| BackendKey::usual(Target::Absent, Originates::No));
static NOBODY: LazyLock<BackendKey> = LazyLock::new(|| BackendKey::usual(Target::Nobody, Originates::No));

/// Connections as they are made where nothing is said about them, and to HTTP/2 servers.
static USUAL: LazyLock<Arc<Connection>> = LazyLock::new(Arc::default);
static USUAL_HTTP2: LazyLock<Arc<Connection>> =
    LazyLock::new(|| Arc::new(Connection { http2: true, ..Connection::default() }));

/// What a backend is asked for by. Mappings with equal ones share a cluster. One is held in many places, so it is shared.
#[derive(Clone, Debug)]
pub(in crate::compiler) struct BackendKey(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    target: Target,
    tls: Originates,
    connection: Arc<Connection>,
    /// The text of all but the target: what makes connections shareable.
    settings: Box<str>,
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
pub(super) enum Originates {
    No,
    /// It is, and the context is looked up in this namespace.
    Context(Arc<str>),
    /// It is, and certificates are those that the web accepts, where a name says whose they must be.
    Web,
    /// If a BackendTLSPolicy says so; then it is shown the certificate in this Secret.
    Policy(Option<ObjectName>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Target {
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

impl BackendKey {
    /// The backend of a reference in `namespace`; `pods` is whether its resolver asks for pods.
    pub(in crate::compiler) fn of(
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
        Self::new(target, tls, shared(connection))
    }

    /// A service that is asked about the requests of an Ingress in `namespace`: the pods of a Service, or what has the name.
    pub(in crate::compiler) fn of_authorization(reference: &ServiceReference, namespace: &Arc<str>) -> Self {
        let Self(asked) = Self::of(reference, &USUAL, namespace, true);
        let mut target = asked.target.clone();
        if let (Target::Service { or_dns, .. }, ServiceHost::ServiceOrName(_)) =
            (&mut target, &reference.host)
        {
            *or_dns = true;
        }
        Self::usual(target, if reference.tls { Originates::Web } else { Originates::No })
    }

    /// The pods of a Service of an Ingress.
    pub(in crate::compiler) fn of_ingress(
        service: &ObjectName,
        port: &PortReference,
        connection: &Connection,
        tls: bool,
    ) -> Self {
        let tls = if tls { Originates::Context(service.namespace.clone()) } else { Originates::No };
        let target =
            Target::Service { name: service.clone(), port: Some(port.clone()), pods: true, or_dns: false };
        Self::new(target, tls, shared(connection))
    }

    /// The pods of a Service of a route of the Gateway API. `http2`: they speak it whatever the Service says.
    pub(in crate::compiler) fn of_route(
        service: &ObjectName,
        port: u16,
        http2: bool,
        shown: Option<&ObjectName>,
    ) -> Self {
        let port = Some(PortReference::Number(port));
        let target = Target::Service { name: service.clone(), port, pods: true, or_dns: false };
        let connection = if http2 { &USUAL_HTTP2 } else { &USUAL };
        Self::new(target, Originates::Policy(shown.cloned()), Arc::clone(connection))
    }

    /// What has these connections and no endpoints.
    pub(super) fn without_endpoints(connection: &Connection) -> Self {
        Self::new(Target::Nobody, Originates::No, shared(connection))
    }

    /// What stands for a reference that means nothing.
    pub(in crate::compiler) fn absent() -> Self {
        ABSENT.clone()
    }

    /// A backend without endpoints.
    pub(in crate::compiler) fn nobody() -> Self {
        NOBODY.clone()
    }

    fn usual(target: Target, tls: Originates) -> Self {
        Self::new(target, tls, Arc::clone(&USUAL))
    }

    fn new(target: Target, tls: Originates, connection: Arc<Connection>) -> Self {
        let mut settings = connection.id();
        match &tls {
            Originates::No => {}
            // The name of a context means another one in another namespace.
            Originates::Context(namespace) => drop(write!(settings, " originates={namespace}")),
            Originates::Web => settings.push_str(" web"),
            Originates::Policy(None) => settings.push_str(" policy"),
            Originates::Policy(Some(secret)) => drop(write!(settings, " policy shown={secret}")),
        }
        Self(Arc::new(Asked { target, tls, connection, settings: settings.into() }))
    }

    /// Whose addresses are meant.
    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// How TLS is spoken, if it is.
    pub(super) fn tls(&self) -> &Originates {
        &self.0.tls
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The text of all but the target.
    pub(super) fn settings(&self) -> &str {
        &self.0.settings
    }

    /// Whether it depends on TLS contexts and Secrets.
    pub(in crate::compiler) fn originates_tls(&self) -> bool {
        matches!(self.0.tls, Originates::Context(_))
    }

    /// The port that is meant where none is written.
    pub(super) fn default_port(&self) -> u16 {
        match self.0.tls {
            Originates::Context(_) | Originates::Web => DEFAULT_TLS_PORT,
            Originates::No | Originates::Policy(_) => DEFAULT_PORT,
        }
    }

    /// The number of a port where no Service says which: a name says none.
    pub(super) fn number(&self, written: Option<&PortReference>) -> u16 {
        match written {
            Some(PortReference::Number(number)) => *number,
            Some(PortReference::Name(_)) | None => self.default_port(),
        }
    }

    /// The Service whose changes change the backend.
    pub(in crate::compiler) fn service(&self) -> Option<&ObjectName> {
        match &self.0.target {
            Target::Service { name, .. } => Some(name),
            Target::Dns { .. } | Target::Address { .. } | Target::Nobody | Target::Absent => None,
        }
    }

    /// Whether what is in this Secret is shown to it.
    pub(in crate::compiler) fn is_shown(&self, secret: &ObjectName) -> bool {
        matches!(&self.0.tls, Originates::Policy(Some(shown)) if shown == secret)
    }
}

/// Most say nothing about their connections: these share what that means.
fn shared(connection: &Connection) -> Arc<Connection> {
    if *connection == **USUAL { Arc::clone(&USUAL) } else { Arc::new(connection.clone()) }
}
