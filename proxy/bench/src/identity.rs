//! The certificate that all proxies show.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::scenario::HOST;

/// A certificate that signs itself.
pub(crate) struct Identity {
    /// As PEM.
    pub(crate) certificate: String,
    /// As PEM.
    pub(crate) key: String,
    connector: TlsConnector,
}

impl Identity {
    /// A new one, on P-256 as most have.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let made =
            rcgen::generate_simple_self_signed([HOST.to_owned()]).context("failed to make a certificate")?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).context("failed to trust a certificate")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .context("failed to set up TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), connector })
    }

    /// Speaks TLS as a client that trusts it.
    pub(crate) fn connector(&self) -> TlsConnector {
        self.connector.clone()
    }
}
