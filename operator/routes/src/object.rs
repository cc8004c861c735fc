//! What the compiler knows of Kubernetes: the few fields that it needs of each object.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    net::IpAddr,
    str::FromStr,
    sync::Arc,
};

use litemap::LiteMap;
use proxy_config::model::{Draining, Secret};
use serde_json::Value;

use crate::{
    dialect::{ApiVersion, Carrier, Document, Origin, annotation::Annotation, documents::DocumentName},
    gateway::{GatewayObject, GatewayObjectName, Presence, Supply},
    scope::Scope,
};

/// Names an object of a known kind; its text is `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// One object that appeared or changed (`Some`) or is gone (`None`).
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectChange {
    /// An object of `getambassador.io` or `x.getambassador.io`.
    Emissary(DocumentName, Option<EmissaryObject>),
    /// The annotation `getambassador.io/config` of an object; `None` also if it has none.
    Annotation(Carrier, Option<Annotation>),
    /// Core Secret, one of those in [`Compiled::secrets`](crate::Compiled::secrets).
    Secret(ObjectName, Option<SecretObject>),
    /// Core Service.
    Service(ObjectName, Option<Service>),
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice(ObjectName, Option<EndpointSlice>),
    /// Core Pod.
    Pod(ObjectName, Option<Pod>),
    /// `argoproj.io` Rollout.
    Rollout(ObjectName, Option<RolloutServices>),
    /// `networking.k8s.io` Ingress.
    Ingress(ObjectName, Option<IngressObject>),
    /// `networking.k8s.io` IngressClass, by name: it has no namespace.
    IngressClass(Arc<str>, Option<IngressClass>),
    /// `data` of the ConfigMap with what holds for all Ingresses; `None`: there is none.
    IngressDefaults(Option<BTreeMap<String, String>>),
    /// An object of `gateway.networking.k8s.io`.
    Gateway(GatewayObjectName, Option<GatewayObject>),
    /// What there is of the proxies of a Gateway; `None`: nothing.
    Supply(ObjectName, Option<Supply>),
    /// How far the proxies of a scope are; `None`: there are none.
    Proxies(Scope, Option<Presence>),
    /// `metadata.labels` of a Namespace, by name; `None`: it is gone.
    Namespace(Arc<str>, Option<BTreeMap<String, String>>),
    /// `data` of a ConfigMap, one of those in [`Compiled::config_maps`](crate::Compiled::config_maps).
    ConfigMap(ObjectName, Option<BTreeMap<String, String>>),
}

/// An Ingress as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct IngressObject {
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// `metadata.creationTimestamp` in seconds since 1970: of two with the same rule the older counts.
    pub created: i64,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec`, of any shape.
    pub spec: Value,
}

/// An IngressClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// `spec.controller`.
    pub controller: String,
    /// Annotation `ingressclass.kubernetes.io/is-default-class`.
    pub default: bool,
}

/// Which port of a Service is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortReference {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(Arc<str>),
}

/// An object of Emissary as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct EmissaryObject {
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// In whose shapes it was written. Without a conversion webhook the API server calls every object by the version
    /// that it was asked for.
    pub version: ApiVersion,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Whether an owner reference names a Rollout: then it is a canary Mapping.
    pub owned_by_rollout: bool,
    /// `spec`, of any shape.
    pub spec: Value,
}

/// A Secret with a certificate, a key, authorities or revocations, as PEM; or with passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretObject {
    /// `tls.crt`, or `cert-chain.pem`.
    pub chain: Option<String>,
    /// `tls.key`, `key.pem` or `user.key`.
    pub key: Option<Secret>,
    /// `ca.crt`; of a Secret that holds authorities and nothing else also `tls.crt`.
    pub authorities: Option<String>,
    /// `crl.pem`.
    pub revoked: Option<String>,
    /// Its other entries that are texts: passwords, in a file named `auth` or each by the name of its user.
    pub entries: BTreeMap<String, Secret>,
}

/// How a resolver finds the servers behind a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResolverKind {
    /// `KubernetesServiceResolver`: the Service's own address.
    Service,
    /// `KubernetesEndpointResolver`: its pods.
    Endpoint,
    /// `ConsulResolver`.
    Consul,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.selector`.
    pub selector: LiteMap<String, String>,
    /// Where connections to it go.
    pub address: ServiceAddress,
    /// The first of `spec.ipFamilies`.
    pub family: Family,
    /// Whether it says itself that a Rollout moves it: by the annotation
    /// `argo-rollouts.argoproj.io/managed-by-rollouts`, or by a revision's hash in its selector.
    pub managed: bool,
    /// The annotation `sluice.dev/slow-start` as it is written: how long a new pod takes to its full share.
    pub slow_start: Option<String>,
    /// Whether its clients are to be served in their own zone: `spec.trafficDistribution` is `PreferSameZone`,
    /// `PreferSameNode` (of which the zone is what a proxy can do) or `PreferClose`.
    pub prefers_zone: bool,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty if it is the only one.
    pub name: String,
    /// The port of the Service.
    pub port: u16,
    /// `targetPort` if it is a number.
    pub target: Option<u16>,
    /// What its pods speak.
    pub speaks: AppProtocol,
}

