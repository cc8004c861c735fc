//! Fourth verb: writes the status once, and only what differs.

use crds::rollout::RolloutStatus;
use serde_json::{Map, Value, json};

/// The merge patch for `/status` that turns what is recorded into `new`; `None` if that says nothing that is not known.
///
/// Only differing fields are in it, so that a field which a user or plugin writes at the same time stays; the
/// `resourceVersion` refuses the patch all the same if the Rollout has changed since the plan's world.
///
/// What is known is what is recorded, with what the API server has dropped of it: that is written whole whenever
/// something is, for the definition may have changed, and never alone, for it may not.
pub(super) fn status_patch(
    recorded: &RolloutStatus,
    known: &RolloutStatus,
    new: &RolloutStatus,
    resource_version: &str,
) -> Result<Option<Value>, serde_json::Error> {
    let new = serde_json::to_value(new)?;
    if difference(&serde_json::to_value(known)?, &new).is_none() {
        return Ok(None);
    }
    let difference = difference(&serde_json::to_value(recorded)?, &new);
    Ok(difference.map(|status| guarded(&status, resource_version)))
}

/// A patch of `/status` that is refused unless the object is at that version.
pub(crate) fn guarded(status: &Value, resource_version: &str) -> Value {
    json!({"metadata": {"resourceVersion": resource_version}, "status": status})
}

/// The JSON merge patch (RFC 7386) from `old` to `new`. Lists are replaced whole.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for name in before.keys().filter(|it| !after.contains_key(*it)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        match before.get(name) {
            Some(earlier) => {
                if let Some(inner) = difference(earlier, value) {
                    patch.insert(name.clone(), inner);
                }
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use crds::rollout::{RolloutPhase, status::RolloutDuration};

    use super::*;

    #[test]
    fn an_equal_status_is_not_written() {
        let status = RolloutStatus { replicas: 3, ..RolloutStatus::default() };
        assert_eq!(status_patch(&status, &status, &status, "7").unwrap(), None);
    }

    #[test]
    fn only_what_differs_is_written_and_what_is_gone_becomes_null() {
        let old = RolloutStatus {
            replicas: 3,
            message: Some("old".to_owned()),
            stable_rs: Some("a".to_owned()),
            ..RolloutStatus::default()
        };
        let new = RolloutStatus {
            replicas: 4,
            stable_rs: Some("a".to_owned()),
            phase: Some(RolloutPhase::Healthy),
            ..RolloutStatus::default()
        };
        assert_eq!(
            status_patch(&old, &old, &new, "7").unwrap(),
            Some(json!({
                "metadata": {"resourceVersion": "7"},
                "status": {"replicas": 4, "message": null, "phase": "Healthy"},
            }))
        );
    }

    #[test]
    fn what_was_dropped_is_written_with_what_is_new_and_never_alone() {
        let duration =
            RolloutDuration { rollout_started_at: DateTime::from_timestamp(0, 0), ..Default::default() };
        let recorded = RolloutStatus { replicas: 3, ..RolloutStatus::default() };
        let known = RolloutStatus { duration: Some(duration), ..recorded.clone() };
        assert_eq!(status_patch(&recorded, &known, &known, "7").unwrap(), None);
        let new = RolloutStatus { replicas: 4, ..known.clone() };
        let status = json!({"replicas": 4, "duration": {"rolloutStartedAt": "1970-01-01T00:00:00Z"}});
        let patch = json!({"metadata": {"resourceVersion": "7"}, "status": status});
        assert_eq!(status_patch(&recorded, &known, &new, "7").unwrap(), Some(patch));
        assert_eq!(status_patch(&recorded, &known, &recorded, "7").unwrap(), None, "it is not there already");
    }

    #[test]
    fn differences_are_merge_patches() {
        for (old, new, expected) in [
            (json!({}), json!({}), None),
            (json!({"a": 1}), json!({"a": 1}), None),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}), Some(json!({"a": {"c": null}}))),
            (json!({"a": [1, 2]}), json!({"a": [1]}), Some(json!({"a": [1]}))),
            (json!({"a": 1}), json!({"a": {"b": 1}}), Some(json!({"a": {"b": 1}}))),
            (json!({}), json!({"a": {"b": 1}}), Some(json!({"a": {"b": 1}}))),
        ] {
            assert_eq!(difference(&old, &new), expected, "{old} -> {new}");
        }
    }
}
