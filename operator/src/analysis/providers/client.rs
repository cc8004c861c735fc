//! The one HTTP client of all providers: pooled connections, a bound on requests at the same time, on how long one
//! takes and on how much it brings. It trusts the certificates of the system, or of `SSL_CERT_FILE`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::sync::Semaphore;
use tracing::warn;

/// Requests at the same time, of all runs together.
const MOST_REQUESTS: usize = 256;

/// The longest answer that is read, in bytes. A metric is a number; who sends more sends something else.
const LONGEST_ANSWER: usize = 10_000_000;

/// The most redirects that are followed, as Go's client does.
const MOST_REDIRECTS: usize = 10;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// A request of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// How long all of it may take, redirects included.
    pub timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is not a URL: one like `http://host:port/path` is expected")]
    Url(String),
    #[error("the header {0:?} cannot be sent: its name or value has characters that HTTP does not allow")]
    Header(String),
    #[error("failed to reach {host}: {why}")]
    Connect { host: String, why: String },
    #[error("no answer from {host} within {} s", .timeout.as_secs())]
    Timeout { host: String, timeout: Duration },
    #[error("failed to read the answer of {host}: {why}")]
    Body { host: String, why: String },
    #[error("stopped after {MOST_REDIRECTS} redirects")]
    Redirects,
}

type Connections = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The client.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    secure: Connections,
    insecure: Connections,
    permits: Arc<Semaphore>,
}

impl Http {
    /// Reads the certificates that it trusts.
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let versions = "the provider has the default versions of TLS";
        let secure = builder().expect(versions).with_root_certificates(trusted()).with_no_client_auth();
        let anyone = Arc::new(Anyone(provider.clone()));
        let insecure = builder().expect(versions).dangerous().with_custom_certificate_verifier(anyone);
        Self {
            secure: connections(secure),
            insecure: connections(insecure.with_no_client_auth()),
            permits: Arc::new(Semaphore::new(MOST_REQUESTS)),
        }
    }

    /// Sends a request and reads all of the answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let url: Uri = request.url.parse().map_err(|_| Error::Url(request.url.clone()))?;
        let host = url.host().unwrap_or_default().to_owned();
        if host.is_empty() || !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(Error::Url(request.url));
        }
        // Whoever waits for its turn does not use up its time.
        let _permit = self.permits.acquire().await;
        let timeout = request.timeout;
        match tokio::time::timeout(timeout, self.follow(request, url)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout { host, timeout }),
        }
    }

    async fn follow(&self, mut request: Request, mut url: Uri) -> Result<Answer, Error> {
        let connections = if request.insecure { &self.insecure } else { &self.secure };
        for _ in 0..=MOST_REDIRECTS {
            let host = url.host().unwrap_or_default().to_owned();
            let prepared = prepare(&request, &url)?;
            let response = connections.request(prepared).await;
            let response =
                response.map_err(|error| Error::Connect { host: host.clone(), why: reason(&error) })?;
            if let Some(next) = redirect(&response, &url) {
                let status = response.status();
                if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                    && request.method != Method::HEAD
                {
                    request.method = Method::GET;
                    request.body.clear();
                }
                if next.authority() != url.authority() {
                    // What proves who we are is for the one it was meant for.
                    request.headers.retain(|(name, _)| {
                        !["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str())
                    });
                }
                url = next;
                continue;
            }
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let body = body.map_err(|error| Error::Body { host, why: reason(error.as_ref()) })?.to_bytes();
            return Ok(Answer { status, body });
        }
        Err(Error::Redirects)
    }
}

fn prepare(request: &Request, url: &Uri) -> Result<http::Request<Full<Bytes>>, Error> {
    let mut prepared = http::Request::new(Full::new(Bytes::from(request.body.clone())));
    *prepared.method_mut() = request.method.clone();
    *prepared.uri_mut() = url.clone();
    for (name, value) in &request.headers {
        let wrong = || Error::Header(name.clone());
        let header = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        prepared.headers_mut().insert(header, value);
    }
    prepared
        .headers_mut()
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("sluice-operator/", env!("CARGO_PKG_VERSION"))));
    Ok(prepared)
}

/// Where an answer sends us.
fn redirect<B>(response: &http::Response<B>, from: &Uri) -> Option<Uri> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    if location.contains("://") {
        return location.parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    let builder = Uri::builder().scheme(from.scheme()?.clone()).authority(from.authority()?.clone());
    builder.path_and_query(path).build().ok()
}

/// An error in a line: what lies deepest says most.
fn reason(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn connections(tls: ClientConfig) -> Connections {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_mins(1))
        .build(connector)
}

fn trusted() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = trusted.add_parsable_certificates(found.certs);
    if added == 0 {
        warn!(
            errors = ?found.errors,
            "the system has no certificates; metrics cannot be read over HTTPS unless SSL_CERT_FILE names some"
        );
    }
    trusted
}

/// Takes any certificate, as `insecure: true` asks for; the connection is still encrypted.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
