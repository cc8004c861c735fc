//! Another controller, as far as others see it: it holds a lease and renews it.

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

/// How often a holder renews: as Argo Rollouts does by default.
const RENEWAL: Duration = Duration::from_secs(2);
/// What it promises to others, in seconds: Argo's default.
const LEASE_SECONDS: i32 = 15;

/// Holds a lease until it is dropped; then it is as dead as after a crash: the lease stays and is not renewed.
#[derive(Debug)]
pub struct Holder(JoinHandle<()>);

impl Holder {
    /// Takes the lease in the namespace of `cluster`, whoever had it, and goes on renewing it.
    pub async fn hold(cluster: &Cluster, lease: &str, identity: &str) -> anyhow::Result<Self> {
        renew(cluster, lease, identity).await?;
        let (cluster, lease, identity) = (cluster.clone(), lease.to_owned(), identity.to_owned());
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                // A renewal that fails is made up for by the next one, seven times in one lease.
                drop(renew(&cluster, &lease, &identity).await);
            }
        })))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "the holder is a shell: a renewal is what the clock says")]
async fn renew(cluster: &Cluster, lease: &str, identity: &str) -> anyhow::Result<()> {
    let now = Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease},
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        },
    });
    let parameters = PatchParams::apply("rollouts-controller").force();
    let renewed = cluster.api::<Lease>().patch(lease, &parameters, &Patch::Apply(object)).await;
    renewed.map(drop).with_context(|| format!("failed to renew the lease {lease}"))
}
