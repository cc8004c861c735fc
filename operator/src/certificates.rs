//! The certificate authority between operator and proxies.
//!
//! Its key and certificate lie in Secret [`CA_NAME`] in the operator's namespace, its certificate alone in a ConfigMap
//! of that name wherever it is needed. Every start signs its own serving certificate, and another one long before
//! that ends.

mod authority;
mod publish;
mod serving;

pub use self::{
    authority::{Authority, AuthorityError},
    publish::{CA_KEY, CA_NAME, PublishError, establish, publish},
    serving::ServingCertificate,
};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::Client;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{clock, errors};

/// How often each ConfigMap and the age of the serving certificate are looked at.
const EVERY: Duration = Duration::from_mins(1);

/// Keeps the authority's certificate published in `namespaces` and the serving certificate young.
pub async fn keep(
    client: Client,
    authority: Authority,
    serving: Arc<ServingCertificate>,
    namespaces: BTreeSet<String>,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        for namespace in &namespaces {
            match publish(&client, namespace, authority.certificate_pem()).await {
                Ok(true) => info!(namespace, "published the certificate authority"),
                Ok(false) => {}
                Err(error) => warn!(
                    namespace,
                    error = errors::chain(&error),
                    "the certificate authority is not published"
                ),
            }
        }
        match serving.renew(&authority, clock::now()) {
            Ok(true) => info!("signed another serving certificate"),
            Ok(false) => {}
            Err(error) => {
                warn!(error = errors::chain(&error), "the serving certificate is not renewed");
            }
        }
    }
}
