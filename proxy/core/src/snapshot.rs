//! One configuration, ready to route by.

mod builder;
mod choice;
mod difference;
mod mirror;
mod near;
mod parts;
mod pieces;
mod registry;
mod rules;
mod tcp;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};
use proxy_config::model::{self, ArmId, ClusterId, Config, HealthCheck, ListenerId, Share, UpstreamProtocol};

pub use self::{
    builder::Builder,
    mirror::{Copied, Mirror, MirrorCounters},
    registry::{CounterKey, PodLoad, Refused, VersionLoad},
    tcp::TcpRule,
};
use self::{near::Near, pieces::Clusters, rules::Rules, tcp::TcpRules};
use crate::{
    balance::Balancer,
    breaker::Breaker,
    clients::Clients,
    cohorts::Cohorts,
    counters::ArmCounters,
    endpoint::Endpoint,
    filters::{Edits, Filters},
    names::Names,
    outlier,
    rewrite::{Redirect, Rewrite},
    router::{Hosts, RequestHead},
    split::Draw,
};

/// An immutable configuration. Snapshots share what did not change between them, and refer to the lines of draws,
/// in-flight counts and counters that outlive them.
#[derive(Debug, Default)]
pub struct Snapshot {
    hosts: Arc<Hosts>,
    rules: Rules,
    clusters: Clusters,
    checked: Arc<[Arc<Cluster>]>,
    names: Arc<Names<Arc<model::Host>>>,
    tcp: Arc<TcpRules>,
    config: Arc<Config>,
}

/// What becomes of the requests of one route.
#[derive(Debug)]
pub struct Rule {
    /// The route as it came.
    pub route: Arc<model::Route>,
    /// What becomes of them.
    pub action: Action,
    /// What else happens to them; `None`: nothing.
    pub filters: Option<Arc<Filters>>,
    /// How much of the route one client may have; `None`: as much as it wants.
    pub clients: Option<Clients>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Action {
    /// It goes to an arm.
    Split(Split),
    /// The proxy answers.
    Refuse(Refusal),
    /// The client is sent elsewhere.
    Redirect(Arc<Redirect>),
}

/// Arms that share the requests of one rule.
#[derive(Debug)]
pub struct Split {
    draw: Draw,
    arms: Box<[Arm]>,
    /// Who gets copies of its requests.
    pub mirrors: Box<[Mirror]>,
}

/// One receiver of a split.
#[derive(Debug)]
pub struct Arm {
    /// Its name within the split.
    pub id: ArmId,
    /// Its part of the requests.
    pub share: Share,
    /// Where its requests go, as of this snapshot.
    pub cluster: Arc<Cluster>,
    /// What happens to requests on their way there, and to the responses.
    pub transform: Arc<Transform>,
    /// Up to the response head, tries included.
    pub timeout: Option<Duration>,
    /// Without a byte in either direction.
    pub idle_timeout: Option<Duration>,
    /// Up to the last byte of the response.
    pub total_timeout: Option<Duration>,
    /// One per version among the endpoints, and one for requests that found none.
    counters: Box<[Arc<ArmCounters>]>,
    unplaced: Arc<ArmCounters>,
    /// Where the split sends to several versions, which are compared.
    cohorts: Option<Box<ArmCohorts>>,
}

/// As the counters of an arm.
#[derive(Debug)]
struct ArmCohorts {
    placed: Box<[(Arc<str>, Arc<Cohorts>)]>,
    unplaced: Arc<Cohorts>,
}

/// What happens to the requests of an arm, ready to be done.
#[derive(Debug, Default)]
pub struct Transform {
    /// To the path.
    pub rewrite: Rewrite,
    /// To the host.
    pub host: HostRewrite,
    /// To the headers of requests, after what the route does.
    pub request: Edits,
    /// To the headers of responses, before what the route does.
    pub response: Edits,
}

/// What happens to the host.
#[derive(Debug, Default)]
pub enum HostRewrite {
    /// Nothing.
    #[default]
    Keep,
    /// This takes its place.
    Literal(HeaderValue),
    /// The name of the endpoint takes its place, if it has one.
    Endpoint,
}

/// An answer of the proxy itself that the configuration asks for.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Why, and how often it was said.
    pub refused: Arc<Refused>,
}

