//! Accepting connections.

use std::{rc::Rc, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Worker, connection};
use crate::shared::count;

/// How long to wait when there is no room for another connection, here or in the system.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts until `close`, and then what already waits: with `SO_REUSEPORT`, closing a socket resets the
/// connections in its queue.
pub(super) async fn accept(worker: Rc<Worker>, socket: std::net::TcpListener, close: CancellationToken) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "failed to register a listener"),
    };
    let mut was_full = false;
    loop {
        let is_full = worker.shared.is_full();
        if is_full && !was_full {
            warn!("there are as many connections as there may be, others wait");
        }
        was_full = is_full;
        tokio::select! {
            biased;
            () = close.cancelled() => break,
            () = tokio::time::sleep(EXHAUSTED), if is_full => {}
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, peer)) => start(&worker, stream, peer),
                Err(error) => {
                    warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            },
        }
    }
    // Without tokio, which knows only of the connections that it was told of.
    let Ok(socket) = listener.into_std() else { return };
    while let Ok((stream, peer)) = socket.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start(&worker, stream, peer);
        }
    }
}

fn start(worker: &Rc<Worker>, stream: TcpStream, peer: std::net::SocketAddr) {
    count(&worker.shared.accepted);
    worker.tasks.spawn_local(connection::serve(Rc::clone(worker), stream, peer.ip()));
}
