//! Connections to endpoints for copies of requests.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use http::{HeaderValue, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proxy_config::model::Address;
use proxy_core::snapshot::Cluster;
use tokio::net::TcpStream;

use super::{Worker, body::Upload, pool::Sender};
use crate::shared::count;

/// HTTP/1.0 clients may leave the host out; the upstream wants one.
pub(super) fn set_host(request: &mut Request<Upload>, address: &Address) {
    let host = match address {
        Address::Socket(address) => address.to_string(),
        Address::Name { host, port } => format!("{host}:{port}"),
    };
    if let Ok(host) = HeaderValue::from_str(&host) {
        request.headers_mut().insert(http::header::HOST, host);
    }
}

/// A connection that speaks HTTP/1.1.
pub(super) async fn connect(worker: &Rc<Worker>, cluster: &Cluster, address: &Address) -> io::Result<Sender> {
    let stream = within(cluster.connect_timeout, dial(address)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    count(&worker.shared.connects);
    tokio::task::spawn_local(async move {
        // Whoever has the sender sees the error too.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

/// Connects to an address.
pub(super) async fn dial(address: &Address) -> io::Result<TcpStream> {
    match address {
        Address::Socket(address) => TcpStream::connect::<SocketAddr>(*address).await,
        Address::Name { host, port } => TcpStream::connect((host.as_str(), *port)).await,
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, future).await?
}
