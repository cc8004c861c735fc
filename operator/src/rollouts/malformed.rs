//! A Rollout that cannot be read: the condition `InvalidSpec` and an event say so, on that Rollout alone. Nothing of
//! it moves until it is repaired.

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::{
    effect::{Event, EventKind},
    plan::Wake,
    traffic::ObjectName,
};
use serde_json::{Value, json};

use super::{Controller, Error, Pass, objects::Malformed, record};
use crate::events::Subject;

const REASON: &str = "InvalidSpec";

impl Controller {
    /// Says what is wrong, once.
    pub(super) async fn refuse(
        &self,
        name: &ObjectName,
        metadata: &ObjectMeta,
        malformed: &Malformed,
        now: DateTime<Utc>,
    ) -> Result<Pass, Error> {
        let message = format!("The Rollout {:?} is invalid: {}", name.name, malformed.error);
        let wanted = status(&malformed.status, &message, now);
        let Some(status) = record::difference(&malformed.status, &wanted) else {
            return Ok(Pass::Settled(Wake::OnChange));
        };
        let event = Event { kind: EventKind::Warning, reason: REASON.to_owned(), message };
        self.recorder.record(&Subject::of(metadata), &event);
        let version = metadata.resource_version.clone().unwrap_or_default();
        self.executor.write_status(name, record::guarded(&status, &version)).await?;
        Ok(Pass::Moved)
    }
}

/// The status with the condition: `old` itself if it says so already. Other conditions stay.
fn status(old: &Value, message: &str, now: DateTime<Utc>) -> Value {
    let stamp = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut conditions = old.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_ours = |it: &Value| it.get("type").and_then(Value::as_str) == Some(REASON);
    let earlier = conditions.iter().find(|it| is_ours(it)).cloned().unwrap_or_default();
    let says = |field: &str, text: &str| earlier.get(field).and_then(Value::as_str) == Some(text);
    if !(says("status", "True") && says("message", message)) {
        let since = match earlier.get("lastTransitionTime") {
            Some(time) if says("status", "True") => time.clone(),
            _ => json!(stamp),
        };
        conditions.retain(|it| !is_ours(it));
        conditions.push(json!({
            "type": REASON, "status": "True", "reason": REASON, "message": message,
            "lastUpdateTime": stamp, "lastTransitionTime": since,
        }));
    }
    let mut status = if old.is_object() { old.clone() } else { json!({}) };
    status["conditions"] = Value::Array(conditions);
    status["phase"] = json!("Degraded");
    status["message"] = json!(format!("{REASON}: {message}"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_168_800 + second, 0).unwrap()
    }

    #[test]
    fn says_it_in_condition_phase_and_message() {
        let old = json!({"replicas": 3, "conditions": [{"type": "Available", "status": "True"}]});
        assert_eq!(
            status(&old, "bad", at(0)),
            json!({
                "replicas": 3,
                "phase": "Degraded",
                "message": "InvalidSpec: bad",
                "conditions": [
                    {"type": "Available", "status": "True"},
                    {
                        "type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": "bad",
                        "lastUpdateTime": "2026-11-20T10:00:00Z", "lastTransitionTime": "2026-11-20T10:00:00Z",
                    },
                ],
            })
        );
    }

    #[test]
    fn says_it_once_and_keeps_the_time_of_the_transition() {
        let first = status(&Value::Null, "bad", at(0));
        assert_eq!(status(&first, "bad", at(60)), first);
        let second = status(&first, "worse", at(60));
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "2026-11-20T10:00:00Z");
        assert_eq!(second["conditions"][0]["lastUpdateTime"], "2026-11-20T10:01:00Z");
    }
}
