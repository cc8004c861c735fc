//! The promises about analyses.

use crds::contract::{POD_TEMPLATE_HASH_LABEL, ROLLOUT_TYPE_LABEL, STEP_INDEX_LABEL};
use crds::rollout::RolloutStatus;
use crds::rollout::status::AnalysisRunStatusRef;
use operator_core::plan::Plan;
use serde_json::Value;

use super::Cluster;

/// A run is for the newest version, and the only one of its role that goes on. None begins while an update is aborted.
pub(super) fn one_of_a_kind(cluster: &Cluster, name: &str, manifest: &Value) {
    let status = status(cluster);
    assert!(!status.abort && !status.promote_full, "{name} begins though analyses have no say");
    let labels = |run: &Value| {
        let labels = &run["metadata"]["labels"];
        [POD_TEMPLATE_HASH_LABEL, ROLLOUT_TYPE_LABEL, STEP_INDEX_LABEL].map(|label| labels[label].clone())
    };
    let new = labels(manifest);
    assert_eq!(new[0].as_str(), status.current_pod_hash.as_deref(), "{name} is about another version");
    for (other, run) in &cluster.analysis_runs {
        let goes_on = run["spec"]["terminate"] != true && !cluster.is_completed(other);
        assert!(!goes_on || labels(run) != new, "{name} begins while {other} goes on");
    }
}

/// Only what goes on is told to end.
pub(super) fn is_unfinished(cluster: &Cluster, name: &str) {
    assert!(!cluster.is_completed(name), "{name} has ended already");
    assert_ne!(cluster.analysis_runs[name]["spec"]["terminate"], true, "{name} was told already");
}

/// Nothing is deleted that somebody waits for: a current run, or one that goes on for a version that exists.
pub(super) fn is_past(cluster: &Cluster, name: &str) {
    assert!(current(&status(cluster)).all(|run| run.name != name), "{name} is current");
    let hash = cluster.analysis_runs[name]["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL].as_str();
    let has_version = cluster.replica_sets.values().any(|set| Some(set.hash.as_str()) == hash);
    assert!(cluster.is_completed(name) || !has_version, "{name} goes on");
}

/// A step that waits for an analysis completes, and a version that was switched to becomes the stable one, only if its
/// run was good.
pub(super) fn verdicts_count(cluster: &Cluster, plan: &Plan) {
    let (strategy, before) = (&cluster.rollout().spec.strategy, status(cluster));
    let another = plan.status.current_pod_hash != before.current_pod_hash;
    if another || before.promote_full || cluster.rollout().spec.rollback_window.is_some() {
        return;
    }
    let at = before.current_step_index.and_then(|it| usize::try_from(it).ok());
    let step = at.zip(strategy.canary.as_ref()).and_then(|(at, canary)| canary.steps.get(at));
    let waits = step.is_some_and(|step| step.analysis.is_some()) && plan.status.stable_rs == before.stable_rs;
    if waits && plan.status.current_step_index > before.current_step_index {
        let run = before.canary.current_step_analysis_run_status.as_ref();
        assert!(run.is_some_and(|run| was_good(cluster, run)), "a step is passed without a verdict");
    }
    let judged = strategy.blue_green.as_ref().is_some_and(|it| it.post_promotion_analysis.is_some());
    if judged && before.stable_rs.is_some() && plan.status.stable_rs != before.stable_rs {
        let run = before.blue_green.post_promotion_analysis_run_status.as_ref();
        assert!(run.is_some_and(|run| was_good(cluster, run)), "a version is stable without a verdict");
    }
}

fn was_good(cluster: &Cluster, run: &AnalysisRunStatusRef) -> bool {
    cluster.analysis_runs.get(&run.name).is_none_or(|run| run["status"]["phase"] == "Successful")
}

fn status(cluster: &Cluster) -> RolloutStatus {
    cluster.rollout().status.clone().unwrap_or_default()
}

fn current(status: &RolloutStatus) -> impl Iterator<Item = &AnalysisRunStatusRef> {
    let (canary, blue_green) = (&status.canary, &status.blue_green);
    let slots = [
        &canary.current_step_analysis_run_status,
        &canary.current_background_analysis_run_status,
        &blue_green.pre_promotion_analysis_run_status,
        &blue_green.post_promotion_analysis_run_status,
    ];
    slots.into_iter().flatten()
}
