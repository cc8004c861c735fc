//! What has been written, so that a repeated event counts up instead of filling the cluster: pure.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use k8s_openapi::{
    api::core::v1::{Event as KubernetesEvent, EventSource},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use operator_core::effect::Event;
use serde_json::{Value, json};

use super::{COMPONENT, Subject, kind};

/// How many different events are remembered, as client-go's cache.
const CAPACITY: usize = 4096;

/// The events of this process.
#[derive(Debug, Default)]
pub(super) struct Book {
    written: BTreeMap<Key, Written>,
    /// Oldest first.
    order: VecDeque<Key>,
    /// Makes names unique within one nanosecond.
    serial: i64,
}

/// What makes two events one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    uid: String,
    kind: &'static str,
    reason: String,
    message: String,
}

#[derive(Clone, Debug)]
struct Written {
    name: String,
    count: i32,
}

/// How to write an event.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// It is new: create it.
    New(Box<KubernetesEvent>),
    /// It was there: raise its count.
    Again {
        /// Its name.
        name: String,
        /// A strategic merge patch.
        patch: Value,
    },
}

impl Book {
    /// Notes an event and says how to write it.
    pub(super) fn entry(&mut self, subject: &Subject, event: &Event, now: DateTime<Utc>) -> Entry {
        let key = key(subject, event);
        let time = time(now);
        if let Some(written) = self.written.get_mut(&key) {
            written.count = written.count.saturating_add(1);
            let patch = json!({"count": written.count, "lastTimestamp": time, "message": event.message});
            return Entry::Again { name: written.name.clone(), patch };
        }
        let name = self.name(subject, now);
        self.remember(key, Written { name: name.clone(), count: 1 });
        Entry::New(Box::new(KubernetesEvent {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(subject.home().to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: subject.reference(),
            reason: Some(event.reason.clone()),
            message: Some(truncated(&event.message)),
            type_: Some(kind(event.kind).to_owned()),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            count: Some(1),
            first_timestamp: Some(time.clone()),
            last_timestamp: Some(time),
            ..KubernetesEvent::default()
        }))
    }

    /// Forgets an event: it was not written, or is gone.
    pub(super) fn forget(&mut self, subject: &Subject, event: &Event) {
        let key = key(subject, event);
        self.written.remove(&key);
        self.order.retain(|it| *it != key);
    }

    fn remember(&mut self, key: Key, written: Written) {
        if self.order.len() >= CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.written.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.written.insert(key, written);
    }

    /// `<rollout>.<hexadecimal number>`, as client-go names events.
    fn name(&mut self, subject: &Subject, now: DateTime<Utc>) -> String {
        self.serial = self.serial.wrapping_add(1);
        let unique = now.timestamp_nanos_opt().unwrap_or_default().wrapping_add(self.serial);
        let rollout = &subject.name[..subject.name.floor_char_boundary(230)];
        format!("{rollout}.{unique:x}")
    }
}

fn key(subject: &Subject, event: &Event) -> Key {
    Key {
        uid: subject.uid.clone(),
        kind: kind(event.kind),
        reason: event.reason.clone(),
        message: event.message.clone(),
    }
}

fn time(now: DateTime<Utc>) -> Time {
    Time(Timestamp::from_second(now.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The API server takes 1024 bytes.
fn truncated(message: &str) -> String {
    message[..message.floor_char_boundary(1024)].to_owned()
}

#[cfg(test)]
mod tests {
    use operator_core::effect::EventKind;

    use super::*;

    fn subject() -> Subject {
        Subject {
            api_version: "argoproj.io/v1alpha1".to_owned(),
            kind: "Rollout".to_owned(),
            namespace: "web".to_owned(),
            name: "app".to_owned(),
            uid: "u1".to_owned(),
            resource_version: "7".to_owned(),
        }
    }

    fn event(message: &str) -> Event {
        Event { kind: EventKind::Warning, reason: "RolloutAborted".to_owned(), message: message.to_owned() }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_168_800, 5).unwrap()
    }

    #[test]
    fn a_new_event_is_written_as_argo_writes_it() {
        let Entry::New(written) = Book::default().entry(&subject(), &event("broken"), now()) else {
            panic!("the event is new");
        };
        assert_eq!(
            serde_json::to_value(written).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "app.18e9b8832bdd4006", "namespace": "web"},
                "type": "Warning",
                "reason": "RolloutAborted",
                "message": "broken",
                "count": 1,
                "firstTimestamp": "2026-11-20T10:00:00Z",
                "lastTimestamp": "2026-11-20T10:00:00Z",
                "involvedObject": {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Rollout",
                    "name": "app",
                    "namespace": "web",
                    "resourceVersion": "7",
                    "uid": "u1",
                },
                "source": {"component": "rollouts-controller"},
                "reportingComponent": "rollouts-controller",
            })
        );
    }

    #[test]
    fn an_event_on_what_has_no_namespace_is_in_default() {
        let definition = Subject { namespace: String::new(), ..subject() };
        let Entry::New(written) = Book::default().entry(&definition, &event("broken"), now()) else {
            panic!("the event is new");
        };
        assert_eq!(written.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(written.involved_object.namespace, None);
    }

    #[test]
    fn a_repeated_event_counts_up() {
        let mut book = Book::default();
        let Entry::New(first) = book.entry(&subject(), &event("broken"), now()) else { panic!("new") };
        let again = book.entry(&subject(), &event("broken"), now());
        let patch = json!({"count": 2, "lastTimestamp": "2026-11-20T10:00:00Z", "message": "broken"});
        assert_eq!(again, Entry::Again { name: first.metadata.name.unwrap(), patch });
        assert!(matches!(book.entry(&subject(), &event("other"), now()), Entry::New(_)));
        book.forget(&subject(), &event("broken"));
        assert!(matches!(book.entry(&subject(), &event("broken"), now()), Entry::New(_)));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten() {
        let mut book = Book::default();
        for number in 0..=CAPACITY {
            let _ = book.entry(&subject(), &event(&number.to_string()), now());
        }
        assert_eq!(book.written.len(), CAPACITY);
        assert!(matches!(book.entry(&subject(), &event("0"), now()), Entry::New(_)));
        assert!(matches!(book.entry(&subject(), &event("9"), now()), Entry::Again { .. }));
    }
}