/// What pods speak behind a port, as its `appProtocol` says (KEP-3726).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppProtocol {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// `kubernetes.io/h2c`: HTTP/2 with prior knowledge, in the clear.
    H2c,
    /// `kubernetes.io/ws`: WebSocket in the clear.
    WebSocket,
    /// `kubernetes.io/wss`: WebSocket over TLS.
    SecureWebSocket,
    /// Something else.
    Other,
}

/// Where connections to a Service go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServiceAddress {
    /// Nowhere of its own: its DNS name gives the pods.
    #[default]
    Headless,
    /// To this address, and from there to a pod.
    ClusterIp(IpAddr),
    /// To this DNS name (`type: ExternalName`).
    External(String),
}

/// An address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// The Service in its label `kubernetes.io/service-name`; slices without one are not of interest.
    pub service: Arc<str>,
    /// `addressType`.
    pub family: Family,
    /// Port numbers by port name; an unnamed port has the empty name.
    pub ports: LiteMap<String, u16>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// The first of `addresses`: the API declares the others meaningless.
    pub address: IpAddr,
    /// What it is able to do.
    pub condition: EndpointCondition,
    /// The pod in `targetRef`, in the slice's namespace.
    pub pod: Option<Arc<str>>,
    /// Where it is.
    pub zone: Option<Arc<str>>,
    /// `hints.forZones`: from where it should be used.
    pub hints: Vec<Arc<str>>,
}

/// The conditions of an endpoint, folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCondition {
    /// `ready`, or unknown, which the API defines as ready.
    Ready,
    /// `serving` and `terminating`: it still answers and will be gone soon.
    Terminating,
    /// Neither.
    NotReady,
}

/// A pod that bears a revision's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its label `rollouts-pod-template-hash`.
    pub hash: Arc<str>,
    /// Set if it was chosen to go (label `sluice.dev/draining`), whatever its endpoints say.
    pub leaving: Option<Draining>,
}

/// The Services that a Rollout with traffic routing moves between its revisions, in its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutServices(pub BTreeSet<Arc<str>>);

/// `text` is not `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form namespace/name")]
pub struct NotAnObjectName {
    /// What was given.
    pub text: String,
}

// === impl AppProtocol ===

impl AppProtocol {
    /// What an `appProtocol` means.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::Unsaid,
            Some("kubernetes.io/h2c") => Self::H2c,
            Some("kubernetes.io/ws") => Self::WebSocket,
            Some("kubernetes.io/wss") => Self::SecureWebSocket,
            Some(_) => Self::Other,
        }
    }
}

// === impl EmissaryObject ===

impl EmissaryObject {
    /// One without labels and owner, in the shapes of v3alpha1.
    pub fn new(resource_version: impl Into<Arc<str>>, spec: Value) -> Self {
        Self {
            resource_version: resource_version.into(),
            version: ApiVersion::V3,
            labels: BTreeMap::new(),
            owned_by_rollout: false,
            spec,
        }
    }

    /// The document of this name that it is.
    pub(crate) fn into_document(self, name: &DocumentName) -> Document {
        let Self { resource_version, version, labels, owned_by_rollout, spec } = self;
        Document {
            kind: name.kind,
            name: name.name.clone(),
            version,
            origin: Origin::Object,
            labels,
            resource_version,
            owned_by_rollout,
            spec: Arc::new(spec),
        }
    }
}

// === impl IngressObject ===

impl IngressObject {
    /// One without labels and annotations, from the beginning of time.
    pub fn new(resource_version: impl Into<Arc<str>>, spec: Value) -> Self {
        Self {
            resource_version: resource_version.into(),
            created: 0,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec,
        }
    }
}

// === impl ObjectName ===

impl ObjectName {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The object `name` beside this one.
    #[must_use]
    pub fn sibling(&self, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: self.namespace.clone(), name: name.into() }
    }
}

impl Display for ObjectName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(NotAnObjectName { text: text.to_owned() }),
        }
    }
}

// === impl EndpointCondition ===

impl EndpointCondition {
    /// Folds the conditions as the API defines absent ones: `ready` true, `serving` like `ready`, `terminating` false.
    #[must_use]
    pub fn of(ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>) -> Self {
        let ready = ready.unwrap_or(true);
        if ready {
            Self::Ready
        } else if serving.unwrap_or(ready) && terminating.unwrap_or(false) {
            Self::Terminating
        } else {
            Self::NotReady
        }
    }
}
