//! The certificate that the config server shows, replaced while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Duration, Utc};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Authority, AuthorityError};

/// It is replaced when it is valid for less than this.
const RENEW_BEFORE_DAYS: i64 = 30;

/// A serving certificate and until when it is valid.
#[derive(Debug)]
pub struct ServingCertificate {
    names: Vec<String>,
    current: RwLock<(Arc<CertifiedKey>, DateTime<Utc>)>,
}

impl ServingCertificate {
    /// Signs the first one.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn new(
        authority: &Authority,
        names: Vec<String>,
        now: DateTime<Utc>,
    ) -> Result<Self, AuthorityError> {
        let current = RwLock::new(authority.issue(&names, now)?);
        Ok(Self { names, current })
    }

    /// Signs another one if the current one ends soon. Says whether it did.
    ///
    /// # Errors
    /// As [`Authority::issue`]; the current one stays.
    pub fn renew(&self, authority: &Authority, now: DateTime<Utc>) -> Result<bool, AuthorityError> {
        let until = self.current.read().unwrap_or_else(PoisonError::into_inner).1;
        if until - now > Duration::days(RENEW_BEFORE_DAYS) {
            return Ok(false);
        }
        let new = authority.issue(&self.names, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_replaced_before_it_ends() {
        let start = DateTime::from_timestamp(86_400 * 1000, 0).unwrap();
        let authority = Authority::generate(start).unwrap();
        let serving = ServingCertificate::new(&authority, vec!["a".to_owned()], start).unwrap();
        assert!(!serving.renew(&authority, start + Duration::days(59)).unwrap());
        assert!(serving.renew(&authority, start + Duration::days(60)).unwrap());
        assert!(!serving.renew(&authority, start + Duration::days(61)).unwrap());
    }
}
