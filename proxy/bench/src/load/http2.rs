//! Clients of HTTP/2, by hyper.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{task::AbortHandle, time::Instant};

use super::{Clock, Measured, connect};
use crate::scenario::{HEADERS, HOST, MESSAGE, Scenario};

/// A connection that is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _sender: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Opens connections, sends one request on each, and keeps them open.
pub(crate) async fn hold(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<Held>> {
    let scenario = Scenario::Http2 { connections, streams: 1, bytes: crate::scenario::SMALL };
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (mut sender, connection) = open(address).await?;
        exchange(&mut sender, scenario).await?;
        held.push(Held { _sender: sender, connection });
    }
    Ok(held)
}

/// One connection with this many requests at a time.
pub(super) async fn client(
    scenario: Scenario,
    address: SocketAddr,
    streams: usize,
    clock: Clock,
) -> anyhow::Result<Measured> {
    let (sender, connection) = open(address).await?;
    let one_by_one = (0..streams).map(|_| {
        let client = stream(scenario, sender.clone(), clock.clone());
        tokio::task::spawn_local(client)
    });
    let mut all = Measured::default();
    for client in one_by_one.collect::<Vec<_>>() {
        let one = client.await.context("a client has ended early")??;
        all.requests += one.requests;
        all.latencies.extend(one.latencies);
    }
    connection.abort();
    Ok(all)
}

async fn open(address: SocketAddr) -> anyhow::Result<(SendRequest<Full<Bytes>>, AbortHandle)> {
    let io = TokioIo::new(connect(address).await?);
    let handshake = http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = handshake.context("failed to begin HTTP/2 with a proxy")?;
    Ok((sender, tokio::spawn(connection).abort_handle()))
}

async fn stream(
    scenario: Scenario,
    mut sender: SendRequest<Full<Bytes>>,
    clock: Clock,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    while !clock.is_over() {
        let begun = Instant::now();
        exchange(&mut sender, scenario).await?;
        clock.note(&mut measured, begun);
    }
    Ok(measured)
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, scenario: Scenario) -> anyhow::Result<()> {
    let calls = matches!(scenario, Scenario::Grpc { .. });
    let mut request = Request::get(format!("http://{HOST}{}", scenario.path()));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let body = if calls {
        request = request.method("POST").header("content-type", "application/grpc").header("te", "trailers");
        Bytes::from_static(&[0; MESSAGE])
    } else {
        Bytes::new()
    };
    let request = request.body(Full::new(body)).context("failed to make a request")?;
    let response = sender.send_request(request).await.context("failed to send a request")?;
    ensure!(response.status() == 200, "an answer is none: {response:?}");
    let mut body = response.into_body();
    let (mut length, mut status) = (0, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.context("failed to read an answer")?;
        length += frame.data_ref().map_or(0, Bytes::len);
        status = frame.trailers_ref().and_then(|it| it.get("grpc-status").cloned()).or(status);
    }
    ensure!(length == scenario.answer(), "an answer breaks off after {length} bytes");
    ensure!(status.is_some_and(|it| it == "0") == calls, "a call ends without its status");
    Ok(())
}
