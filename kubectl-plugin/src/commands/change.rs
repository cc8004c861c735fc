//! Commands that send one fixed patch an object: `abort`, `retry`, `pause`, `terminate`.

use crate::cluster::Cluster;
use crate::commands::apply;
use crate::failure::Failure;
use crate::patch;

/// `abort`: everything goes back to the stable version.
pub async fn abort(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::change(&cluster.rollouts(), name, &patch::abort()).await?;
    Ok(format!("rollout '{name}' aborted\n"))
}

/// `retry rollout`: the update begins again.
pub async fn retry_rollout(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::change(&cluster.rollouts(), name, &patch::retry()).await?;
    Ok(format!("rollout '{name}' retried\n"))
}

/// `retry experiment`: it runs again.
pub async fn retry_experiment(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::merge(&cluster.experiments(), "experiments", name, &patch::retry_experiment()).await?;
    Ok(format!("experiment '{name}' retried\n"))
}

/// `pause`: nothing moves until it is promoted.
pub async fn pause(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::merge(&cluster.rollouts(), "rollouts", name, &patch::pause()).await?;
    Ok(format!("rollout '{name}' paused\n"))
}

/// `terminate analysisrun`: it stops measuring.
pub async fn terminate_analysis_run(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::merge(&cluster.analysis_runs(), "analysisruns", name, &patch::terminate()).await?;
    Ok(format!("analysisRun '{name}' terminated\n"))
}

/// `terminate experiment`: it ends. (Argo's plugin says "retried" here, by mistake.)
pub async fn terminate_experiment(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    apply::merge(&cluster.experiments(), "experiments", name, &patch::terminate()).await?;
    Ok(format!("experiment '{name}' terminated\n"))
}
