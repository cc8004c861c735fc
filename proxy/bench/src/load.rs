//! Clients that send the next request when they have the answer.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
    time::Instant,
};

use crate::scenario::Scenario;

/// What clients have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Requests that were answered with 200 and the whole body.
    pub(crate) requests: u64,
    /// From the first byte sent to the last received, ascending.
    pub(crate) latencies: Vec<Duration>,
}

/// Sends requests to `address` for `time`; `begin` is called when the clients have warmed up, and what is measured
/// begins then. Requests that are under way at the end are finished, and count.
pub(crate) async fn run<T>(
    scenario: Scenario,
    address: SocketAddr,
    time: Duration,
    begin: impl FnOnce() -> T,
) -> anyhow::Result<(Measured, T)> {
    let warm_up = time / 5;
    let request: Rc<[u8]> = scenario.request().into();
    let phase = Rc::new(Cell::new(Phase::WarmUp));
    LocalSet::new()
        .run_until(async {
            let clients: Vec<_> = (0..scenario.connections())
                .map(|_| {
                    let client = client(scenario, address, Rc::clone(&request), Rc::clone(&phase));
                    tokio::task::spawn_local(client)
                })
                .collect();
            tokio::time::sleep(warm_up).await;
            let at_start = begin();
            phase.set(Phase::Measure);
            tokio::time::sleep(time).await;
            phase.set(Phase::End);
            let mut all = Measured::default();
            for client in clients {
                let one = client.await.context("a client has ended early")??;
                all.requests += one.requests;
                all.latencies.extend(one.latencies);
            }
            ensure!(all.requests > 0, "nothing was answered");
            all.latencies.sort();
            Ok((all, at_start))
        })
        .await
}

/// Opens connections, sends one request on each, and keeps them open.
pub(crate) async fn hold(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let scenario = Scenario::ALL[0];
    let request = scenario.request();
    let mut buffer = vec![0; 64 * 1024];
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = connect(address).await?;
        exchange(&mut stream, scenario, &request, &mut buffer).await?;
        held.push(stream);
    }
    Ok(held)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measure,
    End,
}

async fn client(
    scenario: Scenario,
    address: SocketAddr,
    request: Rc<[u8]>,
    phase: Rc<Cell<Phase>>,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut kept = None;
    while phase.get() != Phase::End {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(address).await?,
        };
        let begun = Instant::now();
        exchange(&mut stream, scenario, &request, &mut buffer).await?;
        if phase.get() != Phase::WarmUp {
            measured.requests += 1;
            measured.latencies.push(begun.elapsed());
        }
        match scenario {
            Scenario::Connect { .. } => {}
            Scenario::KeepAlive { .. } | Scenario::Upload { .. } => kept = Some(stream),
        }
    }
    Ok(measured)
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("failed to connect to a proxy")?;
    stream.set_nodelay(true).context("failed to connect to a proxy")?;
    Ok(stream)
}

async fn exchange(
    stream: &mut TcpStream,
    scenario: Scenario,
    request: &[u8],
    buffer: &mut [u8],
) -> anyhow::Result<()> {
    stream.write_all(request).await.context("failed to send a request")?;
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
