//! What a Gateway asks of whoever makes its proxies, and what it is told of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::class::ParametersReference;

use crate::object::ObjectName;

/// What a Gateway of ours asks for, or the Gateways of a class that share their proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The uid of the Gateway or class: what is made for it belongs to it.
    pub uid: Arc<str>,
    /// Its generation.
    pub generation: i64,
    /// The GatewayClass.
    pub class: Arc<str>,
    /// What the class says of all its Gateways.
    pub class_parameters: Option<ParametersReference>,
    /// What the Gateway says, in its own namespace.
    pub parameters: Option<ParametersReference>,
    /// On everything that is made for it.
    pub labels: BTreeMap<String, String>,
    /// The same.
    pub annotations: BTreeMap<String, String>,
    /// Addresses that are asked for; none: whichever it gets.
    pub addresses: Vec<Address>,
    /// The ports of its listeners that can be opened.
    pub ports: BTreeSet<DemandedPort>,
    /// The Gateways that proxies which are shared serve, with the addresses that each asks for. Empty for those of one
    /// Gateway.
    pub members: BTreeMap<ObjectName, Vec<Address>>,
}

/// A port that clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DemandedPort {
    /// Its number.
    pub port: u16,
    /// What arrives there.
    pub transport: Transport,
    /// The port of the proxy, as [`container_port`](super::port::container_port) says.
    pub container: u16,
}

/// What arrives at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Where clients reach a Gateway, or should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What it is.
    pub kind: AddressKind,
    /// Which; empty where any is asked for.
    pub value: String,
}

/// What an address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// `IPAddress`.
    Ip,
    /// `Hostname`.
    Hostname,
    /// One that some implementation has.
    Other(String),
}

/// What there is of the proxies of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// Where clients reach them.
    pub addresses: Vec<Address>,
    /// Why what the Gateway asks for cannot be made at all: its `Accepted` is false for this.
    pub refused: Option<Refused>,
    /// Why it cannot be reached yet: its `Programmed` is false for this. `None`: it can.
    pub lacking: Option<Lacking>,
}

/// How far the proxies of a scope are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// They have been made.
    Made,
    /// Clients reach them.
    Reached,
}

/// Why a Gateway is not accepted by whoever makes its proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `InvalidParameters`: why.
    Parameters(String),
    /// `UnsupportedAddress`: why.
    Address(String),
}

/// What a Gateway lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// `AddressNotAssigned`: it has no address yet.
    Address(String),
    /// `AddressNotUsable`: one that is asked for cannot be had.
    UsableAddress(String),
    /// `NoResources`: its proxies are not there.
    Resources(String),
    /// `Pending`: its proxies do not serve it yet.
    Pending(String),
}

impl AddressKind {
    /// The word for `type`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ip => "IPAddress",
            Self::Hostname => "Hostname",
            Self::Other(text) => text,
        }
    }

    /// What a `type` means; absent is an IP address.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("IPAddress") => Self::Ip,
            Some("Hostname") => Self::Hostname,
            Some(other) => Self::Other(other.to_owned()),
        }
    }
}
