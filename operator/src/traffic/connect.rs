//! Where the traffic server is, and how it is reached: TLS with the operator's own certificate authority, and a
//! ServiceAccount token of its audience.

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};
use proxy_config::{SERVER_NAME, TRAFFIC_AUDIENCE};
use tokio::sync::watch;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::lease::Tenure;

/// The ConfigMap with the certificate authority, and its key.
const CA_CONFIG_MAP: (&str, &str) = ("sluice-ca", "ca.crt");

/// A stream is known to be dead after two of these without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Where the traffic server is.
#[derive(Clone, Debug)]
pub enum Target {
    /// At an address from the command line.
    Fixed(String),
    /// With the holder of the route lease.
    Holder {
        /// The route lease.
        tenure: watch::Receiver<Tenure>,
        /// `host:port` of this process' own server.
        own: String,
    },
}

/// Where the certificate authority comes from. Read at each connect: it may be renewed.
#[derive(Clone, Debug)]
pub enum Authority {
    /// A PEM file.
    File(PathBuf),
    /// ConfigMap `sluice-ca` of this namespace.
    ConfigMap {
        /// Namespace.
        namespace: String,
    },
}

/// Where the token comes from. Read at each connect: it expires.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A file, which the kubelet renews.
    File(PathBuf),
    /// The API `TokenRequest`.
    Request {
        /// Namespace of the ServiceAccount.
        namespace: String,
        /// The ServiceAccount.
        service_account: String,
    },
}

/// Makes connections.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a Client has no Debug")]
pub struct Connector {
    /// For reading the authority and requesting tokens.
    pub client: Client,
    /// Where to.
    pub target: Target,
    /// Whom to trust.
    pub authority: Authority,
    /// What to present.
    pub credential: Credential,
}

/// A channel to the traffic server and the value of the `authorization` header.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: String,
    pub(super) channel: Channel,
    pub(super) authorization: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("nobody holds the lease of the config server")]
    NoHolder,
    #[error("{holder} holds the lease of the config server and tells no address")]
    NoAddress { holder: String },
    #[error("failed to read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to read ConfigMap {namespace}/sluice-ca")]
    ConfigMap {
        namespace: String,
        #[source]
        source: kube::Error,
    },
    #[error("ConfigMap {namespace}/sluice-ca has no ca.crt yet")]
    NoAuthority { namespace: String },
    #[error("failed to request a token for ServiceAccount {namespace}/{service_account}")]
    Token {
        namespace: String,
        service_account: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
}

impl Connector {
    /// Connects. `redirect` is where the last server said that the holder is.
    pub(super) async fn connect(&self, redirect: Option<String>) -> Result<Connection, Error> {
        let address = match redirect {
            Some(address) => address,
            None => self.target.address()?,
        };
        let authority = self.authority.pem(&self.client).await?;
        let token = self.credential.token(&self.client).await?;
        let failed = |source| Error::Connect { address: address.clone(), source };
        let tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(SERVER_NAME);
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|it| it.tls_config(tls))
            .map_err(failed)?
            .connect_timeout(KEEP_ALIVE)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(failed)?;
        let authorization = format!("Bearer {}", token.trim());
        Ok(Connection { address, channel, authorization })
    }
}

impl Target {
    fn address(&self) -> Result<String, Error> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Holder { tenure, own } => match &*tenure.borrow() {
                Tenure::Held { .. } => Ok(own.clone()),
                Tenure::Foreign { address: Some(address), .. } => Ok(address.clone()),
                Tenure::Foreign { holder, address: None } => Err(Error::NoAddress { holder: holder.clone() }),
                Tenure::Unknown => Err(Error::NoHolder),
            },
        }
    }
}

impl Authority {
    async fn pem(&self, client: &Client) -> Result<String, Error> {
        match self {
            Self::File(path) => read(path).await,
            Self::ConfigMap { namespace } => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let (name, key) = CA_CONFIG_MAP;
                let found = maps.get_opt(name).await;
                let found =
                    found.map_err(|source| Error::ConfigMap { namespace: namespace.clone(), source })?;
                let pem = found.and_then(|it| it.data).and_then(|mut it| it.remove(key));
                pem.ok_or_else(|| Error::NoAuthority { namespace: namespace.clone() })
            }
        }
    }
}

impl Credential {
    async fn token(&self, client: &Client) -> Result<String, Error> {
        match self {
            Self::File(path) => read(path).await,
            Self::Request { namespace, service_account } => {
                let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
                let request = TokenRequest {
                    spec: TokenRequestSpec {
                        audiences: vec![TRAFFIC_AUDIENCE.to_owned()],
                        expiration_seconds: Some(3600),
                        ..TokenRequestSpec::default()
                    },
                    ..TokenRequest::default()
                };
                let granted =
                    accounts.create_token_request(service_account, &PostParams::default(), &request).await;
                let granted = granted.map_err(|source| Error::Token {
                    namespace: namespace.clone(),
                    service_account: service_account.clone(),
                    source,
                })?;
                Ok(granted.status.map(|it| it.token).unwrap_or_default())
            }
        }
    }
}

async fn read(path: &PathBuf) -> Result<String, Error> {
    tokio::fs::read_to_string(path).await.map_err(|source| Error::File { path: path.clone(), source })
}
