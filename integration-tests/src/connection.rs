//! One HTTP/1.1 connection of a client that counts or measures what comes back.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};

/// Sends the requests of a connection, one after the other.
pub(crate) type Sender = http1::SendRequest<Empty<Bytes>>;

/// Opens a connection. Its end shows at the next request.
pub(crate) async fn open(address: impl ToSocketAddrs) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(address).await.context("failed to connect")?;
    stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("failed to begin a connection")?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
