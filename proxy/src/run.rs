//! A proxy from its start to its end.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::LocalSet};
use tracing::{info, warn};

use crate::{
    access::{AccessLog, AccessLogSettings},
    control::{State, admin, stream},
    shared::{Phase, Shared, Told},
    worker::Handle,
};

/// How long what has not ended at the drain timeout may take to be told: tunnels and streams of gRPC.
const FAREWELL: Duration = Duration::from_secs(3);

/// Everything that can be set about a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HOST:PORT` of the config server.
    pub config_server: String,
    /// The certificate that signs the operator's, as PEM.
    pub ca_file: PathBuf,
    /// The token for the config server.
    pub token_file: PathBuf,
    /// Where the last commit is kept.
    pub memory_dir: PathBuf,
    /// Whose configuration; empty is the shared fleet.
    pub scope: String,
    /// Where the proxy runs (`topology.kubernetes.io/zone`); `None`: it is not known.
    pub zone: Option<String>,
    /// Of listeners and of the admin port.
    pub bind_address: IpAddr,
    /// Of `/healthz`, `/readyz` and `/metrics`.
    pub admin_port: u16,
    /// Threads that carry requests.
    pub workers: NonZeroUsize,
    /// Of clients at a time, all listeners together; further ones wait in the system's queue.
    pub max_connections: u64,
    /// Of clients' addresses that send datagrams at a time, all listeners together; what others send is thrown away.
    pub max_sessions: u64,
    /// Whether upstreams get `Forwarded`.
    pub forwarded: bool,
    /// Whether upstreams get `X-Forwarded-Client-Cert` of clients whose certificate was verified.
    pub forward_client_cert: bool,
    /// Which requests are logged; `None`: none.
    pub access_log: Option<AccessLogSettings>,
    /// From the signal to the end of accepting.
    pub drain_delay: Duration,
    /// From there to the end of the process, at most.
    pub drain_timeout: Duration,
}

/// Why a proxy did not start. Nothing that happens later ends it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread for a worker.
    #[error("failed to start a worker")]
    Worker(#[source] io::Error),
    /// The system has no thread for the access log.
    #[error("failed to start the access log")]
    AccessLog(#[source] io::Error),
    /// The admin port is taken.
    #[error("failed to listen on {0} for probes and metrics")]
    Admin(SocketAddr, #[source] io::Error),
}

/// Runs a proxy until `stop` resolves and it has drained. The calling thread becomes its control thread; it
/// needs a tokio runtime with all drivers, best a current-thread one.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    // Fails if somebody installed one before; then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let address = SocketAddr::new(settings.bind_address, settings.admin_port);
    let admin = TcpListener::bind(address).await.map_err(|error| StartError::Admin(address, error))?;
    let access = settings.access_log.map(AccessLog::start).transpose().map_err(StartError::AccessLog)?;
    let access = access.map(Arc::new);
    let told = Told { forwarded: settings.forwarded, certificates: settings.forward_client_cert };
    let shared = Shared::new(settings.max_connections, settings.max_sessions, told, access);
    let shared = Arc::new(shared);
    let (phase, phases) = watch::channel(Phase::Serving);
    let workers = (0..settings.workers.get())
        .map(|index| Handle::start(index, Arc::clone(&shared), phases.clone()))
        .collect::<io::Result<_>>()
        .map_err(StartError::Worker)?;
    let state = Rc::new(State::new(workers, Arc::clone(&shared), &settings));
    info!(%address, workers = settings.workers, version = env!("CARGO_PKG_VERSION"), "started");
    let serve = async {
        state.recall().await;
        tokio::select! {
            () = admin::run(Rc::clone(&state), admin) => {}
            () = stream::run(&state, &settings) => {}
            // The last thing that ends is the stream: while it drains, the operator sees what is under way.
            () = drain(&state, &settings, stop, &phase) => {}
        }
    };
    LocalSet::new().run_until(serve).await;
    if let Some(access) = &shared.access {
        access.flush();
    }
    info!("stopped");
    Ok(())
}

/// Waits for `stop`, then ends without losing a request: first everybody learns that this proxy leaves, while
/// it accepts as before; then it stops accepting and waits for what is under way.
async fn drain(
    state: &State,
    settings: &Settings,
    stop: impl Future<Output = ()>,
    phase: &watch::Sender<Phase>,
) {
    stop.await;
    info!(delay = ?settings.drain_delay, "leaving: not ready, still accepting");
    state.leave();
    phase.send_replace(Phase::Leaving);
    tokio::time::sleep(settings.drain_delay).await;
    info!(timeout = ?settings.drain_timeout, "draining: not accepting, waiting for requests under way");
    phase.send_replace(Phase::Draining);
    let mut ended = pin!(state.ended());
    if tokio::time::timeout(settings.drain_timeout, ended.as_mut()).await.is_err() {
        warn!("requests were still under way at the drain timeout");
        phase.send_replace(Phase::Ending);
        // Whoever does not listen is cut off.
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}
