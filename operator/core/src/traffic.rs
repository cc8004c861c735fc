//! What the proxies serve, as the engine sees it.
//!
//! The shell converts `proxy/config/proto/traffic.proto` to these types and changes nothing on the way: the fold,
//! the comparison with what is wanted, and the words for what is missing are all decided here (design §2.1).

use std::collections::BTreeMap;
use std::fmt;

mod fold;

pub use fold::{Fold, Poll, Route, StandIn, TrialArm};

/// What is known of the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// This operator was given no traffic server: nobody acknowledges, `verified` stays unset and `settleSeconds` are
    /// allowed for a change.
    NotConfigured,
    /// There is a traffic server, but it cannot be reached, or has not yet told all it knows. `reason` completes
    /// "the data plane is not known: …".
    Unknown {
        /// Why.
        reason: String,
    },
    /// The complete state.
    Ready(Facts),
}

/// The complete state of the data plane, as far as it matters to one Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every counted proxy: all that may carry traffic.
    pub proxies: Vec<Proxy>,
    /// The splits that reach one of the Rollout's Services or Mappings, and may hold others: those are ignored.
    pub splits: Vec<Split>,
    /// Requests under way, by pod-template hash, in the Rollout's namespace. A hash without an entry has no request
    /// and no arm, provided that every counted proxy is known.
    pub loads: BTreeMap<String, Load>,
    /// Requests under way to the pods of the Rollout's namespace that were chosen to go, by pod name. A pod without
    /// an entry has not been seen to be chosen: new requests may reach it.
    pub draining: BTreeMap<PodKey, Load>,
    /// Requests of the last half minute to these splits, by the second in which they began.
    pub cohorts: Vec<Cohort>,
}

/// The requests by one arm to one version whose first try began in one second, over all proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    /// Unix time.
    pub second: i64,
    /// The split: [`Split::id`].
    pub split: String,
    /// The arm: [`Arm::id`].
    pub arm: String,
    /// The version's pod-template hash, `none` for pods without one; empty for requests that found no endpoint.
    pub hash: String,
    /// All, without those that their clients gave up.
    pub requests: u64,
    /// Those whose first try ended with a 5xx, a connect failure, a reset or a timeout.
    pub bad: u64,
    /// The sum over all of them of the share that the arm had, in 1/10 000.
    pub shares: u64,
    /// Those whose first try has ended, by bucket of latency ([`operator_judge::latency`]).
    pub ended: Vec<u64>,
}

/// The name of a pod in the Rollout's namespace.
pub type PodKey = String;

/// A proxy that may carry traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Pod uid and boot id.
    pub id: String,
    /// The pod, for people.
    pub pod: ObjectName,
    /// It has told what it serves. One that has not may be sending anything to any arm.
    pub known: bool,
    /// Whose configuration it gets: it has the splits of this scope and no others. Empty for the proxies that Mappings
    /// and Ingresses share.
    pub scope: String,
}

/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectName {
    /// From its two parts.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One weighted split and everything that a counted proxy may be serving for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The route's key.
    pub id: String,
    /// Each content that some known proxy serves, or may since it was sent to it. A proxy can be in several.
    pub views: Vec<View>,
    /// What the newest commit says; `None` once the split is gone.
    pub compiled: Option<Served>,
    /// Why the route is not served as written.
    pub problem: Option<String>,
    /// Only proxies of this scope have it.
    pub scope: String,
}

/// One content and the proxies that serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The content; `None`: these proxies do not have the split.
    pub served: Option<Served>,
    /// Ids of the proxies, as in [`Proxy::id`].
    pub proxies: Vec<String>,
}

/// The content of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Every backend of the route.
    pub arms: Vec<Arm>,
    /// Every object the content was compiled from.
    pub versions: Vec<Version>,
}

/// One backend of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Its name within the split, by which requests are counted.
    pub id: String,
    /// The Mapping that gives the arm, or an Ingress by its [key](crate::ingress::key).
    pub mapping: ObjectName,
    /// The Service its endpoints come from.
    pub service: ObjectName,
    /// The Mapping's own weight in percent, or of a route of the Gateway API that of the backend; `None`: it has none, and
    /// takes what the others leave. An Ingress has none: it has its share.
    pub written: Option<i32>,
    /// The share of the split's requests, in 1/10 000.
    pub share: u32,
    /// Ready endpoints the proxy may pick, by pod-template hash (`none` for pods without one). A hash with 0 is an
    /// arm that holds the version and has no ready endpoint of it.
    pub endpoints: BTreeMap<String, u32>,
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `Mapping`, `Service`, `EndpointSlice`, …
    pub kind: String,
    /// The object.
    pub object: ObjectName,
    /// Its `resourceVersion`.
    pub resource_version: String,
}

/// Requests under way to one version of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Sum over the counted proxies.
    pub in_flight: u64,
    /// Some arm of some counted proxy can still send it new requests.
    pub routable: bool,
    /// `in_flight` is of a moment after the last proxy stopped routing to it, with no older snapshot pinned.
    pub settled: bool,
}

impl Load {
    /// No request and no way for one to come.
    pub const NONE: Self = Self { in_flight: 0, routable: false, settled: true };
}
