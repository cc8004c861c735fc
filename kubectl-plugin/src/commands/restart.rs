//! `restart`.

use chrono::{DateTime, Utc};

use crate::cluster::Cluster;
use crate::commands::apply;
use crate::failure::Failure;
use crate::patch;

/// Restarts the pods of a Rollout, `after` (a Go duration) from `now`.
pub async fn run(
    cluster: &Cluster,
    name: &str,
    after: Option<&str>,
    now: DateTime<Utc>,
) -> Result<String, Failure> {
    let after = after.unwrap_or("0s");
    let delay = operator_core::duration::parse(after)?;
    let at = now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
    apply::merge(&cluster.rollouts(), "rollouts", name, &patch::restart(at)).await?;
    Ok(format!("rollout '{name}' restarts in {after}\n"))
}
