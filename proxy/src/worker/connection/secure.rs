//! From a connection to one with TLS.

use std::{io, sync::Arc, time::Duration};

use proxy_config::model::Scheme;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::worker::{Worker, entry::Entry};

/// How long a client may take to agree on TLS (Envoy's `transport_socket_connect_timeout` has no default; nginx has 60 s,
/// which lets idle sockets pile up).
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Agrees on TLS with the certificate of the host that the client asks for, and notes that host in the entry.
pub(super) async fn accept(
    worker: &Worker,
    stream: TcpStream,
    entry: &mut Entry,
) -> io::Result<TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE, handshake(worker, stream, entry)).await?
}

async fn handshake(
    worker: &Worker,
    stream: TcpStream,
    entry: &mut Entry,
) -> io::Result<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let name = start.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
    let table = worker.tls();
    let served = table.host(&name, &entry.listener.id);
    let served = served.ok_or_else(|| io::Error::other(format!("no host is called `{name}`")))?;
    let config = served.config.as_ref().ok_or_else(|| io::Error::other("the host's TLS cannot be used"))?;
    entry.sender.scheme = Scheme::Https;
    entry.host = Some(Arc::clone(&served.host));
    start.into_stream(Arc::clone(config)).await
}