/// Endpoints that can replace one another. There are as many as routes: what few of them have lies elsewhere.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub id: ClusterId,
    /// How long making a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// What the endpoints speak.
    pub protocol: UpstreamProtocol,
    /// Whether they are spoken to over TLS.
    pub tls: bool,
    /// Those that take new requests, and which of them takes the next.
    pub balancer: Balancer,
    /// Those of them that come first for this proxy; `None`: none does.
    near: Option<Box<Near>>,
    /// How much this process has with them at a time.
    pub breaker: Breaker,
    /// When one of them is left out for what it answered; `None`: never.
    pub outliers: Option<Box<outlier::Policy>>,
    /// What each of them is asked besides.
    pub checks: Arc<[HealthCheck]>,
    /// How long a new one takes to its full share.
    slow_start: Option<Duration>,
    /// Whether nothing could ever stand behind it.
    pub absent: bool,
    /// Those that do not, named so that their requests are seen while the snapshot lives.
    draining: Box<[Arc<Endpoint>]>,
}

impl Snapshot {
    /// The rule that takes the request.
    #[must_use]
    pub fn find(&self, request: &RequestHead<'_>) -> Option<&Arc<Rule>> {
        self.find_at(self.host(request.host(), request.listener), request)
    }

    /// The rule that takes a request to this host of ours.
    pub(crate) fn find_at(
        &self,
        host: Option<&Arc<model::Host>>,
        request: &RequestHead<'_>,
    ) -> Option<&Arc<Rule>> {
        self.rules.get(self.hosts.find(request, host.map(|it| it.class.as_str()))?)
    }

    /// A listener as it is now.
    #[must_use]
    pub fn listener(&self, id: &ListenerId) -> Option<&Arc<model::Listener>> {
        self.config.listeners.get(id)
    }

    /// What takes the connections of a listener that speaks TCP.
    #[must_use]
    pub fn connections(&self, listener: &ListenerId) -> Option<&Arc<TcpRule>> {
        self.tcp.of(listener)
    }

    /// Whether some server name has a TCP route.
    #[must_use]
    pub fn has_named_connections(&self) -> bool {
        self.tcp.has_names()
    }

    /// What takes the connections for a server name (in lower case) on a listener that speaks TLS; `None`: a host does.
    #[must_use]
    pub fn named_connections(&self, name: &str, listener: &ListenerId) -> Option<&Arc<TcpRule>> {
        self.tcp.named(name, listener)
    }

    /// The host that has the most specific name for this one (in lower case, without port) on a listener.
    #[must_use]
    pub fn host(&self, name: &str, listener: &ListenerId) -> Option<&Arc<model::Host>> {
        if self.names.is_empty() {
            return None;
        }
        self.names.find(name, |host| host.listeners.is_empty() || host.listeners.contains(listener))
    }

    /// The clusters whose endpoints are asked how they are; shared between snapshots in which they are the same.
    #[must_use]
    pub fn checked(&self) -> &Arc<[Arc<Cluster>]> {
        &self.checked
    }

    /// The endpoints of a cluster now, for a try of a request that was placed by an older snapshot.
    #[must_use]
    pub fn cluster(&self, id: &ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(id)
    }
}

impl Rule {
    /// Whether something that is done to a request of this arm refers to it as it was.
    #[must_use]
    pub fn refers(&self, arm: Option<&Arm>) -> bool {
        self.filters.as_ref().is_some_and(|it| it.refers())
            || arm.is_some_and(|it| it.transform.request.refers() || it.transform.response.refers())
    }
}

impl Split {
    /// The arm that takes the next request. `None` only for a split without arms, which is not acceptable.
    #[must_use]
    pub fn draw(&self) -> Option<&Arm> {
        self.arms.get(self.draw.draw())
    }
}

impl Cluster {
    /// The requests that this process has with it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        let all = self.balancer.endpoints().iter().chain(&self.draining);
        all.fold(0, |sum, it| sum.saturating_add(it.in_flight()))
    }
}

impl Arm {
    /// The counters for a request that an endpoint of this version got, or none at all.
    #[must_use]
    pub fn counters(&self, placed: Option<&Endpoint>) -> &Arc<ArmCounters> {
        let known =
            placed.and_then(|it| self.counters.iter().find(|counters| counters.hash == it.version.hash));
        known.unwrap_or(&self.unplaced)
    }

    /// The same by the second; `None` where nobody compares.
    #[must_use]
    pub fn cohorts(&self, placed: Option<&Endpoint>) -> Option<&Cohorts> {
        let ArmCohorts { placed: versions, unplaced } = self.cohorts.as_deref()?;
        let of = |it: &Endpoint| versions.iter().find(|(hash, _)| *hash == it.version.hash);
        Some(placed.and_then(of).map_or(unplaced, |(_, cohorts)| cohorts))
    }
}

#[cfg(test)]
mod tests;
