//! A story from the passes of a row.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::end;
use super::story::{Act, Change, Story};

/// Passes after which a trace of the group `random` ends, and any other.
const PASSES: (usize, usize) = (30, 45);

/// What Argo's controller did.
pub(crate) fn story(row: &Value) -> Story {
    let passes = list(&row["passes"]);
    let most = if row["group"] == "random" { PASSES.0 } else { PASSES.1 };
    let mut reader = Reader::new(row);
    let mut acts = Vec::new();
    for pass in passes {
        if let Some(action) = pass.get("op_before") {
            acts.push(Act { action: action.to_string(), changes: Vec::new() });
        }
        let act = acts.last_mut().expect("a trace begins with an action");
        act.changes.extend(reader.changes(pass));
    }
    let began = beginnings(row, reader.start);
    Story {
        acts,
        routed: is_routed(row),
        end: end::of(&row["final_status"], &began),
        cut_off: passes.len() >= most,
    }
}

/// When users act.
pub(crate) fn beginnings(row: &Value, start: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let passes = list(&row["passes"]).iter().filter(|pass| pass.get("op_before").is_some());
    passes.map(|pass| start + TimeDelta::seconds(number(&pass["t"]))).collect()
}

/// Whether the row's Rollout has traffic routing.
pub(crate) fn is_routed(row: &Value) -> bool {
    row["rollout"]["spec"]["strategy"]["canary"].get("trafficRouting").is_some()
}

/// What the last passes left, to tell changes from repeated writes.
struct Reader {
    start: DateTime<Utc>,
    revision: Value,
    replicas: Value,
    selectors: BTreeMap<String, String>,
    runs: BTreeSet<String>,
}

impl Reader {
    fn new(row: &Value) -> Self {
        Self {
            start: serde_json::from_value(row["start"].clone()).expect("a time"),
            revision: Value::Null,
            replicas: row["rollout"]["spec"]["replicas"].clone(),
            selectors: BTreeMap::new(),
            runs: BTreeSet::new(),
        }
    }

    fn changes(&mut self, pass: &Value) -> Vec<Change> {
        let mut changes: Vec<Change> =
            list(&pass["actions"]).iter().flat_map(|action| self.change(pass, action)).collect();
        changes.extend(list(&pass["events"]).iter().map(event));
        changes
    }

    fn change(&mut self, pass: &Value, action: &Value) -> Vec<Change> {
        let (name, body) = (text(&action["name"]), &action["body"]);
        match (text(&action["verb"]).as_str(), text(&action["resource"]).as_str()) {
            ("create", "replicasets") => vec![Change::Created { set: name, manifest: body.clone() }],
            ("update", "replicasets") => resized(pass, name, body),
            ("patch", "replicasets") => list(body).iter().map(|it| self.deadline(pass, &name, it)).collect(),
            ("delete", "replicasets") => vec![Change::Deleted { set: name }],
            ("patch", "services") => {
                let to = text(&body["spec"]["selector"]["rollouts-pod-template-hash"]);
                let from = self.selectors.insert(name.clone(), to.clone()).unwrap_or_default();
                let taken_over = body["metadata"]["annotations"].is_object();
                vec![Change::Switched { service: name, from, to, taken_over }]
            }
            ("create", "mappings") => {
                vec![Change::Mapped { mapping: name, weight: number(&body["spec"]["weight"]) }]
            }
            ("update", "mappings") => {
                vec![Change::Reweighted { mapping: name, weight: number(&body["spec"]["weight"]) }]
            }
            ("delete", "mappings") => vec![Change::Unmapped { mapping: name }],
            // A name that is taken is tried all the same.
            ("create", "analysisruns") if !self.runs.insert(name.clone()) => Vec::new(),
            ("create", "analysisruns") => vec![Change::Analysed { run: name, manifest: body.clone() }],
            ("patch", "analysisruns") => {
                assert_eq!(body, &json!({"spec": {"terminate": true}}));
                vec![Change::Ended { run: name }]
            }
            ("update", "rollouts") => self.rollout(body),
            ("patch", "rollouts") => Vec::new(),
            (verb, resource) => panic!("no such action in the table: {verb} {resource}"),
        }
    }

    fn rollout(&mut self, body: &Value) -> Vec<Change> {
        let mut changes = Vec::new();
        let revision = body["metadata"]["annotations"]["rollout.argoproj.io/revision"].clone();
        if !revision.is_null() && revision != self.revision {
            changes.push(Change::Revision { to: text(&revision) });
            self.revision = revision;
        }
        if self.replicas.is_null() && body["spec"]["replicas"] == 1 {
            changes.push(Change::DefaultReplicas);
            self.replicas = json!(1);
        }
        changes
    }

    fn deadline(&self, pass: &Value, set: &str, operation: &Value) -> Change {
        assert_eq!(operation["path"], "/metadata/annotations/scale-down-deadline");
        let seconds = serde_json::from_value::<DateTime<Utc>>(operation["value"].clone())
            .ok()
            .map(|deadline| (deadline - self.start).num_seconds() - number(&pass["t"]));
        Change::Deadline { set: set.to_owned(), seconds }
    }
}

/// A whole ReplicaSet was written: what of it differs from what the pass saw.
fn resized(pass: &Value, set: String, body: &Value) -> Vec<Change> {
    let seen = list(&pass["replica_sets"]).iter().find(|it| it["name"] == set.as_str());
    let (seen_replicas, seen_revision) =
        seen.map_or((0, Value::Null), |seen| (number(&seen["replicas"]), seen["revision"].clone()));
    let annotations = &body["metadata"]["annotations"];
    let revision = &annotations["rollout.argoproj.io/revision"];
    let desired = &annotations["rollout.argoproj.io/desired-replicas"];
    let mut changes = Vec::new();
    if !seen_revision.is_null() && *revision != seen_revision {
        changes.push(Change::Numbered { set: set.clone(), revision: text(revision) });
    }
    let to = number(&body["spec"]["replicas"]);
    if to != seen_replicas {
        changes.push(Change::Scaled {
            set,
            revision: text(revision),
            desired: text(desired),
            from: seen_replicas,
            to,
        });
    }
    changes
}

fn event(event: &Value) -> Change {
    let event = text(event);
    let mut words = event.splitn(3, ' ');
    let (_kind, reason, message) = (words.next(), words.next(), words.next());
    Change::Event {
        reason: reason.unwrap_or_default().to_owned(),
        message: message.unwrap_or_default().to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}
