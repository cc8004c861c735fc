//! What must hold of every story, not only of the written ones.
//!
//! A story is a list of moves: what users, pods, proxies and requests do, and time. The simulator checks the engine's
//! promises at every single effect (see `simulator/invariants.rs`); the properties here are about whole stories.

#[path = "simulator/simulator.rs"]
#[expect(dead_code, reason = "scripts are for the scenarios")]
mod simulator;

use chrono::TimeDelta;
use crds::rollout::status::PingPongRole;
use proptest::prelude::*;
use serde_json::{Value, json};
use simulator::Simulator;
use simulator::data_plane::{Answers, Mode};
use simulator::pods::ReplicaSet;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Move {
    Tick(i64),
    SetImage(&'static str),
    Scale(i32),
    Abort,
    Retry,
    Promote,
    PromoteFull,
    Pause(bool),
    Restart,
    Evictions(bool),
    ProxyJoins,
    ProxyLeaves,
    ProxyLate(bool),
    Acknowledge,
    DataPlane(Mode),
    Requests(&'static str, u64),
    PodsFail(&'static str, bool),
    /// Somebody deletes the canary Mapping, or sets its weight.
    Mapping(Option<i32>),
    /// Somebody replaces a Service, so that its selector loses the hash.
    ServiceReplaced(&'static str),
    /// Every run without a verdict gets this phase.
    Analysis(&'static str),
    /// Every Experiment without a verdict gets this phase.
    Experiment(&'static str),
    /// Somebody deletes every run and Experiment, or the user resumes.
    RunsDeleted,
    Resume,
    /// Requests that the proxies have counted, and bad ones among them.
    Answers(&'static str, u64, u64),
    /// Another config server begins to count anew.
    CountsBegin,
}

fn moves() -> impl Strategy<Value = Move> {
    let image = || prop::sample::select(vec!["v1", "v2", "v3", "bad"]);
    prop_oneof![
        8 => (1..90_i64).prop_map(Move::Tick),
        3 => image().prop_map(Move::SetImage),
        2 => (0..7).prop_map(Move::Scale),
        2 => Just(Move::Abort),
        1 => Just(Move::Retry),
        2 => Just(Move::Promote),
        1 => Just(Move::PromoteFull),
        1 => any::<bool>().prop_map(Move::Pause),
        1 => Just(Move::Restart),
        1 => any::<bool>().prop_map(Move::Evictions),
        1 => Just(Move::ProxyJoins),
        1 => Just(Move::ProxyLeaves),
        1 => any::<bool>().prop_map(Move::ProxyLate),
        3 => Just(Move::Acknowledge),
        1 => prop::sample::select(vec![Mode::Ready, Mode::Unreachable]).prop_map(Move::DataPlane),
        1 => (image(), 0..3_u64).prop_map(|(image, count)| Move::Requests(image, count)),
        1 => (image(), any::<bool>()).prop_map(|(image, fail)| Move::PodsFail(image, fail)),
        1 => prop::option::of(0..101).prop_map(Move::Mapping),
        1 => prop::sample::select(vec!["shop-stable", "shop-canary", "shop-active", "shop-preview"])
            .prop_map(Move::ServiceReplaced),
        4 => prop::sample::select(vec!["Running", "Successful", "Successful", "Failed", "Error", "Inconclusive"])
            .prop_map(Move::Analysis),
        3 => prop::sample::select(vec!["Running", "Successful", "Successful", "Failed", "Error", "Inconclusive"])
            .prop_map(Move::Experiment),
        1 => Just(Move::RunsDeleted),
        1 => Just(Move::Resume),
        3 => (image(), 0..2_000_u64, 0..60_u64).prop_map(|(image, all, bad)| Move::Answers(image, all, bad.min(all))),
        1 => Just(Move::CountsBegin),
    ]
}

/// Stories around the end of an update: full promotions and aborts in close order, with a proxy that lags behind.
fn hasty_moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (1..45_i64).prop_map(Move::Tick),
        4 => prop::sample::select(vec!["v1", "v2", "v3"]).prop_map(Move::SetImage),
        4 => Just(Move::PromoteFull),
        2 => Just(Move::Abort),
        3 => prop::bool::weighted(0.8).prop_map(Move::ProxyLate),
        6 => Just(Move::Acknowledge),
        1 => (prop::sample::select(vec!["v1", "v2"]), 0..3_u64).prop_map(|(image, count)| Move::Requests(image, count)),
    ]
}

/// What the stories are about.
#[derive(Clone, Copy, Debug)]
enum Manifest {
    Basic,
    Routed,
    TwoMappings,
    PingPong,
    BlueGreen,
    Analysed,
    Guarded,
    BlueGreenAnalysed,
    Experiments,
    Shares,
    SharesOfRoutes,
}

fn manifests() -> impl Strategy<Value = Manifest> {
    prop::sample::select(vec![
        Manifest::Basic,
        Manifest::Routed,
        Manifest::TwoMappings,
        Manifest::PingPong,
        Manifest::BlueGreen,
        Manifest::Analysed,
        Manifest::Guarded,
        Manifest::BlueGreenAnalysed,
        Manifest::Experiments,
        Manifest::Shares,
        Manifest::SharesOfRoutes,
    ])
}

fn manifest_file(name: &str) -> String {
    let path = format!("{}/tests/scenarios/manifests/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a manifest")
}

impl Simulator {
    fn shop(manifest: Manifest) -> Self {
        let mut simulator = Self::with(match manifest {
            Manifest::Basic => "basic.yaml",
            Manifest::Routed | Manifest::TwoMappings => "shop.yaml",
            Manifest::PingPong => "ping_pong.yaml",
            Manifest::BlueGreen => "blue_green.yaml",
            Manifest::Analysed => "analysis.yaml",
            Manifest::Guarded => "guard.yaml",
            Manifest::BlueGreenAnalysed => "blue_green_analysis.yaml",
            Manifest::Experiments => "experiment.yaml",
            Manifest::Shares => "experiment_weights.yaml",
            Manifest::SharesOfRoutes => "gateway.yaml",
        });
        if let Manifest::SharesOfRoutes = manifest {
            let template = |version: &str| json!({"name": version, "specRef": version, "weight": 10});
            let experiment = json!({"duration": "5m", "templates": [template("stable"), template("canary")]});
            let steps = json!([{"setWeight": 20}, {"experiment": experiment}, {"setWeight": 50}]);
            simulator.patch_spec(&json!({"strategy": {"canary": {"steps": steps}}}));
        }
        if let Manifest::TwoMappings = manifest {
            simulator.apply(&manifest_file("second_mapping.yaml"));
            let ambassador = json!({"mappings": ["shop", "shop-api"]});
            simulator
                .patch_spec(&json!({"strategy": {"canary": {"trafficRouting": {"ambassador": ambassador}}}}));
        }
        simulator
    }

    fn with(file: &str) -> Self {
        let mut simulator = Self::new();
        for proxy in ["p1", "p2"] {
            simulator.cluster.data_plane.add(proxy, true);
        }
        simulator.invariants.requests_may_be_cut = true;
        simulator.apply(&manifest_file(file));
        simulator
    }

    /// Makes a move without letting the operator act.
    fn make(&mut self, it: &Move) {
        self.invariants.user_acted();
        let now = self.cluster.now.timestamp();
        let data_plane = &mut self.cluster.data_plane;
        match it {
            Move::Tick(_) => {}
            Move::SetImage(image) => self.set_image(image),
            Move::Scale(replicas) => self.patch_spec(&json!({"replicas": replicas})),
            Move::Abort => self.cluster.patch_status(&json!({"abort": true})),
            Move::Retry => self.cluster.patch_status(&json!({"abort": false})),
            Move::Promote => self.promote(),
            Move::PromoteFull => self.cluster.patch_status(&json!({"promoteFull": true})),
            Move::Pause(paused) => self.patch_spec(&json!({"paused": paused})),
            Move::Restart => self.restart(TimeDelta::zero()),
            Move::Evictions(allowed) => self.cluster.evictions_refused = !allowed,
            Move::ProxyJoins => data_plane.add("p3", false),
            Move::ProxyLeaves => drop(data_plane.proxies.remove("p3")),
            Move::ProxyLate(late) => {
                data_plane.proxies.get_mut("p2").expect("it stays").prompt = !late;
            }
            Move::Acknowledge => {
                for name in data_plane.proxies.keys().cloned().collect::<Vec<_>>() {
                    data_plane.acknowledge(&name);
                }
            }
            Move::DataPlane(mode) => data_plane.mode = *mode,
            Move::Requests(image, count) => {
                if let Some((hash, _)) = self.cluster.images.iter().find(|(_, it)| it == image) {
                    data_plane.in_flight.insert(hash.clone(), *count);
                }
            }
            Move::PodsFail(image, true) => drop(self.cluster.bad_images.insert((*image).to_owned())),
            Move::PodsFail(image, false) => drop(self.cluster.bad_images.remove(*image)),
            Move::Mapping(weight) => match weight {
                _ if !self.cluster.mappings.contains_key("shop-canary") => {}
                Some(weight) => {
                    self.cluster.patch("mapping", "shop-canary", &json!({"spec": {"weight": weight}}));
                }
                None => drop(self.cluster.mappings.remove("shop-canary")),
            },
            Move::Analysis(phase) => self.cluster.judge_runs(phase),
            Move::Answers(image, requests, bad) => {
                if let Some((hash, _)) = self.cluster.images.iter().find(|(_, it)| it == image) {
                    data_plane.count(now, hash, "", &Answers::soon(*requests, *bad));
                }
            }
            Move::CountsBegin => data_plane.cohorts.clear(),
            Move::Experiment(phase) => self.cluster.judge_experiments(phase),
            Move::RunsDeleted => {
                self.cluster.analysis_runs.clear();
                self.cluster.experiments.clear();
            }
            Move::Resume => self.cluster.patch_status(&json!({"pauseConditions": null})),
            Move::ServiceReplaced(name) => {
                if self.cluster.services.contains_key(*name) {
                    let patch = json!({"spec": {"selector": {"rollouts-pod-template-hash": null}}});
                    self.cluster.patch("service", name, &patch);
                }
            }
        }
    }

    fn play(&mut self, story: &[Move]) {
        self.settle();
        for it in story {
            self.make(it);
            match it {
                Move::Tick(seconds) => self.tick(TimeDelta::seconds(*seconds)),
                _ => self.settle(),
            }
        }
    }

    /// Everything that was in the way goes away, and the user promotes: the newest template wins.
    fn calm_down(&mut self) {
        self.cluster.bad_images.clear();
        self.cluster.evictions_refused = false;
        self.cluster.data_plane.mode = Mode::Ready;
        self.cluster.data_plane.in_flight.clear();
        for proxy in self.cluster.data_plane.proxies.values_mut() {
            proxy.prompt = true;
        }
        self.invariants.user_acted();
        self.patch_spec(&json!({"paused": false}));
        self.cluster.patch_status(&json!({"abort": false, "promoteFull": true}));
        self.tick(TimeDelta::minutes(15));
    }

    /// Runs that go on.
    fn unfinished_runs(&self) -> Vec<&String> {
        self.cluster.analysis_runs.keys().filter(|name| !self.cluster.is_completed(name)).collect()
    }

    /// The end state, without what counts writes or tells the time.
    fn essence(&self) -> Value {
        let cluster = &self.cluster;
        let status = cluster.rollout().status.clone().unwrap_or_default();
        let sets: Vec<Value> = cluster
            .replica_sets
            .values()
            .map(|set| json!([set.name, set.replicas, set.annotations.get("rollout.argoproj.io/revision")]))
            .collect();
        let selectors: Vec<&Value> = cluster.services.values().map(|it| &it["spec"]["selector"]).collect();
        let specs: Vec<&Value> = cluster.mappings.values().map(|it| &it["spec"]).collect();
        json!({
            "replica_sets": sets, "selectors": selectors, "mappings": specs, "phase": status.phase,
            "stable": status.stable_rs, "current": status.current_pod_hash, "step": status.current_step_index,
            "weights": status.canary.weights, "runs": self.unfinished_runs(), "experiments": cluster.unfinished_experiments(), "abort": status.abort, "conditions": status.conditions.len(),
        })
    }
}

/// How many stories each property tells: `PROPTEST_CASES`, or as many as are told in a few seconds without optimization.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is the choice of whoever runs it")]
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// No invariant breaks, the engine settles after every move, and settled means: the next plan has no effects and
    /// the same status.
    #[test]
    fn every_story_settles_and_keeps_the_promises(
        manifest in manifests(),
        story in prop::collection::vec(moves(), 1..25),
    ) {
        let mut simulator = Simulator::shop(manifest);
        simulator.play(&story);
        let pass = simulator.pass();
        prop_assert!(!pass.changed, "a second plan changes something: {:?}", pass.plan);
    }

    /// The same where promotions, aborts and a lagging proxy meet.
    #[test]
    fn hasty_stories_keep_the_promises(
        manifest in prop::sample::select(vec![Manifest::Routed, Manifest::BlueGreen, Manifest::BlueGreenAnalysed]),
        story in prop::collection::vec(hasty_moves(), 5..40),
    ) {
        let mut simulator = Simulator::shop(manifest);
        simulator.tick(TimeDelta::seconds(10));
        simulator.play(&story);
        prop_assert!(!simulator.pass().changed);
    }

    /// Once nothing is in the way, the newest template becomes stable, has all pods and all traffic, and nothing of the
    /// update is left.
    #[test]
    fn every_story_can_end_well(manifest in manifests(), story in prop::collection::vec(moves(), 1..20)) {
        let mut simulator = Simulator::shop(manifest);
        simulator.play(&story);
        simulator.calm_down();
        let cluster = &simulator.cluster;
        let status = cluster.rollout().status.clone().unwrap();
        prop_assert_eq!(&status.stable_rs, &status.current_pod_hash, "{}", simulator.transcript.text());
        let wanted = cluster.rollout().spec.replicas.unwrap_or(1);
        for set in cluster.replica_sets.values() {
            let stable = Some(&set.hash) == status.stable_rs.as_ref();
            prop_assert_eq!(set.replicas, if stable { wanted } else { 0 }, "{}", simulator.transcript.text());
        }
        // With pong stable the copy carries everything.
        let pong = status.canary.stable_ping_pong == Some(PingPongRole::Pong);
        let left = cluster.mappings.iter().filter(|(name, _)| name.ends_with("-canary"));
        let weights: Vec<Option<i64>> = left.map(|(_, mapping)| mapping["spec"]["weight"].as_i64()).collect();
        prop_assert_eq!(weights, if pong { vec![Some(100)] } else { vec![] });
        prop_assert_eq!(simulator.unfinished_runs(), Vec::<&String>::new());
        prop_assert_eq!(cluster.unfinished_experiments(), Vec::<String>::new());
        prop_assert_eq!(status.restarted_at, cluster.rollout().spec.restart_at, "{}", simulator.transcript.text());
    }

    /// The operator is killed after any effect and started again: the story ends as if it had not been.
    #[test]
    fn a_crash_after_any_effect_changes_nothing_in_the_end(
        manifest in manifests(),
        story in prop::collection::vec(moves(), 1..12),
        crashes in prop::collection::vec(0..6_usize, 12),
    ) {
        let mut calm = Simulator::shop(manifest);
        let mut killed = Simulator::shop(manifest);
        calm.settle();
        killed.settle();
        for (it, crash) in story.iter().zip(&crashes) {
            calm.make(it);
            killed.make(it);
            killed.crash_after = Some(*crash);
            killed.settle();
            killed.crash_after = None;
            // A restarted operator may repeat the write it was killed after; it is the same write.
            killed.invariants.user_acted();
            let time = if let Move::Tick(seconds) = it { *seconds } else { 0 };
            calm.tick(TimeDelta::seconds(time));
            killed.tick(TimeDelta::seconds(time));
        }
        calm.calm_down();
        killed.calm_down();
        prop_assert_eq!(calm.essence(), killed.essence(), "{}", killed.transcript.text());
    }
}

/// Weights only grow while an update goes well, and each Service is switched once.
#[test]
fn weights_grow_until_the_promotion() {
    let mut simulator = Simulator::shop(Manifest::Routed);
    simulator.tick(TimeDelta::seconds(10));
    simulator.set_image("v2");
    simulator.tick(TimeDelta::minutes(5));
    let lines: Vec<&str> = simulator.transcript.text().lines().collect();
    let weights: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("update  Mapping shop-canary weight ").map(|it| it.1))
        .collect();
    assert_eq!(weights, ["30", "60", "100", "0"]);
    let switches = lines.iter().filter(|line| line.contains("switch  Service")).count();
    assert_eq!(switches, 4, "two at the first deploy, two at the update");
}

/// The operator is killed after any effect of a change of roles: no pod keeps the label of its old role.
#[test]
fn a_crash_leaves_no_label_of_an_old_role() {
    for crash in 0..6 {
        let mut simulator = Simulator::with("metadata.yaml");
        simulator.tick(TimeDelta::seconds(10));
        let metadata = json!({"labels": {"role": null, "team": "web"}});
        simulator.patch_spec(&json!({"strategy": {"canary": {"stableMetadata": metadata}}}));
        simulator.crash_after = Some(crash);
        simulator.settle();
        simulator.crash_after = None;
        simulator.settle();
        for set in simulator.cluster.replica_sets.values() {
            for pod in &set.pods {
                let labels = &pod.metadata.labels;
                assert!(
                    labels.contains_key("team") && !labels.contains_key("role"),
                    "crash after {crash}: {labels:?}"
                );
            }
            assert_eq!(
                set.annotations["rollout.argoproj.io/ephemeral-metadata"], r#"{"labels":{"team":"web"}}"#,
                "crash after {crash}"
            );
        }
    }
}

/// Lets time pass in small ticks until something is so; how long that took.
fn until(simulator: &mut Simulator, so: impl Fn(&Simulator) -> bool) -> TimeDelta {
    let begun = simulator.cluster.now;
    while !so(simulator) {
        simulator.tick(TICK);
        assert!(simulator.cluster.now - begun < TimeDelta::minutes(10), "it never is so");
    }
    simulator.cluster.now - begun
}

const TICK: TimeDelta = TimeDelta::milliseconds(250);

fn is_at_step(step: i32) -> impl Fn(&Simulator) -> bool {
    move |it| it.cluster.rollout().status.as_ref().expect("a status").current_step_index == Some(step)
}

fn old(simulator: &Simulator) -> ReplicaSet {
    simulator.cluster.replica_sets.values().find(|set| set.image == "v1").expect("it stays").clone()
}

/// Begun within one tick and ended within another; at most a second longer, because starts are recorded in seconds.
#[track_caller]
fn assert_lasted(lasted: TimeDelta, seconds: i64) {
    let least = TimeDelta::seconds(seconds);
    let range = least - TICK..least + TimeDelta::seconds(1) + TICK;
    assert!(range.contains(&lasted), "{lasted} instead of {least}");
}

/// Starts are recorded in whole seconds; no time that begins in between ends early for that.
#[test]
fn pauses_settle_times_and_delays_last_their_time() {
    for mode in [Mode::NotConfigured, Mode::Ready] {
        let mut simulator = Simulator::shop(Manifest::Routed);
        simulator.cluster.data_plane.mode = mode;
        simulator.tick(TimeDelta::milliseconds(30_750));
        simulator.set_image("v2");
        if mode == Mode::NotConfigured {
            until(&mut simulator, |it| it.cluster.mappings.contains_key("shop-canary"));
            let settled =
                until(&mut simulator, |it| it.cluster.mappings["shop-canary"]["spec"]["weight"] == 30);
            assert_lasted(settled, 5);
            continue;
        }
        until(&mut simulator, is_at_step(1));
        assert_lasted(until(&mut simulator, is_at_step(2)), 60);
        until(&mut simulator, is_at_step(3));
        simulator.tick(TimeDelta::milliseconds(1_750));
        simulator.make(&Move::PromoteFull);
        until(&mut simulator, |it| old(it).annotations.contains_key("scale-down-deadline"));
        assert_lasted(until(&mut simulator, |it| old(it).replicas == 0), 30);
    }
}
