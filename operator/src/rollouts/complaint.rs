//! What the shell itself says about a Rollout, where the engine cannot: it cannot be read, or the API server refuses
//! what the plan wants. A condition, the phase and an event say it, on that Rollout alone, once.

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::{
    effect::{Event, EventKind},
    plan::Wake,
    traffic::ObjectName,
};
use serde_json::{Value, json};

use super::{Controller, Error, Pass, execute, objects::Malformed, record};
use crate::{errors::chain, events::Subject};

/// A sentence and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Complaint {
    /// Type of the condition.
    condition: &'static str,
    /// Its status.
    status: &'static str,
    /// Its reason, and the event's.
    reason: &'static str,
    /// The sentence.
    message: String,
}

impl Controller {
    /// A Rollout that cannot be read: nothing of it moves until it is repaired.
    pub(super) async fn refuse(
        &self,
        name: &ObjectName,
        metadata: &ObjectMeta,
        malformed: &Malformed,
        now: DateTime<Utc>,
    ) -> Result<Pass, Error> {
        let complaint = Complaint {
            condition: "InvalidSpec",
            status: "True",
            reason: "InvalidSpec",
            message: format!("The Rollout {:?} is invalid: {}", name.name, malformed.error),
        };
        let written = self.complain(name, metadata, &malformed.status, &complaint, now).await?;
        Ok(if written { Pass::Moved } else { Pass::Settled(Wake::OnChange) })
    }

    /// The API server has refused an effect, and will again until somebody changes something: a quota, a role, the
    /// pod template. The plan goes no further, so its status is not recorded, and this is.
    pub(super) async fn refused(&self, name: &ObjectName, error: &execute::Error, now: DateTime<Utc>) {
        let (Some(reason), Some(stored)) = (error.refusal(), self.stores.rollouts.get(name)) else { return };
        let Ok(rollout) = &stored.decoded else { return };
        let complaint =
            Complaint { condition: "Progressing", status: "False", reason, message: chain(error) };
        // A status always serialises: it was read from JSON.
        let status = serde_json::to_value(&rollout.status).unwrap_or_default();
        let written = self.complain(name, &stored.metadata, &status, &complaint, now).await;
        if let Err(error) = written {
            tracing::debug!(rollout = %name, error = chain(&error), "failed to say why a Rollout does not go on");
        }
    }

    /// Says it unless the status says it already. Tells whether it wrote.
    async fn complain(
        &self,
        name: &ObjectName,
        metadata: &ObjectMeta,
        status: &Value,
        complaint: &Complaint,
        now: DateTime<Utc>,
    ) -> Result<bool, execute::Error> {
        let Some(patch) = record::difference(status, &complaint.status(status, now)) else {
            return Ok(false);
        };
        let (reason, message) = (complaint.reason.to_owned(), complaint.message.clone());
        self.recorder.record(&Subject::of(metadata), &Event { kind: EventKind::Warning, reason, message });
        let version = metadata.resource_version.clone().unwrap_or_default();
        self.executor.write_status(name, record::guarded(&patch, &version)).await?;
        Ok(true)
    }
}

impl Complaint {
    /// The status with the condition: `old` itself if it says so already. Other conditions stay.
    fn status(&self, old: &Value, now: DateTime<Utc>) -> Value {
        let Self { condition, status: truth, reason, message } = self;
        let stamp = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut conditions = old.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |it: &Value, field: &str| it.get(field).and_then(Value::as_str).map(str::to_owned);
        let is_ours = |it: &Value| text(it, "type").as_deref() == Some(condition);
        let earlier = conditions.iter().find(|it| is_ours(it)).cloned().unwrap_or_default();
        let says = |field: &str, wanted: &str| text(&earlier, field).as_deref() == Some(wanted);
        if !(says("status", truth) && says("reason", reason) && says("message", message)) {
            let since = match earlier.get("lastTransitionTime") {
                Some(time) if says("status", truth) => time.clone(),
                _ => json!(stamp),
            };
            conditions.retain(|it| !is_ours(it));
            conditions.push(json!({
                "type": condition, "status": truth, "reason": reason, "message": message,
                "lastUpdateTime": stamp, "lastTransitionTime": since,
            }));
        }
        let mut status = if old.is_object() { old.clone() } else { json!({}) };
        status["conditions"] = Value::Array(conditions);
        status["phase"] = json!("Degraded");
        status["message"] = json!(format!("{reason}: {message}"));
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_168_800 + second, 0).unwrap()
    }

    fn invalid(message: &str) -> Complaint {
        Complaint {
            condition: "InvalidSpec",
            status: "True",
            reason: "InvalidSpec",
            message: message.to_owned(),
        }
    }

    #[test]
    fn says_it_in_condition_phase_and_message() {
        let old = json!({"replicas": 3, "conditions": [{"type": "Available", "status": "True"}]});
        assert_eq!(
            invalid("bad").status(&old, at(0)),
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
        let first = invalid("bad").status(&Value::Null, at(0));
        assert_eq!(invalid("bad").status(&first, at(60)), first);
        let second = invalid("worse").status(&first, at(60));
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "2026-11-20T10:00:00Z");
        assert_eq!(second["conditions"][0]["lastUpdateTime"], "2026-11-20T10:01:00Z");
    }
}
