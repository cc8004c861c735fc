//! The socket: TLS with the authority's certificate, and the two services behind it.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use operator_routes::ObjectName;
use proxy_config::wire::{
    config::config_server::{self, ConfigServer},
    traffic::traffic_server::{self, TrafficServer},
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, codegen::Service as _};
use tracing::{debug, warn};

use super::{
    authentication::Authenticate, configuration::Configuration, shared::Shared, traffic::TrafficWatch,
};
use crate::certificates::ServingCertificate;

/// A peer that is gone without a word is noticed after their sum.
const PING_EVERY: Duration = Duration::from_secs(5);
const PONG_WITHIN: Duration = Duration::from_secs(5);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// After a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How long streams may take to end.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Whose tokens are accepted by which service.
#[derive(Clone, Debug)]
pub(crate) struct Admission<A> {
    pub(crate) authenticator: Arc<A>,
    /// The `ServiceAccount` of the proxies that all Mappings and Ingresses share.
    pub(crate) proxies: ObjectName,
    /// The `ServiceAccount` of the rollout controllers.
    pub(crate) watchers: ObjectName,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS library refuses its settings.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Opens the socket.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Serves until `shutdown`, and then until the streams have ended.
pub(crate) async fn serve<A: Authenticate>(
    listener: TcpListener,
    certificate: Arc<ServingCertificate>,
    admission: Admission<A>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let configuration = ConfigServer::new(Configuration {
        shared: Arc::clone(&shared),
        authenticator: Arc::clone(&admission.authenticator),
        fleet: admission.proxies,
        shutdown: shutdown.clone(),
    });
    let traffic = TrafficServer::new(TrafficWatch {
        shared,
        authenticator: admission.authenticator,
        expected: admission.watchers,
        shutdown: shutdown.clone(),
    });
    let acceptor = acceptor(certificate)?;
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or the peer was gone again: the next one may do better.
                warn!(%error, "failed to accept a connection");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let acceptor = acceptor.clone();
        let (configuration, traffic, shutdown) = (configuration.clone(), traffic.clone(), shutdown.clone());
        // Each handshakes on its own, so that a slow one keeps nobody waiting.
        connections.spawn(async move {
            if let Some(stream) = handshake(stream, acceptor).await {
                converse(stream, configuration, traffic, shutdown).await;
            }
        });
    }
    connections.close();
    let _ = timeout(END_WITHIN, connections.wait()).await;
    Ok(())
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "failed to switch off delays on a connection");
    }
    match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            debug!("a TLS handshake took too long");
            None
        }
    }
}

/// One HTTP/2 connection, with as many streams as the peer likes.
async fn converse<A: Authenticate>(
    stream: TlsStream<TcpStream>,
    configuration: ConfigServer<Configuration<A>>,
    traffic: TrafficServer<TrafficWatch<A>>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut configuration, mut traffic) = (configuration.clone(), traffic.clone());
        async move {
            match request.uri().path().split('/').nth(1) {
                Some(config_server::SERVICE_NAME) => configuration.call(request).await,
                Some(traffic_server::SERVICE_NAME) => traffic.call(request).await,
                Some(_) | None => Ok(Status::unimplemented("no such service").into_http()),
            }
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended");
    }
}

fn acceptor(certificate: Arc<ServingCertificate>) -> Result<TlsAcceptor, ServeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
