//! Connections that are not looked into: their bytes go to an endpoint of the arm that they are drawn for.

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, Method};
use proxy_config::model::{Address, ListenerId};
use proxy_core::{
    answer::Reason,
    breaker::Limit,
    retry::Replay,
    snapshot::{Arm, Cluster, TcpRule},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use super::{
    Worker,
    connection::{IDLE, Open},
    entry::Entry,
    permits,
    pin::Pin,
    pool::InFlight,
    stream::Stream,
    tries::Tries,
    tunnel::{self, Protocol},
    upstream::{Unmade, connect_stream},
};

/// What takes a connection, and the snapshot that says so.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) pin: Rc<Pin>,
    pub(super) rule: Arc<TcpRule>,
}

impl Way {
    /// For a listener that speaks TCP or UDP.
    pub(super) fn of(worker: &Worker, listener: &ListenerId) -> Option<Self> {
        let pin = worker.pin();
        let rule = pin.snapshot.connections(listener).map(Arc::clone)?;
        Some(Self { pin, rule })
    }

    /// For a server name on a listener that speaks TLS; `None`: a host takes it.
    pub(super) fn named(worker: &Worker, entry: &Entry, name: &str) -> Option<Self> {
        let pin = worker.pin();
        let rule = pin.snapshot.named_connections(name, &entry.listener.id).map(Arc::clone)?;
        Some(Self { pin, rule })
    }

    /// Whether TLS ends here.
    pub(super) fn terminates(&self) -> bool {
        self.rule.route.terminate
    }
}

/// Connects to an endpoint and copies in both directions to the end. A connection that cannot be made is tried at the
/// other endpoints of the arm, and then closed: there is nothing to say to who is not known.
pub(super) async fn serve<S>(worker: Rc<Worker>, client: S, entry: Entry, way: Way, _open: Open)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Way { pin, rule } = way;
    let Some(arm) = rule.split.draw() else { return };
    match connect(&worker, arm, &entry).await {
        Ok((upstream, in_flight)) => {
            // It cannot go anywhere else any more.
            drop(pin);
            let idle = arm.idle_timeout.unwrap_or(IDLE);
            tunnel::run(worker, Protocol::Other, client, upstream, in_flight, Some(idle)).await;
        }
        Err(reason) => {
            debug!(client = %entry.sender.address, route = %rule.route.id, ?reason, "a connection goes nowhere");
        }
    }
}

async fn connect(worker: &Rc<Worker>, arm: &Arm, entry: &Entry) -> Result<(Stream, InFlight), Reason> {
    let address = entry.sender.address.ip();
    // Of a connection only the address of the client is known.
    let affinity = arm.cluster.balancer.affinity(&HeaderMap::new(), address, || worker.random.next());
    let mut tries = Tries::new(worker, arm, None, &affinity, Instant::now());
    loop {
        let in_flight = tries.next()?;
        match open(worker, &arm.cluster, &in_flight.endpoint.address).await {
            Ok(stream) => {
                tries.connected();
                return Ok((stream, in_flight));
            }
            Err(error) => {
                debug!(address = ?in_flight.endpoint.address, %error, "failed to connect to an endpoint");
                // Nothing has been sent, as of a request without a body.
                tries.failed(error.failure(worker), &Method::GET, Replay::Possible)?;
            }
        }
    }
}

/// A connection of its own; nobody waits for one, since others may last for ever.
async fn open(worker: &Rc<Worker>, cluster: &Cluster, address: &Address) -> Result<Stream, Unmade> {
    let _pending = cluster.breaker.take(Limit::Pending)?;
    let permit = permits::take(worker, cluster)?;
    Ok(connect_stream(worker, cluster, address, permit).await?)
}
