//! Accepting connections.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use proxy_config::model::{Listener, Scheme};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Worker, connection, entry::Entry};

/// How long to wait when there is no room for another connection, here or in the system.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts until `close`, and then what already waits: with `SO_REUSEPORT`, closing a socket resets the
/// connections in its queue.
pub(super) async fn accept(
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    socket: std::net::TcpListener,
    close: CancellationToken,
) {
    let of = listener;
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
                Ok((stream, peer)) => start(&worker, &of, stream, peer),
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
            start(&worker, &of, stream, peer);
        }
    }
}

fn start(worker: &Rc<Worker>, of: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    // As it is now; one that is gone goes on as it was.
    let listener = worker.pin().snapshot.listener(&of.id).cloned().unwrap_or_else(|| Arc::clone(of));
    let entry = Entry::new(listener, peer, Scheme::Http);
    connection::start(worker, stream, entry);
}
