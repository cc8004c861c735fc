//! Verdicts as events: what `kubectl describe` shows of an object without a status.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::{
    api::core::v1::{Event as KubernetesEvent, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use operator_routes::{
    ObjectName, State, Status,
    dialect::{Carrier, CarrierKind, documents::DocumentName},
};

use crate::clock;

/// The source of the events.
const COMPONENT: &str = "sluice-routes";
/// The longest message that the API server takes.
const LONGEST: usize = 1024;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    about: ObjectReference,
    kind: &'static str,
    reason: &'static str,
    message: String,
}

impl Event {
    /// What is said on an object of Emissary; nothing if all is well.
    pub(super) fn on_object(name: &DocumentName, uid: &str, status: &Status) -> Option<Self> {
        let about = reference("getambassador.io/v3alpha1", name.kind.as_str(), &name.name, uid);
        Self::new(about, status, status.reason.clone())
    }

    /// What is said of a document on the object that bears it; nothing if all is well.
    pub(super) fn on_carrier(
        carrier: &Carrier,
        uid: &str,
        document: Option<&DocumentName>,
        number: u32,
        status: &Status,
    ) -> Option<Self> {
        let api_version = match carrier.kind {
            CarrierKind::Service => "v1",
            CarrierKind::Ingress => "networking.k8s.io/v1",
        };
        let about = reference(api_version, carrier.kind.as_str(), &carrier.name, uid);
        let what = match document {
            Some(document) => {
                format!("{} `{}` in the annotation", document.kind.as_str(), document.name.name)
            }
            None => format!("document {number} of the annotation `getambassador.io/config`"),
        };
        Self::new(about, status, format!("{what}: {}", status.reason))
    }

    /// What is said on an Ingress, also if all is well.
    pub(super) fn on_ingress(name: &ObjectName, uid: &str, status: &Status) -> Option<Self> {
        let about = reference("networking.k8s.io/v1", "Ingress", name, uid);
        let event = Self::new(about, status, status.reason.clone())?;
        let reason = if status.state == State::Running { "RouteServed" } else { event.reason };
        Some(Self { reason, ..event })
    }

    /// What is said on an Ingress of a Mapping or Host that it is in Emissary; nothing if all is well.
    pub(super) fn on_part(
        ingress: &ObjectName,
        uid: &str,
        document: &DocumentName,
        status: &Status,
    ) -> Option<Self> {
        let about = reference("networking.k8s.io/v1", "Ingress", ingress, uid);
        let what = format!("{} `{}`", document.kind.as_str(), document.name.name);
        Self::new(about, status, format!("{what}: {}", status.reason))
    }

    /// What is said on the ConfigMap with what holds for all Ingresses; nothing if all is well.
    pub(super) fn on_config_map(name: &ObjectName, uid: &str, status: &Status) -> Option<Self> {
        Self::new(reference("v1", "ConfigMap", name, uid), status, status.reason.clone())
    }

    fn new(about: ObjectReference, status: &Status, mut message: String) -> Option<Self> {
        if status.reason.is_empty() {
            return None;
        }
        if let Some((end, _)) = message.char_indices().nth(LONGEST - 1) {
            message.truncate(end);
        }
        let (kind, reason) = match status.state {
            State::Running => ("Normal", "RouteRemark"),
            State::Inactive => ("Warning", "RouteInactive"),
        };
        Some(Self { about, kind, reason, message })
    }
}

fn reference(api_version: &str, kind: &str, name: &ObjectName, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(name.namespace.to_string()),
        name: Some(name.name.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// Writes events, each once for as long as it holds.
pub(super) struct Events {
    client: Client,
    /// What was said, by the uid of the object.
    said: Mutex<BTreeSet<(Option<String>, String)>>,
}

impl Events {
    pub(super) fn new(client: Client) -> Self {
        Self { client, said: Mutex::default() }
    }

    pub(super) async fn tell(&self, event: &Event) -> kube::Result<()> {
        let key = (event.about.uid.clone(), event.message.clone());
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let now = clock::now();
        let time = Some(Time(Timestamp::from_second(now.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)));
        let namespace = event.about.namespace.clone().unwrap_or_default();
        let name = event.about.name.clone().unwrap_or_default();
        let written = KubernetesEvent {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.timestamp_micros())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: event.about.clone(),
            reason: Some(event.reason.to_owned()),
            message: Some(event.message.clone()),
            type_: Some(event.kind.to_owned()),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            count: Some(1),
            first_timestamp: time.clone(),
            last_timestamp: time,
            ..KubernetesEvent::default()
        };
        let events: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), &namespace);
        events.create(&PostParams::default(), &written).await?;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(())
    }
}
