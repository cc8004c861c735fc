//! What the compiler makes of the objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{Change, Config, Share, SplitId, Version};

use crate::object::ObjectName;

/// Everything compiled from all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// What the proxies get.
    pub config: Config,
    /// What each split stands for. A Mapping that is in no route has a split of its own, without share and named by
    /// [`rejected_split`], so that whoever waits for it learns why.
    pub splits: BTreeMap<SplitId, Arc<SplitReport>>,
    /// A verdict on each Mapping that is for this instance.
    pub statuses: BTreeMap<ObjectName, Status>,
    /// Every revision of which there are pods.
    pub pods: BTreeSet<Version>,
    /// Every pod that was chosen to go.
    pub leaving: BTreeMap<ObjectName, Leaving>,
}

/// What changed since the last [`Delta`]. Empty parts mean no change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// For the proxies; clusters before the routes that name them, removals last.
    pub changes: Vec<Change>,
    /// New and changed splits; `None` is gone.
    pub splits: BTreeMap<SplitId, Option<Arc<SplitReport>>>,
    /// New and changed verdicts; `None`: the Mapping is gone or not for this instance.
    pub statuses: BTreeMap<ObjectName, Option<Status>>,
    /// Revisions of which there are pods now (`true`) or none any more.
    pub pods: BTreeMap<Version, bool>,
    /// Pods that were chosen to go, or of which something else holds now; `None`: gone, or wanted again.
    pub leaving: BTreeMap<ObjectName, Option<Leaving>>,
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
    /// The Mapping that gives it.
    pub mapping: ObjectName,
    /// The Service behind it; `None`: it goes to an address or to a DNS name.
    pub service: Option<ObjectName>,
    /// The Mapping's own weight in percent, rounded; `None`: it has none.
    pub written: Option<u8>,
    /// Its part of the requests.
    pub share: Share,
    /// By pod-template hash, how many endpoints the proxy may pick: draining ones do not count. The empty hash
    /// stands for pods without one. Nothing if the arm does not go to pods.
    pub endpoints: BTreeMap<Arc<str>, u32>,
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
}

/// The verdict on a Mapping, as its `status` has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status {
    /// Whether it has a part in a route.
    pub state: State,
    /// Why not, or what is not as written; empty if there is nothing to say.
    pub reason: String,
}

/// Emissary's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is in a route.
    Running,
    /// It is not.
    Inactive,
}

/// The name of the split that stands for a Mapping in no route.
#[must_use]
pub fn rejected_split(mapping: &ObjectName) -> SplitId {
    SplitId::new(format!("rejected {mapping}"))
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

// === impl Delta ===

impl Delta {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { changes, splits, statuses, pods, leaving } = self;
        changes.is_empty()
            && splits.is_empty()
            && statuses.is_empty()
            && pods.is_empty()
            && leaving.is_empty()
    }
}
