//! Rules about ReplicaSets, conditions and what users are told.

use std::collections::BTreeMap;

use crds::contract::{RUN_FINGERPRINT_ANNOTATION, TEMPLATE_FINGERPRINT_ANNOTATION};
use serde_json::json;

use super::super::story::{Act, Change, Story};
use super::{drop_events, is_event};

const SCALING: &str = "ScalingReplicaSet";
const ABORTED: &str = "RolloutAborted";

/// No difference: every scaling has one event that says the same. So only scalings are compared, and what else there
/// is to tell of them (direction, revision) stands with them.
pub(crate) fn scaling_events(story: &mut Story) {
    for act in &mut story.acts {
        let told: Vec<Change> = act.changes.iter().filter(|it| is_event(it, SCALING)).cloned().collect();
        let wanted: Vec<Change> = act.changes.iter().filter_map(scaling_event).collect();
        assert_eq!(told, wanted, "one event for each scaling after {}", act.action);
        act.changes.retain(|change| !is_event(change, SCALING));
    }
}

fn scaling_event(change: &Change) -> Option<Change> {
    let Change::Scaled { set, revision, from, to, .. } = change else { return None };
    let direction = if to > from { "up" } else { "down" };
    Some(Change::Event {
        reason: SCALING.to_owned(),
        message: format!("Scaled {direction} ReplicaSet {set} (revision {revision}) from {from} to {to}"),
    })
}

/// A ReplicaSet of Sluice says what it is, is in the simulator's namespace and belongs to a Rollout with another uid.
/// It also remembers the whole template ([`TEMPLATE_FINGERPRINT_ANNOTATION`]), so that no change of a hash function
/// makes a revision (reference §2.3).
pub(crate) fn manifests(ours: &mut Story) {
    for change in ours.acts.iter_mut().flat_map(|act| &mut act.changes) {
        let Change::Created { manifest, .. } = change else { continue };
        let fields = manifest.as_object_mut().expect("an object");
        assert_eq!(fields.remove("apiVersion"), Some(json!("apps/v1")));
        assert_eq!(fields.remove("kind"), Some(json!("ReplicaSet")));
        let metadata = &mut manifest["metadata"];
        let annotations = metadata["annotations"].as_object_mut().expect("annotations");
        assert!(annotations.remove(TEMPLATE_FINGERPRINT_ANNOTATION).is_some(), "the template is remembered");
        metadata["namespace"] = json!("prod");
        metadata["ownerReferences"][0]["uid"] = json!("uid-shop");
    }
}

/// An AnalysisRun of Sluice says what it is, and remembers what it was made of, so that one that is found again is known.
/// Argo writes empty fields into a provider.
pub(crate) fn runs(argo: &mut Story, ours: &mut Story) {
    for change in argo.acts.iter_mut().flat_map(|act| &mut act.changes) {
        let Change::Analysed { manifest, .. } = change else { continue };
        let web = manifest["spec"]["metrics"][0]["provider"]["web"].as_object_mut().expect("a provider");
        let empty = json!({"basicAuth": {}, "oauth2": {}, "sigv4": {}});
        assert_eq!(web.remove("authentication"), Some(empty));
    }
    for change in ours.acts.iter_mut().flat_map(|act| &mut act.changes) {
        let Change::Analysed { manifest, .. } = change else { continue };
        let fields = manifest.as_object_mut().expect("an object");
        assert_eq!(fields.remove("apiVersion"), Some(json!("argoproj.io/v1alpha1")));
        assert_eq!(fields.remove("kind"), Some(json!("AnalysisRun")));
        let metadata = &mut manifest["metadata"];
        let annotations = metadata["annotations"].as_object_mut().expect("annotations");
        assert!(annotations.remove(RUN_FINGERPRINT_ANNOTATION).is_some(), "it is remembered");
        metadata["namespace"] = json!("prod");
        metadata["ownerReferences"][0]["uid"] = json!("uid-shop");
    }
}

