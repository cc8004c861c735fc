//! What becomes of a request at one Gateway, in words for the owners of its routes.

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use crds::gateway::RouteKind;
use proxy_config::model::Route;

use super::{Outcome, Standing};
use crate::{gateway::Precedence, object::ObjectName};

/// A match of a rule of an HTTPRoute or a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// The kind of the route.
    pub kind: RouteKind,
    /// The route.
    pub route: ObjectName,
    /// The number of the rule, from 0.
    pub rule: usize,
    /// `name` of the rule.
    pub name: Option<String>,
    /// The number of the match, from 0; `None`: the rule has no other.
    pub number: Option<usize>,
}

/// A match as the proxies of a Gateway have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRoute {
    /// What it stands for.
    pub of: RuleMatch,
    /// What the proxies have.
    pub route: Arc<Route>,
    /// Why requests of its rule are not all served as written, a sentence each.
    pub faults: Vec<String>,
}

/// What becomes of a request at a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtGateway {
    /// The Gateway.
    pub gateway: ObjectName,
    /// The port of the Gateway on which it comes in.
    pub port: u16,
    /// The listener that takes it, by the name that the Gateway has for it, or why none does.
    pub listener: Result<String, NoListener>,
    /// What becomes of which part; the parts sum to 10000. Nothing without a listener.
    pub outcomes: Vec<Outcome>,
    /// Which rule decides that; `None`: no route matches.
    pub answers: Option<GatewayRoute>,
    /// What else concerns the request: the matches in the order in which they are asked, then routes that are not
    /// attached.
    pub others: Vec<Bystander>,
}

/// Why no listener takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoListener {
    /// None has the port.
    Port,
    /// Those of the port speak TLS where the request does not, or the other way round.
    Protocol,
    /// None of the port is for the host.
    Host,
    /// The one with the most specific hostname has other kinds of routes: it does not look into connections.
    Streams(String),
    /// The one that would take it is not served, for this reason.
    Unserved(String, String),
    /// This listener of this Gateway, which has the same proxies, has a hostname that is more specific.
    Elsewhere(String, ObjectName),
}

/// A route that does not answer a request that it has something to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bystander {
    /// Who: a rule, or a whole route.
    pub who: String,
    /// Why not.
    pub why: Aside,
}

/// Why a route of a Gateway does not answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It does not match, as of any route.
    Standing(Standing),
    /// It matches, and this one is asked before it.
    After(RuleMatch, Precedence),
    /// It is not attached to the listener that takes the request, which is said in full.
    OtherListener(String),
    /// It is attached to no listener of the Gateway, as its status says.
    Unattached(String),
    /// It names a Gateway that is not served: why.
    NoGateway(String),
    /// It cannot be served, as its status says.
    Unserved(String),
}

// === impl AtGateway ===

impl AtGateway {
    /// Whether any route has to do with the request.
    #[must_use]
    pub fn concerns(&self) -> bool {
        self.answers.is_some() || !self.others.is_empty()
    }
}

// === impl Display ===

impl Display for RuleMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.kind.as_str(), self.route)?;
        match &self.name {
            Some(name) => write!(f, "rule `{name}`")?,
            None => write!(f, "rule {}", self.rule)?,
        }
        self.number.map_or(Ok(()), |number| write!(f, " match {number}"))
    }
}

impl Display for NoListener {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port => f.write_str("No listener has this port."),
            Self::Protocol => f.write_str(
                "The listeners of this port speak TLS and the request does not, or the other way round.",
            ),
            Self::Host => f.write_str("404: no listener of this port has the host."),
            Self::Streams(name) => {
                write!(f, "Listener `{name}` does not look into connections: TLSRoutes say where they go.")
            }
            Self::Unserved(name, why) => write!(f, "Listener `{name}` is not served: {why}."),
            Self::Elsewhere(name, gateway) => write!(
                f,
                "Listener `{name}` of Gateway {gateway}, which has the same proxies, takes it: its hostname fits the host best."
            ),
        }
    }
}

impl Display for Aside {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing(standing) => standing.fmt(f),
            Self::After(first, decides) => {
                write!(f, "would answer, if {first} were not asked before it: that has {decides}")
            }
            Self::OtherListener(taker) => {
                write!(f, "is not attached to {taker}, whose hostname fits the host best")
            }
            Self::Unattached(why) => write!(f, "is not attached: {why}"),
            Self::NoGateway(why) => write!(f, "is not attached to any Gateway: {why}"),
            Self::Unserved(why) => write!(f, "cannot be served: {why}"),
        }
    }
}
