//! Certificates as rustls wants them.

use std::sync::Arc;

use proxy_config::model::Certificate;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::TlsError;

/// The certificate with its key, if they belong together.
pub(super) fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, TlsError> {
    let Certificate { id, chain, key } = certificate;
    let unread = |reason: String| TlsError::Chain(id.to_string(), reason);
    let chain = certificates(chain).map_err(unread)?;
    if chain.is_empty() {
        return Err(unread("it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key.0.as_bytes())
        .map_err(|error| TlsError::Key(id.to_string(), error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| TlsError::Key(id.to_string(), error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Some keys do not tell; then the handshake does.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(error) => Err(TlsError::Pair(id.to_string(), error)),
    }
}

/// Who may have signed.
pub(super) fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = certificates(pem).map_err(TlsError::Ca)?;
    // A bundle may hold some that nobody can use; it is enough if one is left.
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(TlsError::Ca("there is no certificate".to_owned()));
    }
    Ok(roots)
}

/// What was revoked.
pub(super) fn revoked(lists: &[String]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists = lists.iter().flat_map(|pem| CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()));
    lists.collect::<Result<_, _>>().map_err(|error| TlsError::Ca(error.to_string()))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}
