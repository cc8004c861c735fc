//! What the compiler makes of the objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::RouteKind;
use litemap::LiteMap;
use proxy_config::model::{ArmId, Change, Config, HostId, ListenerId, RouteId, Share, SplitId, Version};

use crate::{
    dialect::{Carrier, Origin, documents::DocumentName},
    edge::{Port, VirtualHost},
    gateway::{Demand, GatewayObjectName, GatewayStatus},
    object::ObjectName,
    scope::Scope,
};

/// Everything compiled from all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// What the proxies that all Mappings and Ingresses share get.
    pub config: Config,
    /// What the proxies of each Gateway get, or those that the Gateways of a class share. A Gateway that none of our
    /// classes has is not there.
    pub gateways: BTreeMap<Scope, Config>,
    /// What is asked of each of these proxies.
    pub demands: BTreeMap<Scope, Arc<Demand>>,
    /// What each split stands for. A Mapping that is in no route has a split of its own, without share and named by
    /// [`rejected_split`], so that whoever waits for it learns why.
    pub splits: BTreeMap<SplitId, Arc<SplitReport>>,
    /// A verdict on each object that is for this instance.
    pub statuses: BTreeMap<Subject, Status>,
    /// What the status of each object of the Gateway API says that is for one of our controllers.
    pub gateway_statuses: BTreeMap<GatewayObjectName, Arc<GatewayStatus>>,
    /// Where requests come in.
    pub ports: BTreeMap<ListenerId, Arc<Port>>,
    /// The hosts that are served, and which routes each has. A Mapping for many hosts is one route all the same.
    pub hosts: BTreeMap<HostId, Arc<VirtualHost>>,
    /// What a route is for, beyond what the proxies need to know.
    pub rules: BTreeMap<RouteId, Arc<Rule>>,
    /// The Secrets that something refers to, whether they exist or not.
    pub secrets: BTreeSet<ObjectName>,
    /// The same for `ConfigMaps` with authorities.
    pub config_maps: BTreeSet<ObjectName>,
    /// Every revision of which there are pods.
    pub pods: BTreeSet<Version>,
    /// Every pod that was chosen to go.
    pub leaving: BTreeMap<ObjectName, Leaving>,
}

/// What changed since the last [`Delta`]. Empty parts mean no change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// For the proxies of [`Compiled::config`]; clusters before the routes that name them, removals last.
    pub changes: Vec<Change>,
    /// The same for the proxies of Gateways that get something else now. For those that are gone there are no changes:
    /// [`Delta::demands`] has them as `None`.
    pub gateways: BTreeMap<Scope, Vec<Change>>,
    /// What is asked of these proxies if that is new or another; `None`: nobody asks for them any more.
    pub demands: BTreeMap<Scope, Option<Arc<Demand>>>,
    /// New and changed splits; `None` is gone.
    pub splits: BTreeMap<SplitId, Option<Arc<SplitReport>>>,
    /// New and changed verdicts; `None`: the object is gone or not for this instance.
    pub statuses: BTreeMap<Subject, Option<Status>>,
    /// New and changed statuses; `None`: the object is gone, or nothing of its status is ours any more.
    pub gateway_statuses: BTreeMap<GatewayObjectName, Option<Arc<GatewayStatus>>>,
    /// New and changed ports; `None` is gone.
    pub ports: BTreeMap<ListenerId, Option<Arc<Port>>>,
    /// New and changed hosts; `None` is gone.
    pub hosts: BTreeMap<HostId, Option<Arc<VirtualHost>>>,
    /// New and changed rules; `None` is gone.
    pub rules: BTreeMap<RouteId, Option<Arc<Rule>>>,
    /// Secrets that something refers to now (`true`) or nothing any more.
    pub secrets: BTreeMap<ObjectName, bool>,
    /// The same for `ConfigMaps`.
    pub config_maps: BTreeMap<ObjectName, bool>,
    /// Revisions of which there are pods now (`true`) or none any more.
    pub pods: BTreeMap<Version, bool>,
    /// Pods that were chosen to go, or of which something else holds now; `None`: gone, or wanted again.
    pub leaving: BTreeMap<ObjectName, Option<Leaving>>,
}

/// What a verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An object of Emissary.
    Document(DocumentName, Origin),
    /// A document of an annotation that could not be read, by its number from 1.
    Unreadable(Carrier, u32),
    /// An Ingress that is for one of our controllers: `Running` if every rule of it is served.
    Ingress(ObjectName),
    /// The ConfigMap with what holds for all Ingresses.
    IngressDefaults,
}

/// For which hosts a route is, and what becomes of requests that none of its arms takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// It is for every host that is served, whatever that host selects.
    pub everywhere: bool,
    /// It says itself for which hosts it is.
    pub named: bool,
    /// The labels of its Mappings by which hosts select.
    pub labels: BTreeMap<String, String>,
    /// Emissary's arithmetic: the arms in the order in which they are drawn; what they leave goes on to the next route
    /// with the same draw. Empty: one arm takes it all, or a draw of its own leaves nothing.
    pub drawn: Vec<ArmId>,
}

