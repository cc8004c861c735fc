//! Where the authority lies in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use tracing::info;

use super::{Authority, AuthorityError};
use crate::clock;

/// The name of the Secret and of each ConfigMap.
pub const CA_NAME: &str = "sluice-ca";
/// The key of the certificate in the ConfigMap.
pub const CA_KEY: &str = "ca.crt";
const FIELD_MANAGER: &str = "sluice-operator";

/// Why the authority is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The Secret could not be read or created.
    #[error("failed to read or create Secret `{CA_NAME}` in namespace `{namespace}`")]
    Secret {
        /// Where.
        namespace: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The Secret has no key or certificate.
    #[error(
        "Secret `{CA_NAME}` in namespace `{namespace}` has no `{field}`: delete it, and another one is made"
    )]
    Field {
        /// Where.
        namespace: String,
        /// Which.
        field: &'static str,
    },
    /// The authority in the Secret cannot be used.
    #[error(
        "failed to use Secret `{CA_NAME}` in namespace `{namespace}`: delete it, and another one is made"
    )]
    Authority {
        /// Where.
        namespace: String,
        /// Why.
        #[source]
        source: AuthorityError,
    },
    /// The ConfigMap could not be written.
    #[error("failed to write ConfigMap `{CA_NAME}` in namespace `{namespace}`")]
    ConfigMap {
        /// Where.
        namespace: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

/// The authority in the Secret; makes one if there is none. Of two processes that make one, the first to store it
/// wins and the other uses that.
///
/// # Errors
/// As [`PublishError`] says.
pub async fn establish(client: &Client, namespace: &str) -> Result<Authority, PublishError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |source| PublishError::Secret { namespace: namespace.to_owned(), source };
    let unusable = |source| PublishError::Authority { namespace: namespace.to_owned(), source };
    if let Some(secret) = secrets.get_opt(CA_NAME).await.map_err(failed)? {
        return read(&secret, namespace);
    }
    let authority = Authority::generate(clock::now()).map_err(unusable)?;
    match secrets.create(&PostParams::default(), &secret(&authority)).await {
        Ok(_) => {
            info!(namespace, "made a certificate authority");
            Ok(authority)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            read(&secrets.get(CA_NAME).await.map_err(failed)?, namespace)
        }
        Err(source) => Err(failed(source)),
    }
}

/// Writes the certificate to the ConfigMap of a namespace if it says anything else. Tells whether it wrote.
///
/// # Errors
/// If the API server refuses or cannot be reached.
pub async fn publish(client: &Client, namespace: &str, certificate_pem: &str) -> Result<bool, PublishError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let failed = |source| PublishError::ConfigMap { namespace: namespace.to_owned(), source };
    let current = maps.get_opt(CA_NAME).await.map_err(failed)?;
    let published = current.and_then(|map| map.data).and_then(|mut data| data.remove(CA_KEY));
    if published.as_deref() == Some(certificate_pem) {
        return Ok(false);
    }
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(CA_NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(CA_KEY.to_owned(), certificate_pem.to_owned())])),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    maps.patch(CA_NAME, &params, &Patch::Apply(&map)).await.map_err(failed)?;
    Ok(true)
}

fn read(secret: &Secret, namespace: &str) -> Result<Authority, PublishError> {
    let text = |field: &'static str| {
        let value = secret.data.as_ref().and_then(|data| data.get(field));
        value
            .and_then(|value| String::from_utf8(value.0.clone()).ok())
            .ok_or_else(|| PublishError::Field { namespace: namespace.to_owned(), field })
    };
    Authority::read(&text("tls.key")?, &text("tls.crt")?, clock::now())
        .map_err(|source| PublishError::Authority { namespace: namespace.to_owned(), source })
}

fn secret(authority: &Authority) -> Secret {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    Secret {
        metadata: ObjectMeta { name: Some(CA_NAME.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from([
            ("tls.crt".to_owned(), bytes(authority.certificate_pem())),
            ("tls.key".to_owned(), bytes(authority.key_pem())),
        ])),
        ..Secret::default()
    }
}
