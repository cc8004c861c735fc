//! Serves the proxies their configuration, and whoever asks what they serve (design §2.1, §6).
//!
//! | to change … | look in |
//! |---|---|
//! | what a proxy is sent and when, what a watcher is told | `state.rs`, `state/` |
//! | who counts and what it may be serving | `fleet.rs` |
//! | which proxy is evicted because it does not acknowledge | `laggards.rs`, `eviction.rs` |
//! | what is remembered of earlier commits | `journal.rs`, `history.rs` |
//! | the two gRPC services | `configuration.rs`, `traffic.rs` |
//! | who may connect | `authentication.rs` |
//! | the socket | `server.rs` |
//!
//! `state`, `fleet`, `laggards`, `journal` and `history` know no socket and no clock. One lock guards the state; tasks look at it
//! whenever a bell rings and never wait while they hold it.

mod authentication;
mod configuration;
mod eviction;
mod fleet;
mod history;
mod journal;
mod laggards;
mod metrics;
mod server;
mod shared;
mod state;
mod traffic;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use operator_gateways::Installation;
use operator_routes::ObjectName;
use proxy_config::SERVER_NAME;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::{
    authentication::{Authenticate, Caller, Rejection, TokenReviews},
    server::ServeError,
    traffic::HOLDER_METADATA,
};
pub(crate) use self::{metrics::Metrics, shared::Shared};
use crate::{
    certificates::{self, Authority, AuthorityError, ServingCertificate},
    clock, errors,
    lease::Tenure,
    routes,
    telemetry::Gate,
};

/// After the certificate authority was not to be had.
const ESTABLISH_AGAIN: Duration = Duration::from_secs(2);

/// Everything that the route controller and its server need.
#[derive(Clone)]
pub struct Context {
    /// For the API server.
    pub client: Client,
    /// From the command line.
    pub settings: Settings,
    /// Of the lease [`ROUTE_LEASE`](crate::lease::ROUTE_LEASE).
    pub tenure: watch::Receiver<Tenure>,
    /// For this part's metrics.
    pub registry: prometheus::Registry,
    /// Opened once all objects are known, whoever holds the lease.
    pub ready: Gate,
    /// Ends it.
    pub shutdown: CancellationToken,
}

/// From the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The operator's own namespace.
    pub namespace: String,
    /// The operator's Service; its name is in the certificate.
    pub service: String,
    /// The proxies' Service: its endpoints carry traffic.
    pub proxy_service: ObjectName,
    /// The `ServiceAccount` whose tokens the config service accepts.
    pub proxy_service_account: ObjectName,
    /// The `ServiceAccount` whose tokens the traffic service accepts.
    pub traffic_service_account: ObjectName,
    /// The instance whose objects are served.
    pub ambassador_id: String,
    /// How closely Emissary is followed.
    pub compat: operator_routes::Compat,
    /// The port on which the proxies take cleartext HTTP where no Listener says better.
    pub listener_port: u16,
    /// The port on which they take TLS where no Listener says better.
    pub tls_port: u16,
    /// Only objects of this namespace are looked at.
    pub watch_namespace: Option<String>,
    /// How Ingresses are served.
    pub ingress: IngressSettings,
    /// `spec.controllerName` of the GatewayClasses whose Gateways are served.
    pub gateway_controllers: Vec<String>,
    /// How the proxies of Gateways are made.
    pub proxies: ProxySettings,
}

/// How the proxies of Gateways are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Their image.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: String,
    /// What they log.
    pub log_level: String,
    /// How long one that ends still accepts connections, in seconds.
    pub drain_delay: u64,
    /// How long requests may take to end after that, in seconds.
    pub drain_timeout: u64,
}

