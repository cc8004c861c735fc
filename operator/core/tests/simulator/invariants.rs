//! The promises that every effect is checked against, with the truth of the cluster and not with what the engine saw.

use std::collections::BTreeSet;

use operator_core::effect::Effect;
use serde_json::Value;

use super::cluster::Cluster;
use super::data_plane::{Mode, service_name};

#[derive(Clone, Debug, Default)]
pub(crate) struct Invariants {
    /// Selector values written to each Service since the user last did something.
    switches: BTreeSet<(String, String)>,
    /// Requests that never end are cut at the drain deadline: then a ReplicaSet may go while they run.
    pub(crate) requests_may_be_cut: bool,
}

impl Invariants {
    /// The user did something: Services may be switched again.
    pub(crate) fn user_acted(&mut self) {
        self.switches.clear();
    }

    pub(crate) fn check(&mut self, cluster: &Cluster, effect: &Effect) {
        let canary = cluster.rollout().spec.strategy.canary.clone().unwrap_or_default();
        let routed = canary.traffic_routing.is_some();
        match effect {
            Effect::ScaleReplicaSet { target, to: 0, from, .. } if routed && *from > 0 => {
                self.nothing_reaches(cluster, &target.name);
            }
            Effect::DeleteReplicaSet { target } => {
                assert!(
                    cluster.replica_sets[&target.name].pods.is_empty(),
                    "only empty ReplicaSets are deleted"
                );
            }
            Effect::SetServiceSelector { target, to, .. } => {
                assert!(
                    self.switches.insert((target.name.clone(), to.clone())),
                    "Service {} is switched to {to} a second time",
                    target.name
                );
            }
            Effect::UpdateMapping { target, manifest } => {
                let held = weight(&cluster.mappings[&target.name]);
                let wanted = weight(manifest);
                assert_ne!(cluster.mappings[&target.name], *manifest, "no write when nothing differs");
                if wanted > held {
                    canary_carries(cluster, &manifest["spec"]["service"], wanted);
                }
            }
            Effect::CreateMapping { manifest, .. } => {
                if weight(manifest) > 0 {
                    canary_carries(cluster, &manifest["spec"]["service"], weight(manifest));
                }
            }
            Effect::ScaleReplicaSet { .. }
            | Effect::CreateReplicaSet { .. }
            | Effect::AdoptReplicaSet { .. }
            | Effect::AnnotateReplicaSet { .. }
            | Effect::DeleteMapping { .. }
            | Effect::SetRolloutRevision { .. }
            | Effect::DefaultReplicas { .. }
            | Effect::Event(_) => {}
        }
    }

    /// I2: no pod goes while a proxy could send it a request, or one is under way.
    fn nothing_reaches(&self, cluster: &Cluster, name: &str) {
        let set = &cluster.replica_sets[name];
        let wanted = cluster.rollout().spec.replicas.unwrap_or(1);
        if cluster.data_plane.mode == Mode::NotConfigured || wanted == 0 {
            return;
        }
        let ready = set.status(cluster).ready > 0;
        assert!(
            !(ready && cluster.data_plane.routable(&set.hash)),
            "{name} goes while a proxy may route to it"
        );
        let in_flight = cluster.data_plane.in_flight.get(&set.hash).copied().unwrap_or(0);
        assert!(
            in_flight == 0 || self.requests_may_be_cut,
            "{name} goes with {in_flight} requests under way"
        );
    }
}

/// I1: a weight is raised only when the pods of the canary Service carry it, and every proxy has them.
fn canary_carries(cluster: &Cluster, service: &Value, weight: i64) {
    let service = service_name(service.as_str().unwrap_or_default());
    let selected = &cluster.services[&service]["spec"]["selector"]["rollouts-pod-template-hash"];
    let set = cluster
        .replica_sets
        .values()
        .find(|set| *selected == set.hash.as_str())
        .expect("a selected ReplicaSet");
    let replicas = i64::from(cluster.rollout().spec.replicas.unwrap_or(1));
    let canary = cluster.rollout().spec.strategy.canary.clone().unwrap_or_default();
    if canary.steps.iter().any(|step| step.set_canary_scale.is_some()) {
        return;
    }
    let need = (replicas * weight + 99) / 100;
    let available = i64::from(set.status(cluster).available);
    assert!(available >= need, "weight {weight} needs {need} pods and {available} are available");
    if cluster.data_plane.mode == Mode::Ready {
        for (name, proxy) in &cluster.data_plane.proxies {
            assert!(proxy.known, "weight {weight} is written while {name} has not told what it serves");
        }
    }
}

fn weight(mapping: &Value) -> i64 {
    mapping["spec"]["weight"].as_i64().unwrap_or(0)
}
