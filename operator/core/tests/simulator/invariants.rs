//! The promises that every effect is checked against, with the truth of the cluster and not with what the engine saw.
//!
//! They hold for a data plane that answers; scenarios without one are read by people.

mod analysis;
mod blue_green;
mod experiments;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use crds::rollout::status::PingPongRole;
use operator_core::effect::Effect;
use operator_core::key;
use operator_core::plan::Plan;
use operator_core::spec::{Spec, split_objects};
use operator_core::traffic::{Arm, Served, Traffic};
use serde_json::Value;

use super::cluster::Cluster;
use super::data_plane::{self, Content, Mode, service_name};
use super::gateway;
use super::pods::ReplicaSet;

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
        let watched = routed || cluster.rollout().spec.strategy.blue_green.is_some();
        match effect {
            Effect::ScaleReplicaSet { target, to, from, .. } if to < from => {
                blue_green::complete_versions_stay(cluster, &target.name, *to);
                if watched && *to == 0 {
                    self.nothing_reaches(cluster, &target.name);
                }
                Self::pods_are_done(cluster, &target.name, *to);
                if routed {
                    keeps_what_it_is_sent(cluster, &target.name, *to);
                }
            }
            Effect::EvictPod { target } => may_be_evicted(cluster, &target.uid),
            Effect::DeleteReplicaSet { target } => {
                assert!(
                    cluster.replica_sets[&target.name].pods.is_empty(),
                    "only empty ReplicaSets are deleted"
                );
            }
            Effect::SetServiceSelector { target, to, .. } => {
                let first = self.switches.insert((target.name.clone(), to.clone()));
                assert!(first, "Service {} is switched to {to} a second time", target.name);
                blue_green::active_service_leads_to_pods(cluster, &target.name, to);
                if routed && target.name == service(cluster, false) {
                    nothing_is_sent_to_the_canary(cluster, to);
                }
            }
            Effect::UpdateMapping { manifest, .. } | Effect::CreateMapping { manifest, .. }
                if experiments::is_trial(manifest) =>
            {
                experiments::has_pods(cluster, manifest);
            }
            Effect::UpdateMapping { target, manifest } => {
                let held = canary_share(cluster, &cluster.mappings[&target.name]);
                let wanted = canary_share(cluster, manifest);
                assert_ne!(cluster.mappings[&target.name], *manifest, "no write when nothing differs");
                if wanted > held {
                    canary_carries(cluster, wanted);
                } else if wanted < held {
                    stable_carries(cluster, wanted);
                }
            }
            Effect::CreateMapping { manifest, .. } => {
                let splits =
                    data_plane::canary_share(manifest).is_some() && manifest["spec"]["shadow"] != true;
                let share = canary_share(cluster, manifest);
                if splits && share > 0 {
                    canary_carries(cluster, share);
                }
            }
            Effect::SetRouteWeights { target, .. } => {
                let (stable, canary) = (service(cluster, true), service(cluster, false));
                let share = |route: &Value| gateway::share(route, &stable, &canary).unwrap_or(0);
                let held = share(&cluster.mappings[&target.name]);
                let mut after = cluster.clone();
                after.set_route_weights(effect).expect("a plan from the newest world");
                let wanted = share(&after.mappings[&target.name]);
                if wanted > held {
                    canary_carries(cluster, wanted);
                } else if wanted < held {
                    stable_carries(cluster, wanted);
                }
            }
            Effect::CreateAnalysisRun { name, manifest } => analysis::one_of_a_kind(cluster, name, manifest),
            Effect::TerminateAnalysisRun { target } => analysis::is_unfinished(cluster, &target.name),
            Effect::DeleteAnalysisRun { target } => analysis::is_past(cluster, &target.name),
            Effect::CreateExperiment { name, blueprint } => {
                experiments::one_of_a_kind(cluster, name, blueprint);
            }
            Effect::BeginExperiment { target } => experiments::is_served(cluster, &target.name),
            Effect::TerminateExperiment { target } => experiments::is_unfinished(cluster, &target.name),
            Effect::DeleteExperiment { target } => experiments::is_past(cluster, &target.name),
            Effect::ScaleReplicaSet { .. }
            | Effect::CreateReplicaSet { .. }
            | Effect::AdoptReplicaSet { .. }
            | Effect::AnnotateReplicaSet { .. }
            | Effect::SetEphemeralMetadata { .. }
            | Effect::ChangePod { .. }
            | Effect::ScaleWorkload { .. }
            | Effect::DeleteMapping { .. }
            | Effect::CreateService { .. }
            | Effect::DeleteService { .. }
            | Effect::SetRolloutRevision { .. }
            | Effect::SetWorkloadGeneration { .. }
            | Effect::DefaultReplicas { .. }
            | Effect::Event(_) => {}
        }
    }

    /// I2: no version goes while a proxy could send it a request, or one is under way.
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

    /// I2 for single pods: a ready pod of a version that proxies route to goes only when every proxy has taken it out
    /// and its requests have ended, or their time is over.
    fn pods_are_done(cluster: &Cluster, name: &str, to: i32) {
        let (set, data_plane) = (&cluster.replica_sets[name], &cluster.data_plane);
        if data_plane.mode != Mode::Ready || !data_plane.routable(&set.hash) {
            return;
        }
        let Traffic::Ready(facts) = data_plane.traffic() else { return };
        for pod in cluster.leaving(set, to).into_iter().filter(|pod| set.ready_since(pod, cluster).is_some())
        {
            let load = facts.draining.get(&pod.name);
            let until = pod.metadata.annotations.get(crds::contract::DRAIN_UNTIL_ANNOTATION);
            let over =
                until.and_then(|it| it.parse::<DateTime<Utc>>().ok()).is_some_and(|it| it <= cluster.now);
            let done = load.is_some_and(|load| !load.routable && load.in_flight == 0);
            assert!(done || over, "{} goes, and its load is {load:?}", pod.name);
        }
    }
}

