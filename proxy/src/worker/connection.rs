//! One connection of a client: what it speaks.

mod secure;

use std::{rc::Rc, time::Duration};

use proxy_config::model::Protocol;
use tokio::net::TcpStream;
use tracing::debug;

use self::secure::Accepted;
use super::{Worker, entry::Entry, http1, http2, proxied, tcp};
use crate::{shared::count, tls};

/// How long a connection may be without a request (Emissary's default). Shorter times meet clients that send
/// their next request while we close.
pub(super) const IDLE: Duration = Duration::from_hours(1);
/// As Envoy: larger heads are answered with 431.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// How long a client may read nothing of an answer that waits for it (Envoy's `stream_idle_timeout`).
pub(super) const STALL: Duration = Duration::from_mins(5);
/// How long a client that has just connected may take to ask for something although the process ends: its connection was
/// accepted, so its request is lost if nobody waits for it.
pub(super) const FIRST: Duration = Duration::from_secs(3);
/// How long a client that still sends may take to read the last answer (nginx' `lingering_timeout`).
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Rc<Worker>);

/// Serves a connection to its end. What it speaks in the clear its first bytes tell.
pub(super) fn start(worker: &Rc<Worker>, stream: TcpStream, entry: Entry) {
    count(&worker.shared.accepted);
    let open = Open(Rc::clone(worker));
    // Fails only if the client is gone already, which the first read will find out as well.
    let _ = stream.set_nodelay(true);
    let proxied = entry.listener.proxy_protocol.as_ref();
    if proxied.is_some_and(|it| it.trusts(entry.sender.address.ip())) {
        worker.tasks.spawn_local(serve_proxied(Rc::clone(worker), stream, entry, open));
    } else {
        serve(worker, stream, entry, open);
    }
}

/// Serves a connection that was made for somebody else.
async fn serve_proxied(worker: Rc<Worker>, mut stream: TcpStream, mut entry: Entry, open: Open) {
    match proxied::client(&mut stream).await {
        Ok(client) => {
            entry.sender.address = client.unwrap_or(entry.sender.address);
            serve(&worker, stream, entry, open);
        }
        Err(error) => {
            count(&worker.shared.header_failures);
            debug!(peer = %entry.sender.address, %error, "failed to learn for whom a connection is");
        }
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, entry: Entry, open: Open) {
    match entry.listener.protocol {
        Protocol::Http => {
            worker.tasks.spawn_local(http1::serve(Rc::clone(worker), stream, entry, open));
        }
        Protocol::Https => {
            worker.tasks.spawn_local(serve_securely(Rc::clone(worker), stream, entry, open));
        }
        // What is accepted is bytes.
        Protocol::Tcp | Protocol::Udp => {
            if let Some(way) = tcp::Way::of(worker, &entry.listener.id) {
                worker.tasks.spawn_local(tcp::serve(Rc::clone(worker), stream, entry, way, open));
            } else {
                debug!(client = %entry.sender.address, "no TCP route takes a connection");
            }
        }
    }
}

async fn serve_securely(worker: Rc<Worker>, stream: TcpStream, mut entry: Entry, open: Open) {
    // Each state would have room in the task for the largest.
    match Box::pin(secure::accept(&worker, stream, &mut entry)).await {
        Ok(Accepted::Requests(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
            Box::pin(http2::serve(worker, *stream, entry, open)).await;
        }
        Ok(Accepted::Requests(stream)) => Box::pin(http1::serve(worker, *stream, entry, open)).await,
        Ok(Accepted::Bytes(stream, way)) => Box::pin(tcp::serve(worker, *stream, entry, way, open)).await,
        Ok(Accepted::Untouched(stream, way)) => Box::pin(tcp::serve(worker, stream, entry, way, open)).await,
        Err(error) => {
            count(&worker.shared.tls_failures);
            debug!(client = %entry.sender.address, %error, "failed to agree on TLS");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        count(&self.0.shared.closed);
    }
}

#[cfg(test)]
impl Open {
    pub(super) fn new(worker: &Rc<Worker>) -> Self {
        Self(Rc::clone(worker))
    }
}
