//! One connection of a client: what it speaks.

mod secure;

use std::{io, rc::Rc, time::Duration};

use proxy_config::model::Protocol;
use tokio::net::TcpStream;
use tracing::debug;

use self::secure::Accepted;
use super::{Worker, entry::Entry, http1, http2, tcp};
use crate::{shared::count, tls};

/// How long a connection may be without a request (Emissary's default). Shorter times meet clients that send
/// their next request while we close.
pub(super) const IDLE: Duration = Duration::from_hours(1);
/// As Envoy: larger heads are answered with 431.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// How long a client may read nothing of an answer that waits for it (Envoy's `stream_idle_timeout`).
pub(super) const STALL: Duration = Duration::from_mins(5);
/// How long a client that still sends may take to read the last answer (nginx' `lingering_timeout`).
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// How every HTTP/2 connection begins (RFC 9113 §3.4), as far as no HTTP/1 request does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Serves a connection to its end. What few connections need is boxed: all others would have room for it as well.
#[expect(clippy::manual_async_fn, reason = "it would have room for its arguments twice")]
pub(super) fn serve(worker: Rc<Worker>, stream: TcpStream, mut entry: Entry) -> impl Future<Output = ()> {
    async move {
        let _closed = Closed(Rc::clone(&worker));
        // Fails only if the client is gone already, which the first read will find out as well.
        let _ = stream.set_nodelay(true);
        match entry.listener.protocol {
            Protocol::Http => match has_preface(&worker, &stream).await {
                Ok(false) => http1::serve(worker, stream, entry).await,
                Ok(true) => Box::pin(http2::serve(&worker, stream, &entry)).await,
                Err(error) => debug!(client = %entry.sender.address, %error, "connection ended"),
            },
            Protocol::Https => match Box::pin(secure::accept(&worker, stream, &mut entry)).await {
                Ok(Accepted::Requests(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
                    Box::pin(http2::serve(&worker, *stream, &entry)).await;
                }
                Ok(Accepted::Requests(stream)) => Box::pin(http1::serve(worker, *stream, entry)).await,
                Ok(Accepted::Bytes(stream, way)) => Box::pin(tcp::serve(worker, *stream, &entry, way)).await,
                Ok(Accepted::Untouched(stream, way)) => {
                    Box::pin(tcp::serve(worker, stream, &entry, way)).await;
                }
                Err(error) => {
                    count(&worker.shared.tls_failures);
                    debug!(client = %entry.sender.address, %error, "failed to agree on TLS");
                }
            },
            Protocol::Tcp => {
                if let Some(way) = tcp::Way::of(&worker, &entry) {
                    Box::pin(tcp::serve(worker, stream, &entry, way)).await;
                } else {
                    debug!(client = %entry.sender.address, "no TCP route takes a connection");
                }
            }
        }
    }
}

/// Whether a client in the clear begins with HTTP/2 (prior knowledge). It looks at what has arrived first and takes
/// nothing away; a preface in crumbs is read as HTTP/1 and refused. A client that says nothing is not waited for when
/// the process drains.
async fn has_preface(worker: &Worker, stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let length = tokio::select! {
        length = tokio::time::timeout(IDLE, stream.peek(&mut first)) => length??,
        () = worker.draining.cancelled() => return Err(io::Error::other("the process drains")),
    };
    Ok(first[..length] == *PREFACE)
}

struct Closed(Rc<Worker>);

impl Drop for Closed {
    fn drop(&mut self) {
        count(&self.0.shared.closed);
    }
}
