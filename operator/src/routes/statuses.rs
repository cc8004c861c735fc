//! Writes the verdicts where the owner of an object looks for them, only where something else is said: to the status
//! of a Mapping or Host; as events for kinds without a status, and on the Service that bears an annotation.

mod events;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use operator_routes::{
    State, Status, Subject,
    dialect::{Carrier, DocumentKind, Origin, documents::DocumentName},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::events::{Event, Events};
use super::served::Served;
use crate::errors::chain;

/// Emissary's groups, whichever has the object.
const GROUPS: [&str; 2] = ["getambassador.io", "x.getambassador.io"];
/// How many are written at the same time.
const AT_ONCE: usize = 8;
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What an object says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// `status.state`.
    pub(super) state: String,
    /// `status.reason`, of a Host `status.errorReason`.
    pub(super) reason: String,
    /// `status.observedGeneration`; `None`: nobody has written it, or the API server does not keep it.
    pub(super) told_generation: Option<i64>,
    /// `metadata.generation`.
    pub(super) generation: Option<i64>,
    /// `metadata.uid`.
    pub(super) uid: String,
}

/// What the objects say and what they should say.
pub(super) struct Statuses {
    observed: BTreeMap<DocumentName, Observed>,
    /// The uids of the objects that bear annotations.
    carriers: BTreeMap<Carrier, String>,
    due: Arc<Due>,
}

/// The newest verdict on each object that says something else.
#[derive(Default)]
struct Due {
    writes: Mutex<BTreeMap<Subject, Write>>,
    some: Notify,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
enum Write {
    /// A status.
    Status { name: DocumentName, status: Value },
    /// An event.
    Event(Event),
}

impl Statuses {
    /// Starts the task that writes.
    pub(super) fn start(client: Client, shutdown: &CancellationToken) -> Self {
        let due = Arc::new(Due::default());
        let writer = Writer {
            served: Served::new(client.clone()),
            events: Events::new(client.clone()),
            client,
            due: Arc::clone(&due),
        };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(writer.run()));
        Self { observed: BTreeMap::new(), carriers: BTreeMap::new(), due }
    }

    /// An object says this now, or is gone.
    pub(super) fn observed(&mut self, name: DocumentName, observed: Option<Observed>) {
        match observed {
            Some(observed) => drop(self.observed.insert(name, observed)),
            None => drop(self.observed.remove(&name)),
        }
    }

    /// The uid of an object that bears an annotation, or it bears none.
    pub(super) fn carries(&mut self, carrier: Carrier, uid: Option<String>) {
        match uid {
            Some(uid) => drop(self.carriers.insert(carrier, uid)),
            None => drop(self.carriers.remove(&carrier)),
        }
    }

    /// The verdicts on `subjects` are those in `wanted`, or none.
    pub(super) fn want<'a>(
        &self,
        wanted: &BTreeMap<Subject, Status>,
        subjects: impl Iterator<Item = &'a Subject>,
    ) {
        let mut due = self.due.lock();
        for subject in subjects {
            match wanted.get(subject).and_then(|status| self.write(subject, status)) {
                Some(write) => drop(due.insert(subject.clone(), write)),
                None => drop(due.remove(subject)),
            }
        }
        if !due.is_empty() {
            self.due.some.notify_one();
        }
    }

    /// What has to be written so that the owner learns of a verdict; `None`: nothing.
    fn write(&self, subject: &Subject, status: &Status) -> Option<Write> {
        let (name, carrier, number) = match subject {
            Subject::Document(name, Origin::Object) => {
                let observed = self.observed.get(name)?;
                return match name.kind {
                    DocumentKind::Mapping | DocumentKind::Host => {
                        let status = differing(name.kind, observed, status)?;
                        Some(Write::Status { name: name.clone(), status })
                    }
                    _ => Event::on_object(name, &observed.uid, status).map(Write::Event),
                };
            }
            Subject::Document(name, Origin::Annotation(carrier, number)) => (Some(name), carrier, *number),
            Subject::Unreadable(carrier, number) => (None, carrier, *number),
        };
        let uid = self.carriers.get(carrier)?;
        Event::on_carrier(carrier, uid, name, number, status).map(Write::Event)
    }

    /// Somebody else writes them now.
    pub(super) fn forget(&self) {
        self.due.lock().clear();
    }
}