/// A basic canary scales as fast as its limits allow. Argo scales one ReplicaSet a pass, Sluice all in one plan (more
/// pods first), so a way in one direction within one step is cut into other pieces.
pub(crate) fn scalings_within_a_step(story: &mut Story) {
    for act in &mut story.acts {
        let mut last: BTreeMap<String, usize> = BTreeMap::new();
        let mut joined: Vec<Change> = Vec::new();
        for change in act.changes.drain(..) {
            if is_event(&change, "RolloutStepCompleted") {
                last.clear();
            }
            if let Change::Scaled { set, to, .. } = &change {
                if let Some(Change::Scaled { from: began, to: reached, .. }) =
                    last.get(set).and_then(|index| joined.get_mut(*index))
                    && (*reached > *began) == (to > reached)
                {
                    *reached = *to;
                    continue;
                }
                last.insert(set.clone(), joined.len());
            }
            joined.push(change);
        }
        act.changes = joined;
    }
}

/// Argo writes a scale-down deadline also on a ReplicaSet that has no pods; Sluice where there is something to keep.
pub(crate) fn deadlines_without_pods(argo: &mut Story) {
    let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
    for act in &mut argo.acts {
        act.changes.retain(|change| match change {
            Change::Scaled { set, to, .. } => {
                sizes.insert(set.clone(), *to);
                true
            }
            Change::Deadline { set, seconds: Some(_) } => sizes.get(set).is_some_and(|size| *size > 0),
            _ => true,
        });
    }
}

/// Argo promotes the first version before any of its pods is available (reference §2.4); Sluice when it is, so after
/// its Services were set.
pub(crate) fn first_promotion(argo: &mut Story) {
    for act in &mut argo.acts {
        let first = |change: &Change| matches!(change, Change::Event { message, .. } if message.ends_with(": Initial deploy"));
        let Some(told) = act.changes.iter().position(first) else { continue };
        let promotion = act.changes.remove(told);
        let after = act.changes.iter().rposition(|change| matches!(change, Change::Switched { .. }));
        let weights = |change: &Change| is_event(change, "TrafficWeightUpdated");
        let place = after
            .and_then(|after| act.changes[after..].iter().position(weights).map(|weights| after + weights));
        act.changes.insert(place.unwrap_or(told), promotion);
    }
}

/// Argo warns twice of one abort by the progress deadline; the second message holds the first.
pub(crate) fn second_abort_event(argo: &mut Story) {
    for act in &mut argo.acts {
        let told = messages(act, ABORTED);
        act.changes.retain(|change| match change {
            Change::Event { reason, message } if reason == ABORTED => {
                !told.iter().any(|other| other.ends_with(&format!(": {message}")))
            }
            _ => true,
        });
    }
}

fn messages(act: &Act, wanted: &str) -> Vec<String> {
    let messages = act.changes.iter().filter_map(|change| match change {
        Change::Event { reason, message } if reason == wanted => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// Sluice warns of an invalid spec and of a passed deadline (design §4); Argo has only the conditions.
pub(crate) fn told_problems(ours: &mut Story) {
    for reason in ["InvalidSpec", "ProgressDeadlineExceeded"] {
        drop_events(ours, reason, |_| true);
    }
}

/// A paused update that is aborted is no longer paused; Argo leaves the condition as it was.
pub(crate) fn pause_after_abort(argo: &mut Story, ours: &Story) {
    let paused = json!(["True", "RolloutPaused", "Rollout is paused"]);
    let over = json!(["False", "RolloutPaused", "Rollout is paused"]);
    let aborted = argo.end["abort"] == true && argo.end["pauseConditions"] == json!([]);
    if aborted && argo.end["conditions"]["Paused"] == paused && ours.end["conditions"]["Paused"] == over {
        argo.end["conditions"]["Paused"] = over;
    }
}

/// A default that the controller writes into the spec is another generation; the table's API server does not count it.
pub(crate) fn generation(ours: &mut Story) {
    let defaulted = ours.acts.iter().any(|act| act.changes.contains(&Change::DefaultReplicas));
    let observed = ours.end["observedGeneration"].as_str().and_then(|it| it.parse::<i64>().ok());
    if let Some(observed) = observed.filter(|_| defaulted) {
        ours.end["observedGeneration"] = json!((observed - 1).to_string());
    }
}
