//! A story from our engine, in the world of a row.

use chrono::{DateTime, TimeDelta, Utc};
use operator_core::effect::Effect;
use operator_core::plan::Wake;
use serde_json::{Value, json};

use super::argo::{beginnings, is_routed};
use super::simulator::Simulator;
use super::simulator::cluster::start;
use super::story::{Act, Story};
use super::{changes, end};

/// Passes within one moment after which the engine is said not to settle.
const PASSES: usize = 60;

/// What our engine does when users do the same at the same second.
pub(crate) fn story(row: &Value) -> Story {
    let mut run = Run::new(row);
    let passes = row["passes"].as_array().expect("passes");
    for pass in passes {
        if let Some(action) = pass.get("op_before") {
            run.until(seconds(pass) - TimeDelta::seconds(1));
            run.act(row, seconds(pass), action);
        }
    }
    run.until(seconds(passes.last().expect("a pass")));
    let status = serde_json::to_value(&run.simulator.cluster.rollout().status).expect("JSON");
    Story {
        acts: run.acts,
        routed: is_routed(row),
        end: end::of(&status, &beginnings(row, start())),
        cut_off: false,
    }
}

fn seconds(pass: &Value) -> TimeDelta {
    TimeDelta::seconds(pass["t"].as_i64().expect("a time"))
}

struct Run {
    simulator: Simulator,
    /// When the engine acts again unless something happens before.
    again: Option<DateTime<Utc>>,
    acts: Vec<Act>,
}

impl Run {
    fn new(row: &Value) -> Self {
        let mut simulator = Simulator::new();
        let cluster = &mut simulator.cluster;
        match row["availability"].as_str() {
            Some("instant") => cluster.pod_start = TimeDelta::zero(),
            Some("one_by_one") => {
                cluster.pod_start = TimeDelta::seconds(1);
                cluster.pod_interval = TimeDelta::seconds(1);
            }
            other => panic!("no such availability: {other:?}"),
        }
        cluster.data_plane.add("proxy", true);
        for it in row["services"].as_array().into_iter().flatten() {
            let spec = json!({"selector": it["selector"]});
            cluster.apply(
                json!({"kind": "Service", "metadata": {"name": it["name"], "annotations": {}}, "spec": spec}),
            );
        }
        let check = json!({"metrics": [{"name": "m", "provider": {"web": {"url": "http://m"}}}]});
        cluster.apply(json!({"kind": "AnalysisTemplate", "metadata": {"name": "check"}, "spec": check}));
        if !row["mapping"].is_null() {
            cluster.apply(row["mapping"].clone());
        }
        Self { simulator, again: None, acts: Vec::new() }
    }

    /// A user acts.
    fn act(&mut self, row: &Value, at: TimeDelta, action: &Value) {
        self.simulator.cluster.now = start() + at;
        self.acts.push(Act { action: action.to_string(), changes: Vec::new() });
        self.simulator.invariants.user_acted();
        let simulator = &mut self.simulator;
        match action["op"].as_str().expect("an action") {
            "create" => {
                let mut rollout = row["rollout"].clone();
                rollout["status"] = Value::Null;
                simulator.cluster.apply(rollout);
            }
            "set_image" => simulator.set_image(action["image"].as_str().expect("an image")),
            "scale" => scale(simulator, &action["replicas"]),
            "set_steps" => simulator.patch_spec(&json!({"strategy": {"canary": {"steps": action["steps"]}}})),
            "pause" => simulator.patch_spec(&json!({"paused": true})),
            "unpause" => simulator.patch_spec(&json!({"paused": false})),
            "abort" => simulator.cluster.patch_status(&json!({"abort": true})),
            "retry" => simulator.cluster.patch_status(&json!({"abort": false})),
            "promote" => simulator.promote(),
            "promote_full" => promote_full(simulator),
            "analysis" => simulator.cluster.judge_runs(action["phase"].as_str().expect("a phase")),
            other => panic!("no such action: {other}"),
        }
        self.settle();
    }

    /// Lets time pass up to this moment after the start, and the engine act whenever something happens.
    fn until(&mut self, end: TimeDelta) {
        let end = start() + end;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.simulator.cluster.now = next.max(self.simulator.cluster.now);
            self.settle();
        }
        self.simulator.cluster.now = end.max(self.simulator.cluster.now);
    }

    fn next_moment(&self) -> Option<DateTime<Utc>> {
        self.again.into_iter().chain(self.simulator.cluster.next_pod_change()).min()
    }

    /// Passes until nothing changes. The table's world lets a second pass after every pass; here it does where pods
    /// come or go, because they do not do so at once.
    fn settle(&mut self) {
        for _ in 0..PASSES {
            self.simulator.cluster.run_replica_sets();
            self.simulator.cluster.run_data_plane();
            let before = self.simulator.cluster.clone();
            let pass = self.simulator.pass();
            let act = self.acts.last_mut().expect("the engine acts after a user");
            act.changes.extend(pass.plan.effects.iter().flat_map(|effect| changes::of(effect, &before)));
            if pass.plan.effects.iter().any(|effect| matches!(effect, Effect::ScaleReplicaSet { .. })) {
                self.again = Some(before.now + TimeDelta::seconds(1));
                return;
            }
            if !pass.changed {
                self.again = match pass.plan.wake {
                    Wake::At(moment) => Some(moment),
                    Wake::OnChange => None,
                };
                return;
            }
        }
        panic!("the engine did not settle in {PASSES} passes");
    }
}

/// The table's API server counts a patch that changes nothing as another generation.
fn scale(simulator: &mut Simulator, replicas: &Value) {
    let before = simulator.cluster.rollout().metadata.generation;
    simulator.patch_spec(&json!({"replicas": replicas}));
    let generation = &mut simulator.cluster.rollout.as_mut().expect("a Rollout").metadata.generation;
    if *generation == before {
        *generation = before.map(|it| it + 1);
    }
}

/// `kubectl argo rollouts promote --full` (reference §5.2).
fn promote_full(simulator: &mut Simulator) {
    if simulator.cluster.rollout().spec.paused {
        simulator.patch_spec(&json!({"paused": false}));
    }
    let status = simulator.cluster.rollout().status.clone().unwrap_or_default();
    if status.current_pod_hash != status.stable_rs {
        simulator.cluster.patch_status(&json!({"promoteFull": true}));
    }
}
