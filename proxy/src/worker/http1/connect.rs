//! A connection to an endpoint, for one try.

use std::{future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll};

use proxy_core::{breaker::Limit, endpoint::Endpoint, retry, snapshot::Cluster};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::{
    attempt::{Failed, Trying, Unanswered, Waits},
    connection::Connection,
    peer::Peer,
    pool::Upstream,
};
use crate::worker::{
    Worker,
    permits::{self, Way},
    pool::InFlight,
    upstream::{Unmade, connect_stream},
};

/// A connection for one exchange, from the pool if that may be.
pub(in crate::worker) async fn connection(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    may_reuse: bool,
) -> Result<(Upstream, retry::Connection), Unmade> {
    let pooled = if may_reuse { worker.http1.borrow_mut().take(endpoint.id) } else { None };
    match pooled {
        Some(upstream) => Ok((upstream, retry::Connection::Pooled)),
        // It is rare, and its state need not be part of every request's.
        None => Box::pin(connect(worker, cluster, endpoint, may_reuse)).await,
    }
}

/// Makes a connection to an endpoint of HTTP/1.1. Where its cluster has as many as it may have, it waits for one that
/// becomes idle, if `may_reuse`.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    may_reuse: bool,
) -> Result<(Upstream, retry::Connection), Unmade> {
    let _pending = cluster.breaker.take(Limit::Pending)?;
    let idle = || if may_reuse { worker.http1.borrow_mut().take(endpoint.id) } else { None };
    match permits::wait(worker, cluster, idle).await {
        Way::Pooled(upstream) => Ok((upstream, retry::Connection::Pooled)),
        Way::Connect(permit) => {
            let stream = connect_stream(worker, cluster, &endpoint.address, permit).await?;
            Ok((Peer::new(stream), retry::Connection::Fresh))
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Waits for a connection to an endpoint, unless the client or the time is over before.
    pub(super) async fn connected<T>(
        &mut self,
        connecting: impl Future<Output = Result<T, Unmade>>,
        trying: &Trying,
        waits: &Waits,
        in_flight: &InFlight,
    ) -> Result<T, Failed> {
        let worker = Rc::clone(&self.worker);
        let mut connecting = pin!(connecting);
        let outcome = poll_fn(|context| {
            if let Poll::Ready(outcome) = connecting.as_mut().poll(context) {
                return Poll::Ready(Ok(outcome));
            }
            if self.poll_gone(&mut worker.scratch.borrow_mut(), context).is_ready() {
                return Poll::Ready(Err(Failed::Given(Unanswered::ClientGone)));
            }
            self.poll_late(trying, waits, context).map(Err)
        })
        .await;
        outcome?.map_err(|error| {
            debug!(address = ?in_flight.endpoint.address, %error, "failed to connect to an endpoint");
            Failed::Because(error.failure(&worker))
        })
    }
}
