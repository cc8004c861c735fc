//! The shapes in which Emissary's objects are written, made one.
//!
//! A person writes an object as a custom resource of `getambassador.io` (v1, v2 or v3alpha1), as one of
//! `x.getambassador.io`, or as a document in the annotation `getambassador.io/config` of a Service or Ingress
//! (`ambassador/v0` to `getambassador.io/v3alpha1`). All become a [`Document`]; what its fields mean is decided where
//! they are read, by its [`ApiVersion`] if that makes a difference. There is no conversion webhook.

pub mod annotation;
pub mod documents;
mod schema;

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use serde_json::Value;

pub use self::documents::Documents;
pub(crate) use self::schema::violation;
use crate::object::{ObjectName, ResolverKind};

/// One object of Emissary, however it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Its name.
    pub name: ObjectName,
    /// In whose shapes it was written.
    pub version: ApiVersion,
    /// Where it was written.
    pub origin: Origin,
    /// `metadata.labels`; a document without any has those of the object that bears its annotation.
    pub labels: BTreeMap<String, String>,
    /// `metadata.resourceVersion` of the object in which it was written.
    pub resource_version: Arc<str>,
    /// Whether an owner reference names a Rollout: then it is a canary's.
    pub owned_by_rollout: bool,
    /// `spec`, of any shape.
    pub spec: Arc<Value>,
}

/// The kinds of documents that are acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// `Mapping`, or `AmbassadorMapping` of `x.getambassador.io`.
    Mapping,
    /// `TCPMapping`.
    TcpMapping,
    /// `Host`.
    Host,
    /// `Listener`.
    Listener,
    /// `TLSContext`.
    TlsContext,
    /// `Module`.
    Module,
    /// `KubernetesServiceResolver`, `KubernetesEndpointResolver` or `ConsulResolver`.
    Resolver(ResolverKind),
}

/// The shapes of a version. v1 and v2 differ in nothing that is looked at here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// `ambassador/v0`: annotations of 0.x.
    V0,
    /// `v1`.
    V1,
    /// `v2`.
    V2,
    /// `v3alpha1`.
    V3,
}

/// Where a document was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// As an object of its own.
    Object,
    /// In an annotation, as the document of this number, from 1.
    Annotation(Carrier, u32),
    /// As a part of an Ingress of Emissary's class, where that is followed to the letter.
    Ingress(ObjectName),
}

/// An object that bears the annotation `getambassador.io/config`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier {
    /// What it is.
    pub kind: CarrierKind,
    /// Its name.
    pub name: ObjectName,
}

/// The kinds whose annotation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarrierKind {
    /// Core Service.
    Service,
    /// `networking.k8s.io` Ingress.
    Ingress,
}

impl Document {
    /// The text by which Emissary orders what it loads: what comes first decides how a group is meant, and of two
    /// documents with one name the last one counts (emissary.md §2.1, §2.5). Texts, so `.10` comes before `.2`.
    #[must_use]
    pub fn load_key(&self) -> String {
        let name = &self.name;
        match &self.origin {
            Origin::Object | Origin::Ingress(_) => [&*name.name, ".", &*name.namespace, ".1"].concat(),
            Origin::Annotation(carrier, number) => {
                format!("{}.{}.{number}", carrier.name.name, carrier.name.namespace)
            }
        }
    }
}

impl DocumentKind {
    /// Its Kubernetes name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "Mapping",
            Self::TcpMapping => "TCPMapping",
            Self::Host => "Host",
            Self::Listener => "Listener",
            Self::TlsContext => "TLSContext",
            Self::Module => "Module",
            Self::Resolver(ResolverKind::Service) => "KubernetesServiceResolver",
            Self::Resolver(ResolverKind::Endpoint) => "KubernetesEndpointResolver",
            Self::Resolver(ResolverKind::Consul) => "ConsulResolver",
        }
    }

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mapping,
        Self::TcpMapping,
        Self::Host,
        Self::Listener,
        Self::TlsContext,
        Self::Module,
        Self::Resolver(ResolverKind::Service),
        Self::Resolver(ResolverKind::Endpoint),
        Self::Resolver(ResolverKind::Consul),
    ];

    /// The kind with this name, in either group.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.strip_prefix("Ambassador").unwrap_or(text);
        Self::ALL.into_iter().find(|kind| kind.as_str() == plain)
    }
}

impl ApiVersion {
    /// Reads an `apiVersion`: `ambassador/v1` means `getambassador.io/v1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/')? {
            ("ambassador" | "getambassador.io", "v0") => Some(Self::V0),
            ("ambassador" | "getambassador.io", "v1") => Some(Self::V1),
            ("ambassador" | "getambassador.io", "v2") => Some(Self::V2),
            ("ambassador" | "getambassador.io" | "x.getambassador.io", "v3alpha1") => Some(Self::V3),
            _ => None,
        }
    }
}

impl CarrierKind {
    /// Its Kubernetes name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Ingress => "Ingress",
        }
    }
}

impl Display for Carrier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_str(), self.name)
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object => f.write_str("an object of its own"),
            Self::Annotation(carrier, number) => {
                write!(f, "document {number} in the annotation of {carrier}")
            }
            Self::Ingress(ingress) => write!(f, "a part of Ingress `{ingress}`"),
        }
    }
}
