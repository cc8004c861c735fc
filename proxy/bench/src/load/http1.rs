//! Clients of HTTP/1.1.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Clock, Measured, connect};
use crate::scenario::{HOST, Scenario};

/// Room for the longest answer.
pub(super) const ROOM: usize = 64 * 1024;

/// Opens connections, sends one request on each, and keeps them open.
pub(crate) async fn hold(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let scenario = Scenario::ALL[0];
    let request = scenario.request();
    let mut buffer = vec![0; ROOM];
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = connect(address).await?;
        exchange(&mut stream, scenario, &request, &mut buffer).await?;
        held.push(stream);
    }
    Ok(held)
}

/// The same over TLS.
pub(crate) async fn hold_securely(
    address: SocketAddr,
    connector: &TlsConnector,
    connections: usize,
) -> anyhow::Result<Vec<TlsStream<TcpStream>>> {
    let scenario = Scenario::ALL[0];
    let request = scenario.request();
    let mut buffer = vec![0; ROOM];
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = connect_securely(address, connector.clone()).await?;
        exchange(&mut stream, scenario, &request, &mut buffer).await?;
        held.push(stream);
    }
    Ok(held)
}

/// Agrees on TLS.
pub(super) async fn connect_securely(
    address: SocketAddr,
    connector: TlsConnector,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(HOST).context("a host is no name")?;
    let stream = connect(address).await?;
    connector.connect(name, stream).await.context("failed to agree on TLS with a proxy")
}

/// One request after the other on one connection.
pub(super) async fn keep(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    scenario: Scenario,
    request: &[u8],
    clock: &Clock,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let mut buffer = vec![0; ROOM];
    while !clock.is_over() {
        let begun = Instant::now();
        exchange(&mut stream, scenario, request, &mut buffer).await?;
        clock.note(&mut measured, begun);
    }
    Ok(measured)
}

/// One request after the other, each on a connection of its own.
pub(super) async fn renew(
    address: SocketAddr,
    scenario: Scenario,
    request: &[u8],
    clock: &Clock,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let mut buffer = vec![0; ROOM];
    while !clock.is_over() {
        let mut stream = connect(address).await?;
        let begun = Instant::now();
        exchange(&mut stream, scenario, request, &mut buffer).await?;
        clock.note(&mut measured, begun);
    }
    Ok(measured)
}

pub(super) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    scenario: Scenario,
    request: &[u8],
    buffer: &mut [u8],
) -> anyhow::Result<()> {
    stream.write_all(request).await.context("failed to send a request")?;
    stream.flush().await.context("failed to send a request")?;
    let (mut filled, mut whole) = (0, None);
    while whole.is_none_or(|whole| filled < whole) {
        let read = stream.read(&mut buffer[filled..]).await.context("failed to read an answer")?;
        if read == 0 {
            bail!("an answer breaks off after {filled} bytes");
        }
        filled += read;
        if whole.is_none() {
            let head = buffer[..filled].windows(4).position(|it| it == b"\r\n\r\n");
            whole = head.map(|head| head + 4 + scenario.answer());
        }
    }
    ensure!(
        buffer.starts_with(b"HTTP/1.1 200 ") && whole == Some(filled),
        "an answer is none: {}",
        String::from_utf8_lossy(&buffer[..filled.min(300)])
    );
    Ok(())
}
