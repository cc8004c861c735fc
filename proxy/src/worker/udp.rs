//! Datagrams: what one client address sends is a session, which is drawn for an arm once and stays at one endpoint.
//!
//! Nothing says that a client is done. A session ends when nothing has passed for its arm's idle timeout, when its
//! endpoint has to go, or when nobody listens there any more; the client's next datagram begins another.

mod session;

use std::{cell::RefCell, collections::HashMap, io, net::SocketAddr, rc::Rc};

use proxy_config::model::ListenerId;
use tokio::{net::UdpSocket, sync::Notify};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::session::Session;
use super::{Worker, tcp::Way};
use crate::shared::count;

/// How many datagrams are taken before others have their turn.
const BATCH: usize = 64;

/// One worker's part of a port, and the sessions of the clients that the kernel gives to it.
#[derive(Debug)]
struct Port {
    listener: ListenerId,
    socket: UdpSocket,
    sessions: RefCell<HashMap<SocketAddr, Rc<Session>>>,
    /// Rung when the last session is over.
    empty: Notify,
    /// Cancelled when the port closes, which ends its sessions.
    closed: CancellationToken,
}

/// Takes datagrams until `close`. The sessions end then, because another listener may have the port next; while the
/// process drains they go on, and only new ones are not begun.
pub(super) async fn serve(
    worker: Rc<Worker>,
    listener: ListenerId,
    socket: std::net::UdpSocket,
    close: CancellationToken,
) {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return error!(%error, "failed to register a listener"),
    };
    let port = Rc::new(Port {
        listener,
        socket,
        sessions: RefCell::default(),
        empty: Notify::new(),
        closed: CancellationToken::new(),
    });
    tokio::select! {
        () = close.cancelled() => {}
        () = port.take(&worker) => {}
    }
    if worker.draining.is_cancelled() && !port.sessions.borrow().is_empty() {
        tokio::select! {
            () = port.empty.notified() => {}
            () = port.take(&worker) => {}
        }
    }
    port.closed.cancel();
}

impl Port {
    /// Takes what comes, for as long as it is polled.
    async fn take(self: &Rc<Self>, worker: &Rc<Worker>) {
        loop {
            match self.socket.readable().await {
                Ok(()) => self.take_some(worker),
                Err(error) => {
                    warn!(listener = %self.listener, %error, "failed to wait for datagrams");
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn take_some(self: &Rc<Self>, worker: &Rc<Worker>) {
        let mut scratch = worker.scratch.borrow_mut();
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut scratch) {
                Ok((length, client)) => self.pass(worker, client, &scratch[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Of an earlier answer to a client that is gone.
                Err(error) => debug!(listener = %self.listener, %error, "failed to take a datagram"),
            }
        }
    }

    /// What a client sent goes to the endpoint of its session.
    fn pass(self: &Rc<Self>, worker: &Rc<Worker>, client: SocketAddr, datagram: &[u8]) {
        let known = self.sessions.borrow().get(&client).map(Rc::clone);
        let passed = known.or_else(|| self.begin(worker, client)).is_some_and(|it| it.send(datagram));
        if !passed {
            count(&worker.shared.datagrams_dropped);
        }
    }

    /// A session for a client that has none; `None`: there is no room, or no route.
    fn begin(self: &Rc<Self>, worker: &Rc<Worker>, client: SocketAddr) -> Option<Rc<Session>> {
        if worker.draining.is_cancelled() || worker.shared.is_full_of_sessions() {
            return None;
        }
        let way = Way::of(worker, &self.listener)?;
        let session = Rc::new(Session::new(client));
        count(&worker.shared.sessions);
        self.sessions.borrow_mut().insert(client, Rc::clone(&session));
        let (worker, port, begun) = (Rc::clone(worker), Rc::clone(self), Rc::clone(&session));
        worker.tasks.clone().spawn_local(async move {
            session::run(&worker, &port, &begun, way).await;
            port.end(&worker, client);
        });
        Some(session)
    }

    fn end(&self, worker: &Worker, client: SocketAddr) {
        count(&worker.shared.sessions_ended);
        let mut sessions = self.sessions.borrow_mut();
        sessions.remove(&client);
        if sessions.is_empty() {
            // Room for the largest crowd that ever was is not kept.
            sessions.shrink_to_fit();
            self.empty.notify_one();
        }
    }
}
