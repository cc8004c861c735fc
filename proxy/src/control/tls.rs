//! How the operator is recognised, and how we are.

use std::{io, path::PathBuf, time::Duration};

use proxy_config::SERVER_NAME;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

/// How long connecting may take, the handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it lives.
const PING: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PONG: Duration = Duration::from_secs(5);

/// Where the credentials are.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) ca_file: PathBuf,
    pub(super) token_file: PathBuf,
}

/// Why there is no connection to a config server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("failed to read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} holds no token")]
    Token(PathBuf),
    #[error("`{0}` is no address")]
    Address(String),
    #[error("failed to connect to {0}")]
    Connect(String, #[source] tonic::transport::Error),
}

impl Credentials {
    /// Connects to `HOST:PORT`. The certificate and the name are looked at now, not when the process started.
    pub(super) async fn connect(&self, server: &str) -> Result<Channel, ConnectError> {
        let ca = read(&self.ca_file).await?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name(SERVER_NAME);
        let refuse = |error| ConnectError::Connect(server.to_owned(), error);
        let endpoint = Endpoint::from_shared(format!("https://{server}"))
            .map_err(|_| ConnectError::Address(server.to_owned()))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .tls_config(tls)
            .map_err(refuse)?;
        endpoint.connect().await.map_err(refuse)
    }

    /// The value of the `authorization` metadata, as of now: the kubelet replaces the token.
    pub(super) async fn authorization(&self) -> Result<MetadataValue<Ascii>, ConnectError> {
        let token = String::from_utf8_lossy(&read(&self.token_file).await?).trim().to_owned();
        let bearer = format!("Bearer {token}").parse().ok().filter(|_| !token.is_empty());
        bearer.ok_or_else(|| ConnectError::Token(self.token_file.clone()))
    }
}

async fn read(file: &PathBuf) -> Result<Vec<u8>, ConnectError> {
    tokio::fs::read(file).await.map_err(|error| ConnectError::Read(file.clone(), error))
}