/// The status that an object should have; `None` if it has it.
fn differing(kind: DocumentKind, observed: &Observed, status: &Status) -> Option<Value> {
    let (state, reason_field) = match (kind, status.state) {
        (DocumentKind::Host, State::Running) => ("Ready", "errorReason"),
        (DocumentKind::Host, State::Inactive) => ("Error", "errorReason"),
        (_, state) => (state.as_str(), "reason"),
    };
    // Where Emissary's definitions are installed, the API server drops the generation.
    let outdated = observed.told_generation.is_some() && observed.told_generation != observed.generation;
    if observed.state == state && observed.reason == status.reason && !outdated {
        return None;
    }
    Some(json!({"state": state, reason_field: status.reason, "observedGeneration": observed.generation}))
}

impl Due {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Subject, Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    client: Client,
    served: Served,
    events: Events,
    due: Arc<Due>,
}

impl Writer {
    async fn run(self) {
        loop {
            let batch = std::mem::take(&mut *self.due.lock());
            if batch.is_empty() {
                self.due.some.notified().await;
                continue;
            }
            let writes = stream::iter(batch).map(|(subject, write)| self.carry_out(subject, write));
            let failed: Vec<(Subject, Write)> =
                writes.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
            if failed.is_empty() {
                continue;
            }
            sleep(RETRY).await;
            let mut due = self.due.lock();
            for (subject, write) in failed {
                due.entry(subject).or_insert(write);
            }
        }
    }

    /// Gives back what was not written and should be tried again.
    async fn carry_out(&self, subject: Subject, write: Write) -> Option<(Subject, Write)> {
        let result = match &write {
            Write::Status { name, status } => self.patch(name, status).await,
            Write::Event(event) => self.events.tell(event).await,
        };
        match result {
            Ok(()) => None,
            Err(kube::Error::Api(answer)) if answer.code == 404 => None,
            Err(error) => {
                warn!(?subject, error = chain(&error), "failed to tell a verdict");
                Some((subject, write))
            }
        }
    }

    async fn patch(&self, name: &DocumentName, status: &Value) -> kube::Result<()> {
        let DocumentName { kind, name } = name;
        for group in GROUPS {
            let kind_name = if group == GROUPS[0] {
                kind.as_str().to_owned()
            } else {
                format!("Ambassador{}", kind.as_str())
            };
            let Some(resource) = self.served.resource(group, &kind_name).await? else { continue };
            match self.patch_as(&resource, &name.namespace, &name.name, status).await {
                Err(kube::Error::Api(answer)) if answer.code == 404 => {}
                result => {
                    debug!(kind = kind_name, %name, %status, "wrote a status");
                    return result;
                }
            }
        }
        Ok(())
    }

    async fn patch_as(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        status: &Value,
    ) -> kube::Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        let patch = json!({"status": status});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State, reason: &str) -> Status {
        Status { state, reason: reason.to_owned() }
    }

    #[test]
    fn a_status_is_written_only_where_it_says_something_else() {
        let observed = |state: &str, reason: &str, seen: Option<i64>| Observed {
            state: state.to_owned(),
            reason: reason.to_owned(),
            told_generation: seen,
            generation: Some(2),
            uid: "u".to_owned(),
        };
        let running = status(State::Running, "");
        let mapping = |observed: &Observed, status| differing(DocumentKind::Mapping, observed, status);
        assert!(mapping(&observed("", "", None), &running).is_some(), "nothing is said yet");
        assert!(mapping(&observed("Running", "", None), &running).is_none(), "the generation is not kept");
        assert!(mapping(&observed("Running", "", Some(2)), &running).is_none());
        assert!(mapping(&observed("Running", "", Some(1)), &running).is_some(), "of an older generation");
        assert!(mapping(&observed("Running", "a", Some(2)), &running).is_some());
        let written =
            differing(DocumentKind::Host, &observed("Ready", "", None), &status(State::Inactive, "no"));
        assert_eq!(written, Some(json!({"state": "Error", "errorReason": "no", "observedGeneration": 2})));
    }
}
