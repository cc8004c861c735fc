//! Accepting connections.

use std::{net::SocketAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use proxy_config::model::{Listener, Scheme};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Worker, connection, entry::Entry};

/// How long to wait when there is no room for another connection, here or in the system.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How long handshakes that have begun may take to end when a socket is going to be closed: more than most clients are away.
const HANDSHAKES: Duration = Duration::from_millis(500);

/// For the classic BPF of Linux: drops what opens a connection, which its client sends again after a second, and passes the
/// rest. The flags of TCP are at byte 13, and SYN is the second of them (RFC 9293 §3.1).
const WITHOUT_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Accepts until `close`, and then what has come by then.
///
/// Closing a socket resets the connections in its queue, and those whose handshake has begun, while another process that has
/// a socket at the same port (`SO_REUSEPORT`) could have had them. So nothing begins here any more first, then what has begun
/// is accepted, and then the socket is closed.
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
    // Some sandboxes have no such filters: there a connection that comes at the last moment may be reset.
    if SockRef::from(&listener).attach_filter(&WITHOUT_SYN).is_ok() {
        let mut end_of_handshakes = pin!(tokio::time::sleep(HANDSHAKES));
        loop {
            tokio::select! {
                () = end_of_handshakes.as_mut() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => start(&worker, &of, stream, peer),
                    Err(_) => tokio::time::sleep(EXHAUSTED).await,
                },
            }
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listener(port: u16) -> TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
        socket.listen(128).unwrap();
        socket.into()
    }

    async fn connect(address: SocketAddr, count: usize) -> Vec<std::io::Result<TcpStream>> {
        futures::future::join_all((0..count).map(|_| TcpStream::connect(address))).await
    }

    /// What closing a socket does to those that come at that very moment, with time between the steps.
    #[tokio::test]
    async fn what_comes_while_a_socket_closes_gets_to_the_next_process() {
        let leaving = listener(0);
        let address = leaving.local_addr().unwrap();
        let before = connect(address, 16).await;
        let staying = listener(address.port());
        SockRef::from(&leaving).attach_filter(&WITHOUT_SYN).unwrap();
        let meanwhile = tokio::spawn(connect(address, 64));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let accepted = std::iter::from_fn(|| leaving.accept().ok()).count();
        assert_eq!(accepted, before.len(), "all that had come, and none since");
        drop(leaving);
        let meanwhile = meanwhile.await.unwrap();
        assert!(before.iter().chain(&meanwhile).all(Result::is_ok), "{meanwhile:?}");
        assert_eq!(std::iter::from_fn(|| staying.accept().ok()).count(), meanwhile.len());
    }
}
