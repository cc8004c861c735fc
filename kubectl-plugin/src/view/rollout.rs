//! `get rollout`: a head with the state in numbers, and below it the tree of everything that belongs to the Rollout.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::Rollout;
use crds::rollout::{CanaryStrategy, RolloutStatus};

use super::head::Head;
use super::icon::Status;
use super::replica_set::{self, Role, roles};
use super::steps::{self, Position};
use super::text::{Paint, Text};
use super::tree::{self, Kind, Node};
use super::{Family, age, analysis_run, experiment, images, is_owned, name, revision};
use crate::phase::{self, Phase};

/// The whole output of `get rollout`, every line ended.
#[must_use]
pub fn render(family: &Family, now: DateTime<Utc>, paint: Paint) -> String {
    let phase = phase::of(&family.rollout);
    head(family, &phase, paint).end() + &tree::render(&root(family, &phase, now), paint)
}

/// `Canary` or `BlueGreen`; absent if the spec has neither.
#[must_use]
pub fn strategy(rollout: &Rollout) -> Option<&'static str> {
    let strategy = &rollout.spec.strategy;
    match (&strategy.canary, &strategy.blue_green) {
        (Some(_), _) => Some("Canary"),
        (None, Some(_)) => Some("BlueGreen"),
        (None, None) => None,
    }
}

fn head(family: &Family, phase: &Phase, paint: Paint) -> Head {
    let rollout = &family.rollout;
    let status = rollout.status.clone().unwrap_or_default();
    let mut head = Head::default();
    head.line("Name:", name(&rollout.metadata));
    head.line("Namespace:", rollout.metadata.namespace.as_deref().unwrap_or_default());
    head.line("Status:", Status::of_rollout(phase.phase).text().paint(paint));
    if !phase.message.is_empty() {
        head.line("Message:", &phase.message);
    }
    head.line("Strategy:", strategy(rollout).unwrap_or_default());
    if let Some((canary, status)) = steps::canary(rollout) {
        head.line("  Step:", steps::progress(canary, &status).unwrap_or_default());
        head.line("  SetWeight:", steps::set_weight(canary, &status));
        head.line("  ActualWeight:", actual_weight(family, canary, &status));
    }
    for (index, image) in images::of(family).iter().enumerate() {
        head.line(if index == 0 { "Images:" } else { "" }, image.paint(paint));
    }
    head.title("Replicas:");
    head.line("  Desired:", rollout.spec.replicas.unwrap_or(1));
    head.line("  Current:", status.replicas);
    head.line("  Updated:", status.updated_replicas);
    head.line("  Ready:", status.ready_replicas);
    head.line("  Available:", status.available_replicas);
    head
}

/// The share that the canary has now, in percent: the routed weight, or without traffic routing its part of the
/// available pods. Everything past the last step.
fn actual_weight(family: &Family, canary: &CanaryStrategy, status: &RolloutStatus) -> i32 {
    match Position::of(canary, status) {
        Position::NoSteps | Position::Done(_) => 100,
        Position::At(..) if status.available_replicas <= 0 => 0,
        Position::At(..) => match (&canary.traffic_routing, &status.canary.weights) {
            (None, _) => available_canary(family) * 100 / status.available_replicas,
            (Some(_), Some(weights)) => weights.canary.weight,
            (Some(_), None) => steps::set_weight(canary, status),
        },
    }
}

fn available_canary(family: &Family) -> i32 {
    let rollout = &family.rollout;
    let canary = family
        .replica_sets
        .iter()
        .find(|it| is_owned(&it.metadata, &rollout.metadata) && roles(rollout, it).contains(&Role::Canary));
    canary.and_then(|it| it.status.as_ref()?.available_replicas).unwrap_or_default()
}

fn root(family: &Family, phase: &Phase, now: DateTime<Utc>) -> Node {
    let rollout = &family.rollout;
    Node {
        kind: Kind::Rollout,
        name: Text::plain(name(&rollout.metadata)),
        status: Some(Status::of_rollout(phase.phase)),
        age: age::of(&rollout.metadata, now),
        info: Text::default(),
        children: revisions(family, now),
    }
}

