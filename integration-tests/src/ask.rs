//! Single requests to one proxy, through the API server: they reach a cluster wherever the test runs.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http::{
    Method, Request,
    header::{AUTHORIZATION, HOST, LOCATION},
};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::cluster::Cluster;

/// The ports on which proxies accept requests, in the clear and over TLS.
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `https`, and who may have signed the certificate, as PEM; `None`: in the clear.
    pub authority: Option<&'a str>,
    /// Its method.
    pub method: &'a str,
    /// `Host`.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// `Authorization`; `None`: it has none.
    pub authorization: Option<&'a str>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Location`; empty if there is none.
    pub location: String,
    /// The text.
    pub body: String,
}

/// Asks the first proxy in a namespace.
pub async fn ask(system: &Cluster, question: Question<'_>) -> anyhow::Result<Answer> {
    let port = if question.authority.is_some() { HTTPS } else { HTTP };
    ask_pod(system, "app.kubernetes.io/component=proxy", port, question).await
}

/// Asks the first pod with these labels at one of its ports.
pub async fn ask_pod(
    cluster: &Cluster,
    labels: &str,
    port: u16,
    question: Question<'_>,
) -> anyhow::Result<Answer> {
    let pods = cluster.pods(labels).await?;
    let pod = pods.into_iter().find_map(|pod| pod.metadata.name).context("there is no proxy")?;
    let mut forwarder =
        cluster.api::<Pod>().portforward(&pod, &[port]).await.context("failed to forward a port")?;
    let stream = forwarder.take_stream(port).context("the port is not forwarded")?;
    match question.authority {
        None => exchange(stream, question).await,
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).context("no certificate")?)?;
            let config =
                ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
            let name = match question.host.parse::<Ipv4Addr>() {
                Ok(address) => ServerName::from(std::net::IpAddr::from(address)),
                Err(_) => ServerName::try_from(question.host.to_owned()).context("no server name")?,
            };
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await.context("failed to agree on TLS")?;
            exchange(stream, question).await
        }
    }
}

async fn exchange<S>(stream: S, question: Question<'_>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("failed to begin a connection")?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder()
        .method(Method::from_bytes(question.method.as_bytes())?)
        .uri(question.path)
        .header(HOST, question.host);
    if let Some(authorization) = question.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Full::<Bytes>::default()).context("failed to make a request")?;
    let response = sender.send_request(request).await.context("failed to get an answer")?;
    let status = response.status().as_u16();
    let location =
        response.headers().get(LOCATION).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    let body = response.into_body().collect().await.context("failed to read an answer")?.to_bytes();
    driver.abort();
    Ok(Answer { status, location, body: String::from_utf8_lossy(&body).into_owned() })
}
