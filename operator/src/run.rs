//! Connects the parts, starts them, and ends them in order: work first, leases last.

mod client;
mod identity;
mod leases;
mod servers;
mod settings;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{identity::Identity, leases::Leases, servers::Servers};
use crate::{
    analysis,
    arguments::{Arguments, Controller},
    config_server, events,
    lease::Tenure,
    rollouts,
    telemetry::{self, Metrics, Readiness, RolloutCounts},
    traffic::TrafficStore,
};

/// How long work under way may go on after SIGTERM. Short of the 30 s that Kubernetes gives.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the operator ends by itself: only what no waiting repairs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig, or the pod's own configuration.
    #[error("failed to read the configuration of the Kubernetes client")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client cannot be built, for instance because of a certificate that cannot be read.
    #[error("failed to build the Kubernetes client")]
    Client(#[source] kube::Error),
    /// A port is taken.
    #[error("failed to open port {port} of {what}")]
    Port {
        /// Which.
        port: u16,
        /// What for.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Two metrics of one name: a defect of this program.
    #[error("failed to register metrics")]
    Metrics(#[source] prometheus::Error),
    /// `--leader-election-renew-deadline` is not below the duration.
    #[error("--leader-election-renew-deadline must be shorter than --leader-election-lease-duration")]
    Terms,
    /// A flag that names an object does not.
    #[error("failed to read {flag} {value:?}: a name, or namespace/name, is expected")]
    Name {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
    },
    /// The config server has ended.
    #[error("failed to serve routes")]
    Routes(#[source] config_server::Error),
    /// A part has panicked: a defect of this program.
    #[error("failed to go on after a defect of this program")]
    Defect(#[source] tokio::task::JoinError),
}

/// Runs the operator until `stop` is cancelled.
///
/// # Errors
/// What no waiting repairs. An API server that cannot be reached is no error: the operator waits for it.
pub async fn run(arguments: Arguments, stop: CancellationToken) -> Result<(), Error> {
    // Only fails if a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Metrics::of_process().map_err(Error::Metrics)?;
    let client = client::connect(&arguments.cluster, &metrics.registry).await?;
    let identity = Identity::of(&arguments.pod, client.default_namespace());
    let leases = Leases::new(&arguments.leases, client.clone(), metrics.registry.clone(), identity.clone())?;
    info!(version = telemetry::VERSION, controllers = ?arguments.controllers(), identity = identity.name, "starting");
    if !arguments.ignored.given().is_empty() {
        warn!(flags = ?arguments.ignored.given(), "flags without an effect");
    }
    let readiness = Readiness::default();
    let servers = Servers::start(&arguments.telemetry, &metrics, &readiness).await?;
    let parts = Parts { arguments, client, metrics, readiness, identity, leases, stop };

    let result = parts.work().await;
    parts.leases.release().await;
    servers.end().await;
    info!("stopped");
    result
}

/// What the parts of the operator are made of.
struct Parts {
    arguments: Arguments,
    client: Client,
    metrics: Metrics,
    readiness: Readiness,
    identity: Identity,
    leases: Leases,
    /// The end of all work.
    stop: CancellationToken,
}

/// A part that has to run for as long as the operator does.
type Part = JoinHandle<Result<(), Error>>;

impl Parts {
    /// Starts the controllers and waits for the end of all work.
    async fn work(&self) -> Result<(), Error> {
        let controllers = self.arguments.controllers();
        let working = TaskTracker::new();
        let mut parts = Vec::new();
        let mut route_lease = None;
        if controllers.contains(&Controller::Routes) {
            let (part, tenure) = self.routes(&working)?;
            parts.push(part);
            route_lease = Some(tenure);
        }
        if controllers.contains(&Controller::Rollouts) {
            parts.extend(self.rollouts(&working, route_lease)?);
        }
        working.close();

        let ended = futures::future::select_all(parts);
        let result = match self.stop.run_until_cancelled(ended).await {
            None => Ok(()),
            Some((result, ..)) => result.map_err(Error::Defect).and_then(|it| it),
        };
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, working.wait()).await.is_err() {
            warn!("work under way did not end in time");
        }
        result
    }

    /// Starts the route controller and its server; the lease is for those who look for the server.
    fn routes(&self, working: &TaskTracker) -> Result<(Part, watch::Receiver<Tenure>), Error> {
        let tenure = self.leases.of_routes(self.config_address())?;
        let context = config_server::Context {
            client: self.client.clone(),
            settings: self.route_settings()?,
            tenure: tenure.clone(),
            registry: self.metrics.registry.clone(),
            ready: self.readiness.gate("routes"),
            shutdown: self.stop.clone(),
        };
        let part =
            working.spawn(async move { Box::pin(config_server::run(context)).await.map_err(Error::Routes) });
        Ok((part, tenure))
    }

    /// Starts the controllers of Rollouts, of Experiments and of AnalysisRuns, which act under one lease.
    fn rollouts(
        &self,
        working: &TaskTracker,
        route_lease: Option<watch::Receiver<Tenure>>,
    ) -> Result<[Part; 2], Error> {
        let counts = RolloutCounts::default();
        let (recorder, writer) =
            events::recorder(self.client.clone(), &self.metrics.registry, counts.clone())
                .map_err(Error::Metrics)?;
        let tenure = self.leases.of_rollouts(&self.arguments, self.watched())?;
        let traffic = self.traffic(route_lease);
        let store = Arc::new(match &traffic {
            Some(_) => TrafficStore::waiting(),
            None => TrafficStore::not_configured(),
        });
        let analysis = analysis::Context {
            client: self.client.clone(),
            settings: self.analysis_settings(),
            tenure: tenure.clone(),
            traffic: store.clone(),
            recorder: recorder.clone(),
            metrics: self.metrics.clone(),
            ready: self.readiness.gate("analysis"),
            stop: self.stop.clone(),
        };
        let context = rollouts::Context {
            client: self.client.clone(),
            settings: self.rollout_settings(),
            tenure,
            traffic,
            store,
            recorder,
            metrics: self.metrics.clone(),
            counts,
            ready: self.readiness.gate("rollouts"),
            stop: self.stop.clone(),
        };
        working.spawn(writer.run());
        let rollouts =
            working.spawn(async move { Box::pin(rollouts::run(context)).await.map_err(Error::Metrics) });
        let analysis = working.spawn(async move {
            Box::pin(analysis::run(analysis)).await;
            Ok(())
        });
        Ok([rollouts, analysis])
    }
}