/// No version shrinks below the pods that it needs for what some proxy may send it. (A smaller `spec.replicas` needs
/// fewer.)
fn keeps_what_it_is_sent(cluster: &Cluster, name: &str, to: i32) {
    let hash = &cluster.replica_sets[name].hash;
    let replicas = i64::from(cluster.rollout().spec.replicas.unwrap_or(1));
    if cluster.data_plane.mode != Mode::Ready || i64::from(to) >= replicas {
        return;
    }
    for (proxy, served) in contents(cluster) {
        let share: u32 =
            served.arms.iter().filter(|arm| arm.endpoints.contains_key(hash)).map(|arm| arm.share).sum();
        let need = (replicas * i64::from(share) + 9_999) / 10_000;
        assert!(
            i64::from(to) >= need,
            "{name} shrinks to {to} while {proxy} may send it what {need} pods carry"
        );
    }
}

/// A restart evicts only pods that are older than it, and leaves as many available ones as there have to be.
fn may_be_evicted(cluster: &Cluster, uid: &str) {
    let spec = Spec::parse(cluster.rollout()).expect("a valid spec");
    let pods = || cluster.replica_sets.values().flat_map(|set| &set.pods);
    let pod = pods().find(|pod| pod.uid == uid).expect("a pod that exists");
    assert!(spec.restart_at.is_some_and(|moment| pod.created < moment), "{} is young enough", pod.name);
    let sum = |count: fn(&ReplicaSet, &Cluster) -> i32| -> i32 {
        cluster.replica_sets.values().map(|set| count(set, cluster)).sum()
    };
    let total = sum(|set, _| set.replicas).max(spec.replicas);
    let available = sum(|set, cluster| set.status(cluster).available);
    let missing = total - (available - 1);
    let most = spec.strategy.max_unavailable(spec.replicas).max(1);
    assert!(missing <= most, "{missing} of {total} pods are missing, at most {most} may be");
}

