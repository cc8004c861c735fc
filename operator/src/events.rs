//! Events on Rollouts, Experiments, AnalysisRuns and their definitions, as client-go's recorder writes them: core/v1, source
//! `rollouts-controller`, and a repeated event raises the count of the one that is there.
//!
//! They are written in the background, in order. A lost event is a pity and never holds a Rollout up.

mod book;

use k8s_openapi::{
    api::core::v1::{Event as KubernetesEvent, ObjectReference},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use operator_core::{
    effect::{Event, EventKind},
    traffic::ObjectName,
};
use prometheus::{IntCounter, Registry};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use self::book::{Book, Entry};
use crate::{clock, errors::chain, telemetry::RolloutCounts};

/// The source of all events, which users' filters and dashboards know.
pub const COMPONENT: &str = "rollouts-controller";

/// How many events may wait to be written. Beyond it they are dropped, and counted as such.
const BACKLOG: usize = 1024;

/// Takes events.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<(Subject, Event)>,
    counts: RolloutCounts,
    dropped: IntCounter,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

impl Subject {
    /// The Rollout with this metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::of_kind::<crds::Rollout>(metadata)
    }

    /// The object of another kind with this metadata.
    #[must_use]
    pub fn of_kind<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> Self {
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }

    /// The namespace of its events: of what has none it is `default`, as everywhere in Kubernetes.
    fn home(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            name: Some(self.name.clone()),
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.clone()),
            uid: Some(self.uid.clone()),
            resource_version: Some(self.resource_version.clone()),
            field_path: None,
        }
    }
}

/// Writes what a [`Recorder`] takes.
#[expect(missing_debug_implementations, reason = "a Client has no Debug")]
pub struct Writer {
    client: Client,
    queue: mpsc::Receiver<(Subject, Event)>,
    book: Book,
}

/// A recorder and its writer. Events are counted in `counts`.
///
/// # Errors
/// If a metric's name is taken.
pub fn recorder(
    client: Client,
    registry: &Registry,
    counts: RolloutCounts,
) -> prometheus::Result<(Recorder, Writer)> {
    let dropped = IntCounter::new(
        "sluice_events_dropped_total",
        "Events that were not written because too many were waiting",
    )?;
    registry.register(Box::new(dropped.clone()))?;
    let (sender, queue) = mpsc::channel(BACKLOG);
    Ok((Recorder { queue: sender, counts, dropped }, Writer { client, queue, book: Book::default() }))
}

impl Recorder {
    /// Records an event.
    pub fn record(&self, subject: &Subject, event: &Event) {
        let kind = kind(event.kind);
        let object = ObjectName::new(subject.namespace.as_str(), subject.name.as_str());
        info!(%object, of = subject.kind, kind, reason = event.reason, message = event.message, "event");
        if subject.kind == crds::Rollout::kind(&()) {
            self.counts.event(&object, kind, &event.reason);
        }
        if self.queue.try_send((subject.clone(), event.clone())).is_err() {
            self.dropped.inc();
        }
    }
}

impl Writer {
    /// Writes until every recorder is gone and the queue is empty.
    pub async fn run(mut self) {
        while let Some((subject, event)) = self.queue.recv().await {
            if let Err(error) = self.write(&subject, &event).await {
                let object = format!("{}/{}", subject.namespace, subject.name);
                warn!(
                    object,
                    of = subject.kind,
                    reason = event.reason,
                    error = chain(&error),
                    "failed to write an event"
                );
            }
        }
    }

    async fn write(&mut self, subject: &Subject, event: &Event) -> kube::Result<()> {
        let now = clock::now();
        let events: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), subject.home());
        match self.book.entry(subject, event, now) {
            Entry::Again { name, patch } => {
                match events.patch(&name, &PatchParams::default(), &Patch::Strategic(patch)).await {
                    Ok(_) => Ok(()),
                    // The API server drops events after an hour.
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        debug!(event = name, "a repeated event is gone; writing it anew");
                        self.book.forget(subject, event);
                        let Entry::New(object) = self.book.entry(subject, event, now) else { return Ok(()) };
                        events.create(&PostParams::default(), &object).await.map(drop)
                    }
                    Err(error) => Err(error),
                }
            }
            Entry::New(object) => {
                let created = events.create(&PostParams::default(), &object).await;
                if created.is_err() {
                    self.book.forget(subject, event);
                }
                created.map(drop)
            }
        }
    }
}

fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    }
}
