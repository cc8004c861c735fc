//! The authority itself: a key and a certificate that says so.

use std::{sync::Arc, time::SystemTime};

use chrono::{DateTime, Duration, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

/// How long the authority is valid: it is replaced by deleting its Secret, not by age.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a serving certificate is valid.
const SERVING_DAYS: i64 = 90;
/// Clocks differ: certificates are valid from a day before they are made.
const BACKDATED_DAYS: i64 = 1;

/// A key that signs, and its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    key_pem: String,
    certificate_pem: String,
}

/// Why there is no authority or certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The key in the Secret is none.
    #[error("failed to read the key of the certificate authority")]
    Key(#[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Sign(#[source] rcgen::Error),
    /// The TLS library does not take the key.
    #[error("failed to use the key of a serving certificate")]
    Use(#[source] rustls::Error),
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If the cryptography library fails.
    pub fn generate(now: DateTime<Utc>) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let certificate = parameters(now).self_signed(&key).map_err(AuthorityError::Sign)?;
        let certificate_pem = certificate.pem();
        Ok(Self { key_pem: key.serialize_pem(), issuer: Issuer::new(parameters(now), key), certificate_pem })
    }

    /// The one whose key and certificate lie in a Secret.
    ///
    /// # Errors
    /// If `key_pem` holds no key. The certificate is not looked into: it is what the proxies get.
    pub fn read(key_pem: &str, certificate_pem: &str, now: DateTime<Utc>) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(AuthorityError::Key)?;
        Ok(Self {
            key_pem: key.serialize_pem(),
            // Only the name and the key identifier go into what it signs, and those do not depend on the time.
            issuer: Issuer::new(parameters(now), key),
            certificate_pem: certificate_pem.to_owned(),
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its key.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Signs a serving certificate for `names` with a new key. Says until when it is valid.
    ///
    /// # Errors
    /// If a name is none, or a library fails.
    pub fn issue(
        &self,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<(Arc<CertifiedKey>, DateTime<Utc>), AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let mut parameters = CertificateParams::new(names.to_vec()).map_err(AuthorityError::Sign)?;
        let until = now + Duration::days(SERVING_DAYS);
        parameters.distinguished_name = named(names.first().map_or("sluice", String::as_str));
        parameters.not_before = SystemTime::from(now - Duration::days(BACKDATED_DAYS)).into();
        parameters.not_after = SystemTime::from(until).into();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = any_supported_type(&private).map_err(AuthorityError::Use)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        Ok((Arc::new(CertifiedKey::new(chain, signing)), until))
    }
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn parameters(now: DateTime<Utc>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named("sluice-ca");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = SystemTime::from(now - Duration::days(BACKDATED_DAYS)).into();
    parameters.not_after = SystemTime::from(now + Duration::days(AUTHORITY_DAYS)).into();
    parameters
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

#[cfg(test)]
mod tests;
