//! Secrets as certificates, keys and authorities.

use std::{collections::BTreeMap, sync::Arc};

use proxy_config::model::{Certificate, CertificateId};

use super::{pending::Pending, stores::Stores};
use crate::{object::ObjectName, scope::Scope};

/// The certificate in a Secret, with its key, or why there is none.
pub(super) fn certificate(stores: &Stores, secret: &ObjectName) -> Result<Certificate, String> {
    let found = stores.secret(secret).ok_or_else(|| absent(secret))?;
    let chain = found.chain.as_ref().filter(|chain| chain.contains("-----BEGIN CERTIFICATE-----"));
    let chain = chain.ok_or_else(|| format!("Secret `{secret}` has no certificate in `tls.crt`"))?;
    let key = found.key.as_ref().filter(|key| key.0.contains("PRIVATE KEY-----"));
    let key = key.ok_or_else(|| format!("Secret `{secret}` has no private key in `tls.key`"))?;
    Ok(Certificate { id: id(secret), chain: chain.clone(), key: key.clone() })
}

/// The authorities in a Secret, or why there are none.
pub(super) fn authorities(stores: &Stores, secret: &ObjectName) -> Result<String, String> {
    let found = stores.secret(secret).ok_or_else(|| absent(secret))?;
    let authorities = found.authorities.clone().or_else(|| found.chain.clone());
    authorities.ok_or_else(|| format!("Secret `{secret}` has no authorities in `ca.crt` or `tls.crt`"))
}

/// The revocations in a Secret, or why there are none.
pub(super) fn revoked(stores: &Stores, secret: &ObjectName) -> Result<String, String> {
    let found = stores.secret(secret).ok_or_else(|| absent(secret))?;
    found.revoked.clone().ok_or_else(|| format!("Secret `{secret}` has no revocations in `crl.pem`"))
}

fn id(secret: &ObjectName) -> CertificateId {
    CertificateId::new(format!("secret {secret}"))
}

fn absent(secret: &ObjectName) -> String {
    format!("Secret `{}` does not exist in namespace `{}`", secret.name, secret.namespace)
}

/// How many backends and hosts of each scope show a certificate.
pub(super) type Shown = BTreeMap<(Scope, CertificateId), usize>;

/// Counts who shows a certificate in a scope: it is sent with the first and goes with the last.
pub(super) fn replace(
    counts: &mut Shown,
    scope: &Scope,
    before: Option<&Arc<Certificate>>,
    now: Option<&Arc<Certificate>>,
    pending: &mut Pending,
) {
    let known = &mut pending.scope(scope).certificates;
    if let Some(now) = now {
        *counts.entry((scope.clone(), now.id.clone())).or_default() += 1;
        known.insert(now.id.clone(), Some(Arc::clone(now)));
    }
    if let Some(before) = before {
        let key = (scope.clone(), before.id.clone());
        let left = counts.get(&key).map_or(0, |count| count - 1);
        if left == 0 {
            counts.remove(&key);
            known.insert(before.id.clone(), None);
        } else {
            counts.insert(key, left);
        }
    }
}
