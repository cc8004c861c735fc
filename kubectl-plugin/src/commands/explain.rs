//! `explain ROLLOUT`.

use crate::cluster::Cluster;
use crate::commands;
use crate::failure::Failure;
use crate::view::guard;

/// What the guard of a Rollout knows, reckoned anew from what its status has recorded.
pub async fn rollout(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    guard::explain(&commands::rollout(cluster, name).await?).map_err(Failure::Refused)
}
