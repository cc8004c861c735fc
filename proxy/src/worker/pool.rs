//! Connections of one worker to endpoints of HTTP/2, the one made last first.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use proxy_core::{
    breaker::{Full, Limit, Taken},
    endpoint::{Endpoint, EndpointId},
    snapshot::Cluster,
};

use super::{permits::Here, upstream::Sender};

/// How many connections to one endpoint are kept.
const KEPT: usize = 256;
/// How many sweeps an idle connection lives: a minute, less than servers usually wait.
const SWEEPS: u64 = 12;

#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: HashMap<EndpointId, (Arc<Endpoint>, Vec<Idle>)>,
    /// Counts sweeps: a clock that costs nothing to read.
    now: u64,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: u64,
}

impl Pool {
    /// A sender on a connection that has room for a request.
    pub(super) fn take(&self, endpoint: EndpointId) -> Option<Sender> {
        let (_, idle) = self.idle.get(&endpoint)?;
        idle.iter().rev().find_map(|it| it.sender.share())
    }

    /// Keeps a sender whose exchange is over, unless its connection has one here.
    pub(super) fn give(&mut self, endpoint: &Arc<Endpoint>, sender: Sender) {
        if !endpoint.is_routable() || sender.is_closed() || self.shares(endpoint.id, &sender) {
            return;
        }
        let (_, idle) = self.idle.entry(endpoint.id).or_insert_with(|| (Arc::clone(endpoint), Vec::new()));
        if idle.len() < KEPT {
            idle.push(Idle { sender, since: self.now });
        }
    }

    /// Closes the connection to an endpoint that has been idle for longest. Says whether there was one.
    pub(super) fn close_oldest(&mut self, endpoint: EndpointId) -> bool {
        let Some((_, idle)) = self.idle.get_mut(&endpoint) else { return false };
        let oldest = idle.iter().position(|it| it.sender.is_alone());
        oldest.map(|oldest| idle.remove(oldest)).is_some()
    }

    fn shares(&self, endpoint: EndpointId, sender: &Sender) -> bool {
        let idle = self.idle.get(&endpoint).map(|(_, idle)| idle.as_slice()).unwrap_or_default();
        idle.iter().any(|it| it.sender.is_same(sender))
    }

    /// Closes what is too old, closed by the other side, or belongs to an endpoint that gets nothing new.
    pub(super) fn sweep(&mut self) {
        self.now += 1;
        let now = self.now;
        self.idle.retain(|_, (endpoint, idle)| {
            idle.iter_mut().filter(|it| !it.sender.is_alone()).for_each(|it| it.since = now);
            // Requests on a shared connection go on when the pool lets it go.
            idle.retain(|it| endpoint.is_routable() && !it.sender.is_closed() && it.since + SWEEPS > now);
            !idle.is_empty()
        });
    }
}

/// A request at an endpoint, from the decision to send it there until its response body is over.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) endpoint: Arc<Endpoint>,
    worker: Rc<super::Worker>,
    /// Where the cluster limits them.
    _taken: Option<Taken>,
    /// Where others may wait for its connection.
    here: Option<Rc<Here>>,
}

impl InFlight {
    /// Counts a request of this cluster at one of its endpoints, if its limits allow one more.
    pub(super) fn new(
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        worker: &Rc<super::Worker>,
    ) -> Result<Self, Full> {
        let taken =
            cluster.breaker.take(Limit::Requests).inspect_err(|full| worker.shared.count_full(*full))?;
        endpoint.enter();
        let here = worker.permits.borrow_mut().here(cluster);
        Ok(Self { endpoint: Arc::clone(endpoint), worker: Rc::clone(worker), _taken: taken, here })
    }

    /// Keeps the connection of this exchange for another one.
    pub(super) fn give_back(&self, sender: Sender) {
        self.worker.pool.borrow_mut().give(&self.endpoint, sender);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        use proxy_core::endpoint::Left;
        // Its connection is in the pool by now, or closed.
        if let Some(here) = &self.here {
            here.freed();
        }
        match self.endpoint.leave() {
            Left::Routine => {}
            Left::Drained => self.worker.shared.settled.notify_one(),
        }
    }
}
