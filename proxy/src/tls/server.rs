//! TLS towards clients.

use std::sync::Arc;

use proxy_config::model::{ClientValidation, ServerTls, TlsVersion, TlsVersions, Unverified};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{HTTP1, HTTP2, TlsError, certificate};

/// The settings of one host. Each has tickets of its own: a session of one host must not be resumed at another, which
/// may validate clients.
pub(super) fn config(tls: &ServerTls, keys: Vec<Arc<CertifiedKey>>) -> Result<Arc<ServerConfig>, TlsError> {
    if keys.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let builder = ServerConfig::builder_with_protocol_versions(&versions(tls.versions));
    let builder = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_verifier(verifier(client)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates(keys)));
    config.ticketer = Ticketer::new()?;
    config.alpn_protocols = match &*tls.alpn {
        [] => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        // What we do not speak must not be agreed on.
        wanted => {
            let wanted = wanted.iter().map(|it| it.as_bytes().to_vec());
            wanted.filter(|it| [HTTP1, HTTP2].contains(&it.as_slice())).collect()
        }
    };
    Ok(Arc::new(config))
}

pub(super) fn versions(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::V1_2, &TLS12), (TlsVersion::V1_3, &TLS13)];
    let within = all.into_iter().filter(|(it, _)| (versions.min..=versions.max).contains(it));
    within.map(|(_, version)| version).collect()
}

fn verifier(client: &ClientValidation) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(certificate::roots(&client.ca)?);
    let mut builder = WebPkiClientVerifier::builder(roots).with_crls(certificate::revoked(&client.crls)?);
    if client.unverified != Unverified::Refused {
        builder = builder.allow_unauthenticated();
    }
    if !client.crls.is_empty() {
        // A certificate of an authority without a list was revoked by nobody.
        builder = builder.allow_unknown_revocation_status();
    }
    let verifier = builder.build().map_err(|error| TlsError::Verifier(error.to_string()))?;
    Ok(match client.unverified {
        Unverified::Refused | Unverified::MayBeAbsent => verifier,
        Unverified::Accepted => Arc::new(Lenient(verifier)),
    })
}

/// Shows the first certificate whose key the client can use.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = self.0.iter().find(|it| it.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or_else(|| self.0.first()).cloned()
    }
}

/// Lets certificates in that do not verify: the upstream decides. That the client has the key is verified all the same.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Lenient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
