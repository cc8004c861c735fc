//! Idle connections of one worker to endpoints of HTTP/1.1, the one used last first.

use std::{collections::HashMap, sync::Arc};

use proxy_core::endpoint::{Endpoint, EndpointId};

use super::peer::Peer;
use crate::worker::stream::Stream;

/// How many connections to one endpoint are kept while idle.
const KEPT: usize = 256;
/// How many sweeps an idle connection lives: a minute, less than servers usually wait.
const SWEEPS: u64 = 12;

/// A connection to an endpoint.
pub(in crate::worker) type Upstream = Peer<Stream>;

/// The idle connections.
#[derive(Debug, Default)]
pub(in crate::worker) struct Pool {
    idle: HashMap<EndpointId, (Arc<Endpoint>, Vec<Idle>)>,
    /// Counts sweeps: a clock that costs nothing to read.
    now: u64,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: u64,
}

impl Pool {
    /// A connection that is open as far as can be known.
    pub(super) fn take(&mut self, endpoint: EndpointId) -> Option<Upstream> {
        let (_, idle) = self.idle.get_mut(&endpoint)?;
        while let Some(mut candidate) = idle.pop() {
            if is_quiet(&mut candidate.upstream) {
                return Some(candidate.upstream);
            }
        }
        None
    }

    /// Keeps a connection whose exchange is over.
    pub(super) fn give(&mut self, endpoint: &Arc<Endpoint>, mut upstream: Upstream) {
        if !endpoint.is_routable() || !is_quiet(&mut upstream) {
            return;
        }
        upstream.rest();
        let (_, idle) = self.idle.entry(endpoint.id).or_insert_with(|| (Arc::clone(endpoint), Vec::new()));
        if idle.len() < KEPT {
            idle.push(Idle { upstream, since: self.now });
        }
    }

    /// Closes the connection to an endpoint that is idle for longest. Says whether there was one.
    pub(in crate::worker) fn close_oldest(&mut self, endpoint: EndpointId) -> bool {
        let idle = self.idle.get_mut(&endpoint).map(|(_, idle)| idle).filter(|idle| !idle.is_empty());
        idle.map(|idle| idle.remove(0)).is_some()
    }

    /// Closes what is too old, closed by the other side, or belongs to an endpoint that gets nothing new.
    pub(in crate::worker) fn sweep(&mut self) {
        self.now += 1;
        let now = self.now;
        self.idle.retain(|_, (endpoint, idle)| {
            idle.retain_mut(|it| {
                endpoint.is_routable() && it.since + SWEEPS > now && is_quiet(&mut it.upstream)
            });
            !idle.is_empty()
        });
    }
}

/// Whether nothing has come since the last response: neither the end, nor what nobody asked for, which would be taken
/// for the next response.
fn is_quiet(upstream: &mut Upstream) -> bool {
    upstream.input.is_empty() && upstream.stream.is_quiet()
}
