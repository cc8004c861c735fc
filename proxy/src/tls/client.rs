//! TLS towards endpoints.

use std::{io, sync::Arc};

use proxy_config::model::{Trust, UpstreamProtocol, UpstreamTls};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs::default_provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{HTTP1, HTTP2, TlsError, certificate, server::versions};

/// Makes connections to the endpoints of one cluster.
#[derive(Clone)]
pub(crate) struct Connector {
    connector: TlsConnector,
    /// What the endpoint is asked for; without a name to send it stands for nothing.
    name: ServerName<'static>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({:?})", self.name)
    }
}

impl Connector {
    pub(super) fn new(
        tls: &UpstreamTls,
        protocol: UpstreamProtocol,
        own: Option<Arc<CertifiedKey>>,
    ) -> Result<Self, TlsError> {
        let verifier = Arc::new(Verifier::new(tls)?);
        let builder = ClientConfig::builder_with_protocol_versions(&versions(tls.versions))
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(Own(own))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = tls.server_name.is_some();
        config.alpn_protocols = match protocol {
            UpstreamProtocol::Http1 => vec![HTTP1.to_vec()],
            UpstreamProtocol::Http2 => vec![HTTP2.to_vec()],
        };
        let name = tls.server_name.as_deref().unwrap_or("unnamed.invalid");
        let name = server_name(name)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Speaks TLS on a connection.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

/// Our own certificate, whatever the endpoint asks for.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Verifies what the configuration asks for: who signed, and which names there are.
#[derive(Debug)]
struct Verifier {
    /// `None`: whoever it is.
    roots: Option<RootCertStore>,
    /// One of these; none: any.
    names: Vec<Name>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Name {
    Host(ServerName<'static>),
    /// For example `spiffe://cluster.local/ns/shop/sa/web`.
    Uri(String),
}

impl Verifier {
    fn new(tls: &UpstreamTls) -> Result<Self, TlsError> {
        let roots = match &tls.trust {
            Trust::Anyone => None,
            Trust::Ca(pem) => Some(certificate::roots(pem)?),
            Trust::System => Some(system_roots()?),
        };
        let names = if tls.names.is_empty() { tls.server_name.as_slice() } else { &tls.names };
        let name = |name: &String| {
            Ok(if name.contains("://") { Name::Uri(name.clone()) } else { Name::Host(server_name(name)?) })
        };
        Ok(Self {
            roots,
            names: names.iter().map(name).collect::<Result<_, TlsError>>()?,
            algorithms: default_provider().signature_verification_algorithms,
        })
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        return Err(TlsError::Ca("this system has no list of authorities".to_owned()));
    }
    Ok(roots)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all)?;
        let has = |name: &Name| match name {
            Name::Host(name) => verify_server_name(&parsed, name).is_ok(),
            Name::Uri(uri) => webpki::EndEntityCert::try_from(end_entity)
                .is_ok_and(|it| it.valid_uri_names().any(|name| name == uri)),
        };
        if self.names.is_empty() || self.names.iter().any(has) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
