//! The promises about Experiments of steps.

use crds::contract::{POD_TEMPLATE_HASH_LABEL, STEP_INDEX_LABEL};
use operator_core::experiment::Blueprint;
use operator_core::plan::Plan;
use serde_json::Value;

use super::Cluster;

/// An Experiment is for the newest version, and the only one of its step that goes on. None begins while an update is
/// aborted.
pub(super) fn one_of_a_kind(cluster: &Cluster, name: &str, blueprint: &Blueprint) {
    let status = cluster.rollout().status.clone().unwrap_or_default();
    assert!(!status.abort && !status.promote_full, "{name} begins though Experiments have no say");
    let labels = |experiment: &Value| {
        let labels = &experiment["metadata"]["labels"];
        [POD_TEMPLATE_HASH_LABEL, STEP_INDEX_LABEL].map(|label| labels[label].clone())
    };
    let new = labels(&blueprint.manifest(&[]));
    assert_eq!(new[0].as_str(), status.current_pod_hash.as_deref(), "{name} is about another version");
    for other in cluster.unfinished_experiments() {
        let experiment = &cluster.experiments[&other];
        let goes_on = experiment["spec"]["terminate"] != true;
        assert!(!goes_on || labels(experiment) != new, "{name} begins while {other} goes on");
    }
}

/// Only what goes on is told to end.
pub(super) fn is_unfinished(cluster: &Cluster, name: &str) {
    assert!(cluster.unfinished_experiments().iter().any(|it| it == name), "{name} has ended already");
    assert_ne!(cluster.experiments[name]["spec"]["terminate"], true, "{name} was told already");
}

/// Nothing is deleted that somebody waits for: the current one, or one that goes on for a version that exists.
pub(super) fn is_past(cluster: &Cluster, name: &str) {
    let status = cluster.rollout().status.clone().unwrap_or_default();
    assert_ne!(status.canary.current_experiment.as_deref(), Some(name), "{name} is current");
    let hash = cluster.experiments[name]["metadata"]["labels"][POD_TEMPLATE_HASH_LABEL].as_str();
    let has_version = cluster.replica_sets.values().any(|set| Some(set.hash.as_str()) == hash);
    let goes_on = cluster.unfinished_experiments().iter().any(|it| it == name);
    assert!(!goes_on || !has_version, "{name} goes on");
}

/// A step that waits for an Experiment completes only if it was good.
pub(super) fn verdicts_count(cluster: &Cluster, plan: &Plan) {
    let rollout = cluster.rollout();
    let before = rollout.status.clone().unwrap_or_default();
    let another = plan.status.current_pod_hash != before.current_pod_hash;
    if another || before.promote_full || rollout.spec.rollback_window.is_some() {
        return;
    }
    let at = before.current_step_index.and_then(|it| usize::try_from(it).ok());
    let step = at.zip(rollout.spec.strategy.canary.as_ref()).and_then(|(at, canary)| canary.steps.get(at));
    let waits = step.is_some_and(|step| step.experiment.is_some());
    if waits
        && plan.status.stable_rs == before.stable_rs
        && plan.status.current_step_index > before.current_step_index
    {
        let name = before.canary.current_experiment.as_ref();
        let experiment = name.and_then(|name| cluster.experiments.get(name));
        let good = experiment.is_some_and(|it| it["status"]["phase"] == "Successful");
        assert!(good, "a step is passed without a verdict");
    }
}
