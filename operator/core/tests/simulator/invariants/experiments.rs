//! The promises about Experiments of steps.

use crds::contract::{POD_TEMPLATE_HASH_LABEL, STANDS_IN_ANNOTATION, STEP_INDEX_LABEL};
use operator_core::experiment::Blueprint;
use operator_core::plan::Plan;
use serde_json::Value;

use super::super::data_plane::{self, Content, Mode, service_name};
use super::super::gateway;
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

/// The Mapping gives pods of an Experiment their share.
pub(super) fn is_trial(mapping: &Value) -> bool {
    let name = mapping["metadata"]["name"].as_str();
    stands_in(mapping) || name.is_some_and(|name| name.contains("-experiment-"))
}

/// It is a route that takes the place of another.
fn stands_in(object: &Value) -> bool {
    object["metadata"]["annotations"][STANDS_IN_ANNOTATION].is_string()
}

/// The Services of an Experiment with their weights.
fn shares(cluster: &Cluster, mapping: &Value) -> Vec<(String, Option<i32>)> {
    if !stands_in(mapping) {
        let service = service_name(mapping["spec"]["service"].as_str().unwrap_or_default());
        let weight = data_plane::canary_share(mapping).and_then(|it| i32::try_from(it / 100).ok());
        return vec![(service, weight)];
    }
    let rules = mapping["spec"]["rules"].as_array().expect("rules");
    let others = |name: &str| !cluster.services.contains_key(name);
    let backends = rules.iter().flat_map(gateway::backends).filter(|(name, _)| others(name));
    let shares: Vec<_> = backends.map(|(name, weight)| (name, i32::try_from(weight).ok())).collect();
    assert!(!shares.is_empty(), "it stands in for nothing: {mapping}");
    shares
}

/// Requests are only sent to an Experiment that runs, and to pods that are there.
pub(super) fn has_pods(cluster: &Cluster, mapping: &Value) {
    for (name, _) in shares(cluster, mapping) {
        let running = cluster.experiments.values().filter(|it| it["status"]["phase"] == "Running");
        let mut templates = running.filter_map(|it| it["status"]["templateStatuses"].as_array()).flatten();
        let found = templates.find(|it| it["serviceName"] == name.as_str());
        let found = found.unwrap_or_else(|| panic!("no Experiment that runs has the Service {name}"));
        assert!(found["availableReplicas"].as_i64() > Some(0), "{name} has no pods");
    }
}

/// The time of an Experiment begins when every proxy serves its weights.
pub(super) fn is_served(cluster: &Cluster, name: &str) {
    is_unfinished(cluster, name);
    if cluster.data_plane.mode == Mode::NotConfigured {
        return;
    }
    assert_eq!(cluster.data_plane.mode, Mode::Ready, "{name} begins blindly");
    let trials = cluster.mappings.iter().filter(|(_, it)| is_trial(it));
    let of = |(mapping, object)| {
        shares(cluster, object).into_iter().map(move |(service, weight)| (mapping, service, weight))
    };
    let trials: Vec<(&String, String, Option<i32>)> = trials.flat_map(of).collect();
    assert!(!trials.is_empty() && !cluster.data_plane.proxies.is_empty(), "nobody serves {name}");
    for (name, proxy) in &cluster.data_plane.proxies {
        for (mapping, service, written) in &trials {
            let serves = |content: &Content| {
                let mut arms = content.values().flat_map(|served| &served.arms);
                arms.any(|arm| {
                    (&arm.mapping.name, &arm.service.name) == (mapping, service)
                        && arm.written == *written
                        && !arm.endpoints.is_empty()
                })
            };
            assert!(proxy.known && proxy.contents().all(serves), "{name} does not serve {mapping} yet");
        }
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