/// How Ingresses are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressSettings {
    /// `spec.controller` of the IngressClasses whose Ingresses are served.
    pub controllers: Vec<String>,
    /// What the annotations that are acted on begin with.
    pub annotations_prefix: String,
    /// The ConfigMap with what holds for all of them; `None`: nothing does.
    pub config_map: Option<ObjectName>,
    /// The Secret with the certificate for names that none of them has one for; `None`: they have no TLS.
    pub default_certificate: Option<ObjectName>,
    /// The Service whose addresses their status tells; `None`: none does.
    pub publish_service: Option<ObjectName>,
    /// What their status tells instead.
    pub publish_addresses: Vec<String>,
}

/// Why this part of the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no serving certificate.
    #[error("failed to sign the serving certificate")]
    Certificate(#[source] AuthorityError),
    /// The metrics have a name that is taken.
    #[error("failed to register metrics")]
    Metrics(#[source] prometheus::Error),
    /// The server does not run.
    #[error("failed to run the config server")]
    Serve(#[source] ServeError),
}

/// Compiles the routes and serves the proxies until `shutdown`.
///
/// # Errors
/// If the socket is not to be had, or a library refuses what it always takes. An API server out of reach is waited for.
pub async fn run(context: Context) -> Result<(), Error> {
    let Context { client, settings, tenure, registry, ready, shutdown } = context;
    let metrics = Metrics::new(&registry).map_err(Error::Metrics)?;
    let listener = server::bind(settings.listen).await.map_err(Error::Serve)?;
    let Some(authority) = shutdown.run_until_cancelled(establish(&client, &settings.namespace)).await else {
        return Ok(());
    };
    let certificate = ServingCertificate::new(&authority, names(&settings), clock::now());
    let certificate = Arc::new(certificate.map_err(Error::Certificate)?);
    let shared = Arc::new(Shared::new(metrics));
    let admission = server::Admission {
        authenticator: Arc::new(TokenReviews::new(client.clone())),
        proxies: settings.proxy_service_account.clone(),
        watchers: settings.traffic_service_account.clone(),
    };
    info!(address = %settings.listen, "the config server listens");
    let namespaces =
        BTreeSet::from([settings.namespace.clone(), settings.proxy_service.namespace.to_string()]);
    let installation = installation(&settings, &authority);
    // The parts end together, also when the server ends by itself.
    let stop = shutdown.child_token();
    let certificates =
        certificates::keep(client.clone(), authority, Arc::clone(&certificate), namespaces, stop.clone());
    let eviction = eviction::run(client.clone(), Arc::clone(&shared), stop.clone());
    let routes =
        routes::run(client, &settings, installation, Arc::clone(&shared), tenure, ready, stop.clone());
    let serving = async {
        let _ended = stop.clone().drop_guard();
        server::serve(listener, certificate, admission, shared, stop.clone()).await
    };
    let (served, (), (), ()) = tokio::join!(serving, certificates, eviction, routes);
    served.map_err(Error::Serve)
}

/// The certificate authority, waited for while the API server or the Secret does not give it.
async fn establish(client: &Client, namespace: &str) -> Authority {
    let mut said = None;
    loop {
        match certificates::establish(client, namespace).await {
            Ok(authority) => return authority,
            Err(error) => {
                let error = errors::chain(&error);
                if said.as_ref() != Some(&error) {
                    warn!(error, "no certificate authority yet; trying again");
                    said = Some(error);
                }
            }
        }
        sleep(ESTABLISH_AGAIN).await;
    }
}

/// What the proxies of Gateways have in common.
fn installation(settings: &Settings, authority: &Authority) -> Installation {
    let Settings { service, namespace, listen, proxies, .. } = settings;
    let ProxySettings { image, image_pull_policy, log_level, drain_delay, drain_timeout } = proxies.clone();
    Installation {
        config_server: format!("{service}.{namespace}.svc:{}", listen.port()),
        authority: authority.certificate_pem().to_owned(),
        image,
        image_pull_policy,
        log_level,
        drain_delay,
        drain_timeout,
    }
}

/// The names in the serving certificate.
fn names(settings: &Settings) -> Vec<String> {
    let Settings { service, namespace, .. } = settings;
    vec![
        SERVER_NAME.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        "localhost".to_owned(),
    ]
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}
