//! `promote`.

use crate::cluster::Cluster;
use crate::commands::{self, apply};
use crate::failure::Failure;
use crate::patch::promote::{Promotion, promote};

/// Moves a Rollout past its pause or step, or to the end.
pub async fn run(cluster: &Cluster, name: &str, promotion: Promotion) -> Result<String, Failure> {
    let rollout = commands::rollout(cluster, name).await?;
    let change = promote(&rollout, promotion)?;
    apply::change(&cluster.rollouts(), name, &change).await?;
    Ok(match promotion {
        Promotion::Full => format!("rollout '{name}' fully promoted\n"),
        Promotion::Next | Promotion::SkipCurrentStep | Promotion::SkipAllSteps => {
            format!("rollout '{name}' promoted\n")
        }
    })
}
