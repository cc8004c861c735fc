//! One connection of a client.

mod http1;
mod http2;
mod local;
mod secure;

use std::{io, rc::Rc, time::Duration};

use proxy_config::model::Protocol;
use tokio::net::TcpStream;
use tracing::debug;

pub(super) use self::local::Local;
use super::{Worker, entry::Entry};
use crate::{shared::count, tls};

/// How long a connection may be without a request (Emissary's default). Shorter times meet clients that send
/// their next request while we close.
const IDLE: Duration = Duration::from_hours(1);
/// As Envoy: larger heads are answered with 431.
const MAX_HEAD: usize = 64 * 1024;
/// How every HTTP/2 connection begins (RFC 9113 §3.4), as far as no HTTP/1 request does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, mut entry: Entry) {
    let _closed = Closed(&worker);
    // Fails only if the client is gone already, which the first read will find out as well.
    let _ = stream.set_nodelay(true);
    match entry.listener.protocol {
        Protocol::Http => match has_preface(&stream).await {
            Ok(true) => http2::serve(&worker, stream, &entry).await,
            Ok(false) => http1::serve(&worker, stream, &entry).await,
            Err(error) => debug!(client = %entry.sender.address, %error, "connection ended"),
        },
        Protocol::Https => match secure::accept(&worker, stream, &mut entry).await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
                http2::serve(&worker, stream, &entry).await;
            }
            Ok(stream) => http1::serve(&worker, stream, &entry).await,
            Err(error) => {
                count(&worker.shared.tls_failures);
                debug!(client = %entry.sender.address, %error, "failed to agree on TLS");
            }
        },
        // Not among the features that are announced, so never sent.
        Protocol::Tcp => {}
    }
}

/// Whether a client in the clear begins with HTTP/2 (prior knowledge). It looks at what has arrived first and takes
/// nothing away; a preface in crumbs is read as HTTP/1 and refused.
async fn has_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let length = tokio::time::timeout(IDLE, stream.peek(&mut first)).await??;
    Ok(first[..length] == *PREFACE)
}

struct Closed<'a>(&'a Worker);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        count(&self.0.shared.closed);
    }
}