/// A pod that was chosen to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaving {
    /// Its `rollouts-pod-template-hash`.
    pub hash: Arc<str>,
    /// Whether a cluster lets it be picked all the same, because it has no better endpoint.
    pub needed: bool,
}

/// One split and why it is not served as written, if so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitReport {
    /// The proxies that have it.
    pub scope: Scope,
    /// Its content.
    pub served: Served,
    /// A sentence for the user.
    pub problem: Option<String>,
}

/// The content of a split: which arm gets how much, from which pods, and which objects say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// In order of their Mappings.
    pub arms: Vec<ServedArm>,
    /// Who gets copies of the requests, in order of their Mappings; the share is of those that are copied.
    pub mirrors: Vec<ServedArm>,
    /// Every object that the content was compiled from.
    pub versions: Vec<ObjectVersion>,
}

/// One arm of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedArm {
    /// The arm of the split, by which its requests are counted.
    pub id: ArmId,
    /// The Mapping that gives it, the [`ingress_key`] of an Ingress, or the [`route_key`] of a route.
    pub mapping: ObjectName,
    /// The Service behind it; `None`: it goes to an address or to a DNS name.
    pub service: Option<ObjectName>,
    /// The Mapping's own weight in percent, rounded; of a backend of a route its weight, up to 100; `None`: it
    /// has none, or it is an Ingress, whose weight is its share.
    pub written: Option<u8>,
    /// Its part of the requests.
    pub share: Share,
    /// By pod-template hash, how many endpoints the proxy may pick: draining ones do not count. The empty hash
    /// stands for pods without one. Nothing if the arm does not go to pods.
    pub endpoints: LiteMap<Arc<str>, u32>,
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectVersion {
    /// Which kind.
    pub kind: ObjectKind,
    /// Which object.
    pub object: ObjectName,
    /// Its `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
}

/// The kinds that a [`Served`] is compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `getambassador.io` Mapping.
    Mapping,
    /// Core Service.
    Service,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// `networking.k8s.io` Ingress.
    Ingress,
    /// A route of the Gateway API.
    Route(RouteKind),
}

/// The verdict on an object, as its `status` has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status {
    /// Whether it has a part in what is served.
    pub state: State,
    /// Why not, or what is not as written; empty if there is nothing to say.
    pub reason: String,
}

/// Emissary's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has.
    Running,
    /// It has not.
    Inactive,
}

/// The name of the split that stands for a Mapping in no route.
#[must_use]
pub fn rejected_split(mapping: &ObjectName) -> SplitId {
    SplitId::new(format!("rejected {mapping}"))
}

/// What stands in the place of a Mapping's name where an Ingress is meant; no Mapping can be called so. `part`: only
/// those of its requests that are told apart so.
#[must_use]
pub fn ingress_key(ingress: &ObjectName, part: &str) -> ObjectName {
    ingress.sibling(format!("ingress/{}{part}", ingress.name))
}

/// What stands in the place of a Mapping's name where a route of the Gateway API is meant; no Mapping can be called so.
#[must_use]
pub fn route_key(kind: RouteKind, route: &ObjectName) -> ObjectName {
    route.sibling(format!("{}/{}", kind.as_str().to_ascii_lowercase(), route.name))
}

// === impl ObjectKind ===

impl ObjectKind {
    /// Its Kubernetes name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "Mapping",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Ingress => "Ingress",
            Self::Route(kind) => kind.as_str(),
        }
    }
}

// === impl State ===

impl State {
    /// As it stands in `status.state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Inactive => "Inactive",
        }
    }
}

// === impl Compiled ===

impl Compiled {
    /// What the proxies of a scope get; `None`: there is no such Gateway or class.
    #[must_use]
    pub fn config_of(&self, scope: &Scope) -> Option<&Config> {
        match scope {
            Scope::Fleet => Some(&self.config),
            Scope::Gateway(_) | Scope::Class(_) => self.gateways.get(scope),
        }
    }
}

// === impl Delta ===

impl Delta {
    /// What changed for the proxies of a scope.
    #[must_use]
    pub fn changes_of(&self, scope: &Scope) -> &[Change] {
        match scope {
            Scope::Fleet => &self.changes,
            Scope::Gateway(_) | Scope::Class(_) => self.gateways.get(scope).map_or(&[], Vec::as_slice),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            changes,
            gateways,
            demands,
            splits,
            statuses,
            gateway_statuses,
            ports,
            hosts,
            rules,
            secrets,
            config_maps,
            pods,
            leaving,
        } = self;
        changes.is_empty()
            && gateways.is_empty()
            && demands.is_empty()
            && gateway_statuses.is_empty()
            && config_maps.is_empty()
            && splits.is_empty()
            && statuses.is_empty()
            && ports.is_empty()
            && hosts.is_empty()
            && rules.is_empty()
            && secrets.is_empty()
            && pods.is_empty()
            && leaving.is_empty()
    }
}
