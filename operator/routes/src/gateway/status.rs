//! What the status of an object says. Times are not in it: whoever writes it knows since when a condition holds.

use std::{borrow::Cow, sync::Arc};

use crds::gateway::{RouteKind, reference::ParentReference};

use super::demand::Address;

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Of which generation: `observedGeneration` of every condition.
    pub generation: i64,
    /// What.
    pub content: StatusContent,
}

/// The parts of a status that are ours, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusContent {
    /// Of a GatewayClass.
    Class {
        /// Its conditions.
        conditions: Vec<Condition>,
        /// `supportedFeatures`, in order of their names.
        features: &'static [&'static str],
        /// Whether a Gateway has it: then it must not go away.
        used: bool,
    },
    /// Of a Gateway.
    Gateway {
        /// Its conditions.
        conditions: Vec<Condition>,
        /// Where clients reach it.
        addresses: Vec<Address>,
        /// In the order of the spec.
        listeners: Vec<ListenerStatus>,
        /// How many ListenerSets add listeners.
        attached_listener_sets: u32,
    },
    /// Of a ListenerSet.
    ListenerSet {
        /// Its conditions.
        conditions: Vec<Condition>,
        /// In the order of the spec.
        listeners: Vec<ListenerStatus>,
    },
    /// Of a route: the entries of our controllers in `parents`, in the order of `parentRefs`. Those of others stay.
    Route(Vec<ParentStatus>),
    /// Of a policy: the entries of our controllers in `ancestors`. Those of others stay.
    Policy(Vec<ParentStatus>),
}

/// Of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// Which.
    pub name: String,
    /// Which routes may attach.
    pub supported_kinds: Vec<RouteKind>,
    /// How many do.
    pub attached_routes: u32,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// Of an object for one of those that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// The reference, as it was written.
    pub parent: Arc<ParentReference>,
    /// The controller of the Gateway's class.
    pub controller: Arc<str>,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

impl Condition {
    /// One that holds.
    pub fn holds(kind: &'static str, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, holds: true, reason, message: message.into() }
    }

    /// One that does not.
    pub fn fails(kind: &'static str, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }
}
