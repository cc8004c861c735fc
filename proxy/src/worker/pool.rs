//! Idle connections of one worker to endpoints, the one used last first.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use hyper::client::conn::http1::SendRequest;
use proxy_core::endpoint::{Endpoint, EndpointId};

use super::body::Upload;

/// How many connections to one endpoint are kept while idle.
const KEPT: usize = 256;
/// How many sweeps an idle connection lives: a minute, less than servers usually wait.
const SWEEPS: u64 = 12;
/// How many connections are tried whose last exchange is still being finished.
const UNREADY: usize = 4;

/// The sending half of an upstream connection.
pub(super) type Sender = SendRequest<Upload>;

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
    /// A connection that can take a request now.
    pub(super) fn take(&mut self, endpoint: EndpointId) -> Option<Sender> {
        let (_, idle) = self.idle.get_mut(&endpoint)?;
        let mut unready = Vec::new();
        let mut found = None;
        while let Some(candidate) = idle.pop() {
            if candidate.sender.is_ready() {
                found = Some(candidate.sender);
                break;
            }
            if !candidate.sender.is_closed() {
                unready.push(candidate);
                if unready.len() == UNREADY {
                    break;
                }
            }
        }
        idle.extend(unready);
        found
    }

    /// Keeps a connection whose exchange is over.
    pub(super) fn give(&mut self, endpoint: &Arc<Endpoint>, sender: Sender) {
        if !endpoint.is_routable() || sender.is_closed() {
            return;
        }
        let (_, idle) = self.idle.entry(endpoint.id).or_insert_with(|| (Arc::clone(endpoint), Vec::new()));
        if idle.len() < KEPT {
            idle.push(Idle { sender, since: self.now });
        }
    }

    /// Closes what is too old, closed by the other side, or belongs to an endpoint that gets nothing new.
    pub(super) fn sweep(&mut self) {
        self.now += 1;
        let now = self.now;
        self.idle.retain(|_, (endpoint, idle)| {
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
}

impl InFlight {
    pub(super) fn new(endpoint: &Arc<Endpoint>, worker: &Rc<super::Worker>) -> Self {
        endpoint.enter();
        Self { endpoint: Arc::clone(endpoint), worker: Rc::clone(worker) }
    }

    /// Keeps the connection of this exchange for another one.
    pub(super) fn give_back(&self, sender: Sender) {
        self.worker.pool.borrow_mut().give(&self.endpoint, sender);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        use proxy_core::endpoint::Left;
        match self.endpoint.leave() {
            Left::Routine => {}
            Left::Drained => self.worker.shared.settled.notify_one(),
        }
    }
}
