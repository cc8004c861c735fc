//! The Gateway API: Gateways with listeners of their own, and the routes that attach to them.
//!
//! | to change … | look in |
//! |---|---|
//! | what a Gateway asks of its proxies, and what it is told of them | [`demand`] |
//! | whether the Gateways of a class share their proxies | `sharing.rs` |
//! | which port of a proxy stands for a port of a Gateway | [`port`] |
//! | which features are claimed | `features.rs` |
//! | which hosts two names have in common | `hostname.rs` |
//! | which listeners cannot be told apart, what they may have | `listener.rs` |
//! | which requests a match is for, and which is asked first | `matching.rs` |
//! | what filters, timeouts and retries mean | `filters.rs` |
//! | who may refer to whom | `grants.rs` |
//! | what the status of an object says | [`status`] |

pub mod demand;
mod features;
pub(crate) mod filters;
pub(crate) mod grants;
pub(crate) mod hostname;
pub(crate) mod listener;
pub(crate) mod matching;
pub(crate) mod objects;
pub mod port;
pub(crate) mod sharing;
pub mod status;
pub(crate) mod weights;

use std::sync::Arc;

use crds::gateway::GatewayKind;
use serde_json::Value;

pub use self::{
    demand::{Address, AddressKind, Demand, DemandedPort, Presence, Supply, Transport},
    features::FEATURES,
    matching::Precedence,
    status::{Condition, GatewayStatus},
};
use crate::object::ObjectName;

/// The controller of our own GatewayClasses.
pub const GATEWAY_CONTROLLER: &str = "sluice.dev/gateway-controller";

/// Names an object of the Gateway API. A GatewayClass has the empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayObjectName {
    /// Its kind.
    pub kind: GatewayKind,
    /// Its name.
    pub name: ObjectName,
}

/// An object of the Gateway API as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayObject {
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// `metadata.generation`: its status says of which generation it is.
    pub generation: i64,
    /// `metadata.creationTimestamp` in seconds since 1970: of two that conflict the older counts.
    pub created: i64,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// Of a route, the annotation [`crds::contract::STANDS_IN_ANNOTATION`]: whose place it takes.
    pub stands_in_for: Option<Arc<str>>,
    /// `spec`, of any shape.
    pub spec: Value,
}

impl GatewayObject {
    /// One of the first generation, from the beginning of time.
    pub fn new(resource_version: impl Into<Arc<str>>, spec: Value) -> Self {
        Self {
            resource_version: resource_version.into(),
            generation: 1,
            created: 0,
            uid: "".into(),
            stands_in_for: None,
            spec,
        }
    }
}
