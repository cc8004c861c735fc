//! What must hold of every story of an Experiment, not only of the written ones.

#[path = "simulator/simulator.rs"]
#[expect(dead_code, reason = "scripts are for the scenarios")]
mod simulator;

use chrono::TimeDelta;
use crds::analysis::AnalysisPhase;
use proptest::prelude::*;
use serde_json::{Value, json};
use simulator::{Pass, Simulator};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Move {
    Tick(i64),
    Terminate,
    Retry,
    /// Every run without a verdict gets this phase.
    Analysis(&'static str),
    PodsFail(&'static str, bool),
    Replicas(i32),
    RunsDeleted,
    SetsDeleted,
    TemplateDeleted,
}

fn moves() -> impl Strategy<Value = Move> {
    let image = || prop::sample::select(vec!["v1", "v2"]);
    prop_oneof![
        6 => (1..200_i64).prop_map(Move::Tick),
        1 => Just(Move::Terminate),
        1 => Just(Move::Retry),
        4 => prop::sample::select(vec!["Running", "Successful", "Successful", "Failed", "Error", "Inconclusive"])
            .prop_map(Move::Analysis),
        2 => (image(), any::<bool>()).prop_map(|(image, fail)| Move::PodsFail(image, fail)),
        1 => (0..4).prop_map(Move::Replicas),
        1 => Just(Move::RunsDeleted),
        1 => Just(Move::SetsDeleted),
        1 => Just(Move::TemplateDeleted),
    ]
}

impl Simulator {
    fn trial() -> Self {
        let path = format!("{}/tests/scenarios/manifests/trial.yaml", env!("CARGO_MANIFEST_DIR"));
        let mut simulator = Self::new();
        simulator.apply(&std::fs::read_to_string(path).expect("a manifest"));
        simulator
    }

    /// Makes a move without letting the operator act.
    fn make(&mut self, it: &Move) {
        match it {
            Move::Tick(_) => {}
            Move::Terminate => self.cluster.patch(&json!({"spec": {"terminate": true}})),
            Move::Retry => self.cluster.patch(&json!({"status": null})),
            Move::Analysis(phase) => {
                let names: Vec<String> =
                    self.cluster.runs.keys().filter(|it| !self.cluster.is_completed(it)).cloned().collect();
                for name in &names {
                    self.cluster.judge(name, phase);
                }
            }
            Move::PodsFail(image, true) => drop(self.cluster.bad_images.insert((*image).to_owned())),
            Move::PodsFail(image, false) => drop(self.cluster.bad_images.remove(*image)),
            Move::Replicas(replicas) => {
                let mut templates =
                    self.cluster.experiment.as_ref().expect("an Experiment")["spec"]["templates"].clone();
                templates[0]["replicas"] = json!(replicas);
                self.cluster.patch(&json!({"spec": {"templates": templates}}));
            }
            Move::RunsDeleted => self.cluster.runs.clear(),
            Move::SetsDeleted => self.cluster.replica_sets.clear(),
            Move::TemplateDeleted => drop(self.cluster.templates.remove("errors")),
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

    /// The end state, without what counts writes or tells the time.
    fn essence(&self) -> Value {
        let sets: Vec<Value> = self
            .cluster
            .replica_sets
            .iter()
            .map(|(name, it)| json!([name, it["spec"]["replicas"]]))
            .collect();
        let services: Vec<&String> = self.cluster.services.keys().collect();
        let unfinished: Vec<&String> =
            self.cluster.runs.keys().filter(|it| !self.cluster.is_completed(it)).collect();
        json!({"sets": sets, "services": services, "unfinished": unfinished, "phase": self.cluster.status().phase})
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

    /// The planner settles after every move, and settled means: the next plan has no effects and the same status.
    #[test]
    fn every_story_settles(story in prop::collection::vec(moves(), 1..25)) {
        let mut simulator = Simulator::trial();
        simulator.play(&story);
        prop_assert_eq!(simulator.pass(), Pass::Settled, "{}", simulator.transcript);
    }

    /// A verdict stays, unless somebody asks for another try.
    #[test]
    fn a_verdict_stays(story in prop::collection::vec(moves(), 1..25)) {
        let mut simulator = Simulator::trial();
        let mut verdict: Option<AnalysisPhase> = None;
        for it in &story {
            if matches!(it, Move::Retry) {
                verdict = None;
            }
            simulator.play(std::slice::from_ref(it));
            let phase = simulator.cluster.status().phase;
            prop_assert!(verdict.is_none() || phase == verdict, "{}", simulator.transcript);
            verdict = phase.filter(|it| it.is_completed());
        }
    }

    /// Whatever happened, an Experiment that is told to end does, and leaves no pods, Services and runs behind.
    #[test]
    fn every_story_can_end(story in prop::collection::vec(moves(), 1..20)) {
        let mut simulator = Simulator::trial();
        simulator.play(&story);
        simulator.make(&Move::Terminate);
        simulator.tick(TimeDelta::minutes(15));
        let essence = simulator.essence();
        prop_assert!(simulator.cluster.status().phase.is_some_and(AnalysisPhase::is_completed), "{}", simulator.transcript);
        prop_assert!(essence["sets"].as_array().unwrap().iter().all(|it| it[1] == 0), "{}", simulator.transcript);
        prop_assert_eq!(&essence["services"], &json!([]), "{}", simulator.transcript);
        prop_assert_eq!(&essence["unfinished"], &json!([]), "{}", simulator.transcript);
    }

    /// The operator is killed after any effect and started again: the story ends as if it had not been.
    #[test]
    fn a_crash_after_any_effect_changes_nothing_in_the_end(
        story in prop::collection::vec(moves(), 1..12),
        crashes in prop::collection::vec(0..5_usize, 12),
    ) {
        let (mut calm, mut killed) = (Simulator::trial(), Simulator::trial());
        for (it, crash) in story.iter().zip(&crashes) {
            calm.make(it);
            killed.make(it);
            killed.crash_after = Some(*crash);
            killed.settle();
            killed.crash_after = None;
            let time = if let Move::Tick(seconds) = it { *seconds } else { 0 };
            calm.tick(TimeDelta::seconds(time));
            killed.tick(TimeDelta::seconds(time));
        }
        for simulator in [&mut calm, &mut killed] {
            simulator.make(&Move::Terminate);
            simulator.tick(TimeDelta::minutes(15));
        }
        prop_assert_eq!(calm.essence(), killed.essence(), "{}", killed.transcript);
    }
}
