//! Connects the parts, starts them, and ends them in order: work first, leases last.

mod identity;

use std::time::Duration;

use kube::{
    Api, Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use prometheus::Registry;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::identity::Identity;
use crate::{
    arguments::{Arguments, ClusterArguments, Controller, LeaseArguments},
    clock,
    errors::chain,
    events,
    lease::{self, Claim, Epoch, Tenure, Terms},
    rollouts,
    telemetry::{self, Pages, Readiness, RequestCounts},
    traffic::{Authority, Connector, Credential, Target},
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
}

/// Runs the operator until `stop` is cancelled.
///
/// # Errors
/// What no waiting repairs. An API server that cannot be reached is no error: the operator waits for it.
pub async fn run(arguments: Arguments, stop: CancellationToken) -> Result<(), Error> {
    // Only fails if a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let registry = telemetry::registry().map_err(Error::Metrics)?;
    let client = connect(&arguments.cluster, &registry).await?;
    let identity = Identity::of(&arguments.pod, client.default_namespace());
    let terms = terms(&arguments.leases)?;
    let controllers = arguments.controllers();
    info!(version = telemetry::VERSION, ?controllers, identity = identity.name, "starting");
    if !arguments.ignored.given().is_empty() {
        warn!(flags = ?arguments.ignored.given(), "flags without an effect");
    }

    let readiness = Readiness::default();
    let servers = Servers::start(&arguments, &registry, &readiness).await?;
    let release = CancellationToken::new();
    let mut parts = Parts {
        arguments,
        client,
        registry,
        readiness,
        identity,
        terms,
        stop,
        release,
        leases: TaskTracker::new(),
    };

    let result = parts.work(controllers.contains(&Controller::Rollouts)).await;
    parts.stop.cancel();
    parts.release.cancel();
    parts.leases.close();
    parts.leases.wait().await;
    servers.end().await;
    info!("stopped");
    result
}

/// What the parts of the operator are made of.
struct Parts {
    arguments: Arguments,
    client: Client,
    registry: Registry,
    readiness: Readiness,
    identity: Identity,
    terms: Terms,
    /// The end of all work.
    stop: CancellationToken,
    /// The end of all leases: after the work.
    release: CancellationToken,
    leases: TaskTracker,
}

impl Parts {
    async fn work(&mut self, rollouts: bool) -> Result<(), Error> {
        let working = TaskTracker::new();
        if rollouts {
            self.start_rollouts(&working)?;
        }
        working.close();
        self.stop.cancelled().await;
        if tokio::time::timeout(PATIENCE, working.wait()).await.is_err() {
            warn!("work under way did not end in time");
        }
        Ok(())
    }

    fn start_rollouts(&mut self, working: &TaskTracker) -> Result<(), Error> {
        let (recorder, writer) =
            events::recorder(self.client.clone(), &self.registry).map_err(Error::Metrics)?;
        let context = rollouts::Context {
            client: self.client.clone(),
            settings: self.rollout_settings(),
            tenure: self.rollout_lease()?,
            traffic: self.traffic(),
            recorder,
            registry: self.registry.clone(),
            ready: self.readiness.gate("rollouts"),
            stop: self.stop.clone(),
        };
        working.spawn(rollouts::run(context));
        working.spawn(writer.run());
        Ok(())
    }

    fn rollout_settings(&self) -> rollouts::Settings {
        let arguments = &self.arguments;
        rollouts::Settings {
            namespace: self.watched(),
            instance_id: arguments.cluster.instance_id.clone(),
            workers: arguments.rollouts.rollout_threads,
            resync: Duration::from_secs(arguments.rollouts.rollout_resync),
            mapping_version: arguments.rollouts.ambassador_api_version.clone(),
        }
    }

    /// The only namespace to work on, if there is one.
    fn watched(&self) -> Option<String> {
        let cluster = &self.arguments.cluster;
        let own = || self.identity.namespace.clone();
        cluster.namespaced.then(|| cluster.namespace.clone().unwrap_or_else(own))
    }

    fn traffic(&self) -> Option<Connector> {
        let arguments = &self.arguments.traffic;
        let namespace = self.identity.namespace.clone();
        let target = Target::Fixed(arguments.traffic_server.clone()?);
        let authority = match &arguments.traffic_ca_file {
            Some(path) => Authority::File(path.clone()),
            None => Authority::ConfigMap { namespace: namespace.clone() },
        };
        let credential = match &arguments.traffic_token_file {
            Some(path) => Credential::File(path.clone()),
            None => Credential::Request { namespace, service_account: arguments.service_account.clone() },
        };
        Some(Connector { client: self.client.clone(), target, authority, credential })
    }

    /// The lease of Rollouts: Argo's, where Argo has it.
    fn rollout_lease(&self) -> Result<watch::Receiver<Tenure>, Error> {
        let name = lease::rollout_lease_name(&self.arguments.cluster.instance_id);
        let known = match (&self.arguments.leases.argo_namespace, self.watched()) {
            (Some(namespace), _) => Some(namespace.clone()),
            // Without a look into other namespaces there is nothing to look for.
            (None, Some(_)) => Some(self.identity.namespace.clone()),
            (None, None) => None,
        };
        self.lease(name, known, None)
    }

    /// Starts to look after a lease. Without a namespace it is located first.
    fn lease(
        &self,
        name: String,
        namespace: Option<String>,
        address: Option<String>,
    ) -> Result<watch::Receiver<Tenure>, Error> {
        let (tell, tenure) = watch::channel(Tenure::Unknown);
        telemetry::show_lease(&self.registry, name.clone(), tenure.clone()).map_err(Error::Metrics)?;
        if !self.arguments.leases.leader_elect {
            let epoch = Epoch { created: clock::now().timestamp(), transitions: 0 };
            // For ever: a hundred years.
            let until = Instant::now() + Duration::from_hours(100 * 365 * 24);
            tell.send_replace(Tenure::Held { epoch, until });
            return Ok(tenure);
        }
        let (client, identity) = (self.client.clone(), self.identity.clone());
        let (terms, release) = (self.terms, self.release.clone());
        self.leases.spawn(async move {
            let namespace = match namespace {
                Some(namespace) => namespace,
                None => match release.run_until_cancelled(located(&client, &name, &identity.namespace)).await
                {
                    Some(namespace) => namespace,
                    None => return,
                },
            };
            info!(lease = name, namespace, "looking after the lease");
            let leases = Api::namespaced(client, &namespace);
            let claim = Claim { leases, name, identity: identity.name, address, terms };
            lease::keep(claim, tell, release).await;
        });
        Ok(tenure)
    }
}

/// The two HTTP servers.
struct Servers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Servers {
    async fn start(arguments: &Arguments, registry: &Registry, readiness: &Readiness) -> Result<Self, Error> {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let telemetry = &arguments.telemetry;
        for (port, what, pages) in [
            (telemetry.metrics_port, "metrics", Pages::Metrics(registry.clone())),
            (telemetry.healthz_port, "health", Pages::Health(readiness.clone())),
        ] {
            let listener =
                telemetry::bind(port).await.map_err(|source| Error::Port { port, what, source })?;
            tasks.spawn(telemetry::serve(listener, pages, stop.clone()));
        }
        tasks.close();
        Ok(Self { tasks, stop })
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// A client that counts its requests. The API server is not asked anything yet.
async fn connect(arguments: &ClusterArguments, registry: &Registry) -> Result<Client, Error> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let config = match (&arguments.kubeconfig, &arguments.context) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|it| Error::Config(it.into()))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|it| Error::Config(it.into()))?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|it| Error::Config(it.into()))?,
        (None, None) => Config::infer().await.map_err(|it| Error::Config(it.into()))?,
    };
    let counts = RequestCounts::register(registry).map_err(Error::Metrics)?;
    Ok(ClientBuilder::try_from(config).map_err(Error::Client)?.with_layer(&counts).build())
}

/// Where the lease of Rollouts is. An API server out of reach is waited for; where a role allows no look into other
/// namespaces, it is our own.
async fn located(client: &Client, name: &str, own: &str) -> String {
    let mut complained = false;
    loop {
        match lease::locate(client, name, own).await {
            Ok(namespace) => return namespace,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                warn!(
                    lease = name,
                    namespace = own,
                    "not allowed to look for Argo's lease; using our own namespace"
                );
                return own.to_owned();
            }
            Err(error) => {
                if !complained {
                    warn!(error = chain(&error), "failed to reach the API server; trying again");
                    complained = true;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

fn terms(arguments: &LeaseArguments) -> Result<Terms, Error> {
    let terms = Terms {
        duration: arguments.leader_election_lease_duration.0,
        renew_deadline: arguments.leader_election_renew_deadline.0,
        retry_period: arguments.leader_election_retry_period.0.max(Duration::from_millis(100)),
    };
    if terms.renew_deadline < terms.duration { Ok(terms) } else { Err(Error::Terms) }
}