/// The commit point: a plan that makes another version the stable one does nothing else that matters, so that what
/// follows from it is done only once it is recorded.
pub(crate) fn check_plan(cluster: &Cluster, plan: &Plan) {
    analysis::verdicts_count(cluster, plan);
    experiments::verdicts_count(cluster, plan);
    let before = cluster.rollout().status.as_ref().and_then(|status| status.stable_rs.as_ref());
    if before.is_none() || before == plan.status.stable_rs.as_ref() {
        return;
    }
    let new = plan.status.stable_rs.as_deref().expect("a stable version is never forgotten");
    blue_green::the_new_version_has_all_requests(cluster, new);
    for effect in &plan.effects {
        match effect {
            Effect::Event(_)
            | Effect::AnnotateReplicaSet { .. }
            | Effect::SetRolloutRevision { .. }
            | Effect::SetWorkloadGeneration { .. }
            | Effect::SetEphemeralMetadata { .. }
            | Effect::ChangePod { .. }
            | Effect::EvictPod { .. }
            | Effect::DeleteReplicaSet { .. } => {}
            Effect::CreateReplicaSet { .. }
            | Effect::AdoptReplicaSet { .. }
            | Effect::ScaleReplicaSet { .. }
            | Effect::SetServiceSelector { .. }
            | Effect::CreateMapping { .. }
            | Effect::UpdateMapping { .. }
            | Effect::DeleteMapping { .. }
            | Effect::SetRouteWeights { .. }
            | Effect::ScaleWorkload { .. }
            | Effect::CreateAnalysisRun { .. }
            | Effect::TerminateAnalysisRun { .. }
            | Effect::DeleteAnalysisRun { .. }
            | Effect::CreateExperiment { .. }
            | Effect::BeginExperiment { .. }
            | Effect::TerminateExperiment { .. }
            | Effect::DeleteExperiment { .. }
            | Effect::CreateService { .. }
            | Effect::DeleteService { .. }
            | Effect::DefaultReplicas { .. } => {
                panic!("a promotion is recorded together with {effect:?}")
            }
        }
    }
}

/// I7: the canary Service takes another new version only while nobody sends anything to the canary arm. (It goes back
/// to the stable version together with weight 0.)
fn nothing_is_sent_to_the_canary(cluster: &Cluster, to: &str) {
    let stable = cluster.rollout().status.as_ref().and_then(|status| status.stable_rs.as_deref());
    if cluster.data_plane.mode != Mode::Ready || stable.is_none_or(|stable| stable == to) {
        return;
    }
    for (proxy, served) in contents(cluster) {
        let share: u32 = arms_on(served, &service(cluster, false)).map(|arm| arm.share).sum();
        assert_eq!(share, 0, "the canary Service moves on to {to} while {proxy} sends to it");
    }
}

/// I1: a weight is raised only when the pods of the canary Service carry it, and the canary arm of every proxy holds
/// them and no others.
fn canary_carries(cluster: &Cluster, share: i64) {
    let canary = cluster.rollout().spec.strategy.canary.clone().unwrap_or_default();
    let set = selected(cluster, &service(cluster, false)).expect("the canary Service selects a version");
    let replicas = i64::from(cluster.rollout().spec.replicas.unwrap_or(1));
    let need = (replicas * share + 9_999) / 10_000;
    let available = i64::from(set.status(cluster).available);
    let sized_apart = canary.steps.iter().any(|step| step.set_canary_scale.is_some());
    assert!(
        sized_apart || available >= need,
        "share {share} needs {need} pods and {available} are available"
    );
    if cluster.data_plane.mode == Mode::NotConfigured {
        return;
    }
    assert_eq!(cluster.data_plane.mode, Mode::Ready, "share {share} is written blindly");
    let service = service(cluster, false);
    let routing = canary.traffic_routing.unwrap_or_default();
    let listed = split_objects(&routing);
    for (proxy, served) in contents(cluster) {
        let stable = self::service(cluster, true);
        let sends = |arm: &Arm| listed.contains(&arm.mapping.name) && arm.service.name == stable;
        let both =
            |arm: &Arm| key::parse(&arm.mapping.name).0.is_split_in_place() && arm.service.name == service;
        let in_place = served.arms.iter().any(|arm| key::parse(&arm.mapping.name).0.is_split_in_place());
        if !served.arms.iter().any(sends) || in_place && !served.arms.iter().any(both) {
            continue;
        }
        let mut arms = arms_on(served, &service).peekable();
        assert!(arms.peek().is_some(), "share {share} is written while {proxy} has no canary arm");
        assert!(arms.all(|arm| holds_only(arm, &set.hash)), "share {share}: {proxy} would send it elsewhere");
    }
}

