//! Clients that send the next request when they have the answer.

mod http1;
mod http2;
mod pace;

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    net::TcpStream,
    task::{JoinHandle, LocalSet},
    time::Instant,
};

pub(crate) use self::{
    http1::{hold, hold_securely},
    http2::hold as hold_http2,
};
use crate::{contender::Addresses, identity::Identity, scenario::Scenario};

/// What clients have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Requests that were answered with 200 and the whole body.
    pub(crate) requests: u64,
    /// From the first byte sent to the last received, ascending.
    pub(crate) latencies: Vec<Duration>,
}

/// What all clients of one load look at.
#[derive(Clone, Debug, Default)]
struct Clock(Rc<Cell<Phase>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    WarmUp,
    Measure,
    End,
}

impl Clock {
    fn is_over(&self) -> bool {
        self.0.get() == Phase::End
    }

    /// Notes a request that was answered.
    fn note(&self, measured: &mut Measured, begun: Instant) {
        if self.0.get() != Phase::WarmUp {
            measured.requests += 1;
            measured.latencies.push(begun.elapsed());
        }
    }
}

/// Sends requests for `time`; `begin` is called when the clients have warmed up, and what is measured begins then.
/// Requests that are under way at the end are finished, and count.
pub(crate) async fn run<T>(
    scenario: Scenario,
    addresses: &Addresses,
    identity: &Identity,
    time: Duration,
    begin: impl FnOnce() -> T,
) -> anyhow::Result<(Measured, T)> {
    let clock = Clock::default();
    LocalSet::new()
        .run_until(async {
            let clients = start(scenario, addresses, identity, &clock);
            tokio::time::sleep(time / 5).await;
            let at_start = begin();
            clock.0.set(Phase::Measure);
            tokio::time::sleep(time).await;
            clock.0.set(Phase::End);
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

fn start(
    scenario: Scenario,
    addresses: &Addresses,
    identity: &Identity,
    clock: &Clock,
) -> Vec<JoinHandle<anyhow::Result<Measured>>> {
    let request: Rc<[u8]> = scenario.request().into();
    let connections = 0..scenario.connections();
    match scenario {
        Scenario::Http2 { streams, .. } | Scenario::Grpc { streams, .. } => connections
            .map(|_| {
                let client = http2::client(scenario, addresses.http2, streams, clock.clone());
                tokio::task::spawn_local(client)
            })
            .collect(),
        Scenario::Tls { .. } => connections
            .map(|_| {
                let connecting = http1::connect_securely(addresses.https, identity.connector());
                let (request, clock) = (Rc::clone(&request), clock.clone());
                tokio::task::spawn_local(async move {
                    http1::keep(connecting.await?, scenario, &request, &clock).await
                })
            })
            .collect(),
        Scenario::Paced { rate, .. } => pace::clients(scenario, addresses.http, rate, &request, clock),
        Scenario::KeepAlive { .. } | Scenario::Routes { .. } | Scenario::Upload { .. } => connections
            .map(|_| {
                let connecting = connect(addresses.http);
                let (request, clock) = (Rc::clone(&request), clock.clone());
                tokio::task::spawn_local(async move {
                    http1::keep(connecting.await?, scenario, &request, &clock).await
                })
            })
            .collect(),
        Scenario::Connect { .. } => connections
            .map(|_| {
                let (address, request, clock) = (addresses.http, Rc::clone(&request), clock.clone());
                tokio::task::spawn_local(
                    async move { http1::renew(address, scenario, &request, &clock).await },
                )
            })
            .collect(),
    }
}

async fn connect(address: std::net::SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("failed to connect to a proxy")?;
    stream.set_nodelay(true).context("failed to connect to a proxy")?;
    Ok(stream)
}
