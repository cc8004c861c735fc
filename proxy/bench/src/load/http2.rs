//! Clients of HTTP/2, by hyper.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

use super::{Clock, Measured, connect};
use crate::scenario::{HEADERS, HOST, Scenario};

/// One connection with this many requests at a time.
pub(super) async fn client(
    scenario: Scenario,
    address: SocketAddr,
    streams: usize,
    clock: Clock,
) -> anyhow::Result<Measured> {
    let io = TokioIo::new(connect(address).await?);
    let handshake = http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = handshake.context("failed to begin HTTP/2 with a proxy")?;
    let connection = tokio::spawn(connection);
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

async fn stream(
    scenario: Scenario,
    mut sender: SendRequest<Empty<Bytes>>,
    clock: Clock,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    while !clock.is_over() {
        let mut request = Request::get(format!("http://{HOST}{}", scenario.path()));
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).context("failed to make a request")?;
        let begun = Instant::now();
        let response = sender.send_request(request).await.context("failed to send a request")?;
        ensure!(response.status() == 200, "an answer is none: {}", response.status());
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.context("failed to read an answer")?;
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        ensure!(length == scenario.answer(), "an answer breaks off after {length} bytes");
        clock.note(&mut measured, begun);
    }
    Ok(measured)
}