/// A weight is lowered only as far as the stable version carries the rest, or when the canary cannot carry it either.
/// At the end of a promotion the stable arm of every proxy holds the new version and no other.
fn stable_carries(cluster: &Cluster, share: i64) {
    let (stable, canary) =
        (selected(cluster, &service(cluster, true)), selected(cluster, &service(cluster, false)));
    let Some(stable) = stable else { return };
    let replicas = i64::from(cluster.rollout().spec.replicas.unwrap_or(1));
    let available = i64::from(stable.status(cluster).available);
    let canary_works = canary.is_some_and(|canary| canary.status(cluster).available > 0);
    let carried = (10_000 - share) * replicas / 10_000;
    assert!(!canary_works || available >= carried, "share {share} leaves {available} pods with the rest");
    let promotion = canary.is_some_and(|canary| canary.hash == stable.hash);
    if cluster.data_plane.mode != Mode::Ready || !promotion {
        return;
    }
    for (proxy, served) in contents(cluster) {
        let holds = arms_on(served, &service(cluster, true)).all(|arm| holds_only(arm, &stable.hash));
        assert!(holds, "share {share} is written while {proxy}'s stable arm holds another version");
    }
}

fn service(cluster: &Cluster, stable: bool) -> String {
    let canary = cluster.rollout().spec.strategy.canary.clone().unwrap_or_default();
    let fixed = if stable { canary.stable_service } else { canary.canary_service };
    let Some(roles) = canary.ping_pong else { return fixed.expect("a Service") };
    if stable == pong_is_stable(cluster) { roles.pong_service } else { roles.ping_service }
}

fn pong_is_stable(cluster: &Cluster) -> bool {
    let status = cluster.rollout().status.as_ref();
    status.is_some_and(|status| status.canary.stable_ping_pong == Some(PingPongRole::Pong))
}

fn selected<'c>(cluster: &'c Cluster, service: &str) -> Option<&'c ReplicaSet> {
    let hash = cluster.services.get(service)?["spec"]["selector"]["rollouts-pod-template-hash"].as_str()?;
    cluster.replica_sets.values().find(|set| set.hash == hash)
}

/// What every proxy serves, or may since it was sent. A proxy that has not told makes every promise false.
fn contents(cluster: &Cluster) -> impl Iterator<Item = (&String, &Served)> {
    cluster.data_plane.proxies.iter().flat_map(|(name, proxy)| {
        assert!(proxy.known, "{name} has not told what it serves");
        proxy.contents().flat_map(Content::values).map(move |served| (name, served))
    })
}

fn arms_on<'s>(served: &'s Served, service: &str) -> impl Iterator<Item = &'s Arm> {
    served.arms.iter().filter(move |arm| service_name(&arm.service.name) == service)
}

fn holds_only(arm: &Arm, hash: &str) -> bool {
    arm.endpoints.iter().all(|(held, ready)| held == hash || *ready == 0)
}

/// The canary's weight by a canary Mapping, in 1/10 000. It sends to pong: to the canary, or to the stable version.
fn canary_share(cluster: &Cluster, mapping: &Value) -> i64 {
    let own = data_plane::canary_share(mapping).unwrap_or(0);
    if pong_is_stable(cluster) { 10_000 - own } else { own }
}