/// One node a revision, newest first: its ReplicaSets, then its Experiments, then its `AnalysisRuns`.
fn revisions(family: &Family, now: DateTime<Utc>) -> Vec<Node> {
    let rollout = &family.rollout;
    let mut revisions: BTreeMap<i64, Vec<Node>> = BTreeMap::new();
    let mut owned: Vec<_> =
        family.replica_sets.iter().filter(|it| is_owned(&it.metadata, &rollout.metadata)).collect();
    replica_set::sort(&mut owned);
    for it in owned {
        let node = replica_set::node(it, &roles(rollout, it), &family.pods, now);
        revisions.entry(revision(&it.metadata)).or_default().push(node);
    }
    for it in experiment::of_rollout(family) {
        revisions.entry(revision(&it.metadata)).or_default().push(experiment::node(it, family, now));
    }
    for it in analysis_run::owned_by(&rollout.metadata, &family.analysis_runs) {
        revisions.entry(revision(&it.metadata)).or_default().push(analysis_run::node(it, now));
    }
    revisions.into_iter().rev().map(|(number, children)| revision_node(number, children)).collect()
}

fn revision_node(number: i64, children: Vec<Node>) -> Node {
    Node {
        kind: Kind::Revision,
        name: Text::plain(format!("revision:{number}")),
        status: None,
        age: String::new(),
        info: Text::default(),
        children,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn replica_set(hash: &str, revision: &str) -> Value {
        json!({
            "metadata": {
                "name": format!("shop-{hash}"), "uid": hash, "creationTimestamp": "2030-03-04T05:01:07Z",
                "labels": {"rollouts-pod-template-hash": hash},
                "annotations": {"rollout.argoproj.io/revision": revision},
                "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop", "uid": "r"}],
            },
            "spec": {"replicas": 1, "selector": {}, "template": {"spec": {"containers": [{"name": "web", "image": hash}]}}},
            "status": {"replicas": 1, "availableReplicas": 1},
        })
    }

    fn family() -> Family {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": "prod", "uid": "r", "generation": 1},
            "spec": {"replicas": 1, "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
            "status": {"observedGeneration": "1", "phase": "Healthy", "currentStepIndex": 1, "currentPodHash": "new",
                "stableRS": "old", "replicas": 2, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2},
        });
        Family {
            rollout: serde_json::from_value(rollout).unwrap(),
            replica_sets: ["new", "old"]
                .iter()
                .zip(["2", "1"])
                .map(|(hash, revision)| serde_json::from_value(replica_set(hash, revision)).unwrap())
                .collect(),
            ..Family::default()
        }
    }

    #[test]
    fn colours_mark_icons_and_roles_and_keep_the_columns() {
        let now = "2030-03-04T05:06:07Z".parse().unwrap();
        let coloured = render(&family(), now, Paint::Ansi);
        insta::assert_snapshot!(coloured.replace('\x1b', "^"), @r"
        Name:            shop
        Namespace:       prod
        Status:          ^[32m✔^[0m Healthy
        Strategy:        Canary
          Step:          1/2
          SetWeight:     20
          ActualWeight:  50
        Images:          new (^[33mcanary^[0m)
                         old (^[32mstable^[0m)
        Replicas:
          Desired:       1
          Current:       2
          Updated:       1
          Ready:         2
          Available:     2

        NAME              KIND        STATUS     AGE        INFO
        ⟳ shop            Rollout     ^[32m✔^[0m Healthy  <unknown>  
        ├──# revision:2                                     
        │  └──⧉ ^[33mshop-new^[0m  ReplicaSet  ^[32m✔^[0m Healthy  5m         ^[33mcanary^[0m
        └──# revision:1                                     
           └──⧉ ^[32mshop-old^[0m  ReplicaSet  ^[32m✔^[0m Healthy  5m         ^[32mstable^[0m
        ");
        let codes = ["31", "32", "33", "94", "0"].map(|code| format!("\x1b[{code}m"));
        let bare = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(bare, render(&family(), now, Paint::Plain));
    }
}
