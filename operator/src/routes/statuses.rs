//! Writes the verdicts where the owner of an object looks for them, only where something else is said: to the status
//! of a Mapping or Host; to the status and as events for kinds whose definition may have no status; as events for those
//! without one, and on the Service that bears an annotation. The status of an Ingress has no place for them: it tells where
//! the proxies are. What an object of the Gateway API says is in `statuses/gateway.rs`; the requests are made in
//! `statuses/writer.rs`.

mod events;
mod gateway;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crds::go_json::rfc3339_seconds;
use kube::Client;
use operator_objects::{Observed, SeenGateway, SeenIngress};
use operator_routes::{
    GatewayObjectName, ObjectName, State, Status, Subject,
    dialect::{Carrier, DocumentKind, Origin, documents::DocumentName},
    gateway::{GatewayStatus, status::StatusContent},
    recent::Recent,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::{
    events::Event,
    writer::{Due, Topic, Write, Writer},
};
use crate::clock;

/// What the objects say and what they should say.
pub(super) struct Statuses {
    observed: BTreeMap<DocumentName, Observed>,
    /// The uids of the objects that bear annotations.
    carriers: BTreeMap<Carrier, String>,
    ingresses: BTreeMap<ObjectName, SeenIngress>,
    /// The ConfigMap with what holds for all Ingresses, and its uid.
    defaults: Option<(ObjectName, String)>,
    /// Where clients reach the proxies.
    addresses: Vec<String>,
    /// Whether that was said once and for all.
    fixed: bool,
    /// The uid of each Ingress that was told its addresses, and which. Whoever changes them afterwards is left alone: two
    /// controllers would undo each other's work.
    told: Mutex<BTreeMap<ObjectName, (String, Vec<String>)>>,
    gateways: BTreeMap<GatewayObjectName, SeenGateway>,
    /// Statuses that were seen lately: those of routes that were attached in the same second are the same.
    seen: Recent<str>,
    /// The names that we control Gateways under.
    controllers: Vec<String>,
    due: Arc<Due>,
}

impl Statuses {
    /// Starts the task that writes. `addresses` are where clients reach the proxies; without any [`Statuses::publish`]
    /// says it.
    pub(super) fn start(
        client: Client,
        addresses: Vec<String>,
        controllers: Vec<String>,
        shutdown: &CancellationToken,
    ) -> Self {
        let due = Arc::new(Due::default());
        let writer = Writer::new(client, Arc::clone(&due));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(writer.run()));
        Self {
            observed: BTreeMap::new(),
            carriers: BTreeMap::new(),
            ingresses: BTreeMap::new(),
            defaults: None,
            fixed: !addresses.is_empty(),
            addresses,
            told: Mutex::default(),
            gateways: BTreeMap::new(),
            seen: Recent::default(),
            controllers,
            due,
        }
    }

    /// An object of the Gateway API says this now, or is gone.
    pub(super) fn saw_gateway(&mut self, name: GatewayObjectName, seen: Option<SeenGateway>) {
        match seen {
            Some(mut seen) => {
                seen.status.share(&mut self.seen);
                self.gateways.insert(name, seen);
            }
            None => drop(self.gateways.remove(&name)),
        }
    }

    /// What objects of the Gateway API say is in `wanted`, or nothing is ours: of these, or of all.
    pub(super) fn want_gateways(
        &self,
        wanted: &BTreeMap<GatewayObjectName, Arc<GatewayStatus>>,
        names: Option<BTreeSet<&GatewayObjectName>>,
    ) {
        let now = rfc3339_seconds(clock::now());
        let names = names.unwrap_or_else(|| self.gateways.keys().collect());
        let mut due = self.due.lock();
        for name in names {
            let seen = self.gateways.get(name);
            let wanted = wanted.get(name).map(|it| &**it);
            let write = seen.and_then(|seen| {
                let status = gateway::differing(&seen.status.read(), wanted, &self.controllers, &now)?;
                Some(Write::Gateway {
                    name: name.clone(),
                    version: seen.resource_version.to_string(),
                    status,
                })
            });
            let topic = Topic::Gateway(name.clone());
            match write {
                Some(write) => drop(due.insert(topic, write)),
                None => drop(due.remove(&topic)),
            }
            if let Some((seen, StatusContent::Class { used, .. })) = seen.zip(wanted.map(|it| &it.content)) {
                let topic = Topic::Finalizer(name.name.clone());
                let version = seen.resource_version.to_string();
                match finalizers(&seen.finalizers, *used) {
                    Some(finalizers) => {
                        drop(
                            due.insert(topic, Write::Finalizers { class: name.clone(), version, finalizers }),
                        );
                    }
                    None => drop(due.remove(&topic)),
                }
            }
        }
        if !due.is_empty() {
            self.due.announce();
        }
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

    /// An Ingress says this now, or is gone.
    pub(super) fn saw_ingress(&mut self, name: ObjectName, seen: Option<SeenIngress>) {
        if let Some(seen) = seen {
            self.ingresses.insert(name, seen);
        } else {
            self.told.get_mut().unwrap_or_else(PoisonError::into_inner).remove(&name);
            self.ingresses.remove(&name);
        }
    }

    /// The ConfigMap with what holds for all Ingresses.
    pub(super) fn saw_defaults(&mut self, map: Option<(ObjectName, String)>) {
        self.defaults = map;
    }

    /// Clients reach the proxies there. Returns whether that is news.
    pub(super) fn publish(&mut self, addresses: Vec<String>) -> bool {
        let news = !self.fixed && self.addresses != addresses;
        if news {
            self.addresses = addresses;
        }
        news
    }

    /// The verdicts on `subjects` are those in `wanted`, or none.
    pub(super) fn want<'a>(
        &self,
        wanted: &BTreeMap<Subject, Status>,
        subjects: impl Iterator<Item = &'a Subject>,
    ) {
        let mut due = self.due.lock();
        for subject in subjects {
            let topic = Topic::Verdict(subject.clone());
            match wanted.get(subject).and_then(|status| self.write(subject, status)) {
                Some(write) => drop(due.insert(topic, write)),
                None => drop(due.remove(&topic)),
            }
            if let Subject::Document(name, Origin::Object) = subject
                && told_of(name.kind) == ToldBy::StatusAndEvent
            {
                let topic = Topic::Status(name.clone());
                match wanted.get(subject).and_then(|status| self.status(name, status)) {
                    Some(write) => drop(due.insert(topic, write)),
                    None => drop(due.remove(&topic)),
                }
            }
            if let Subject::Ingress(ingress) = subject {
                let topic = Topic::Addresses(ingress.clone());
                match self.addresses(ingress, wanted.contains_key(subject)) {
                    Some(addresses) => {
                        drop(due.insert(topic, Write::Addresses { ingress: ingress.clone(), addresses }));
                    }
                    None => drop(due.remove(&topic)),
                }
            }
        }
        if !due.is_empty() {
            self.due.announce();
        }
    }

    /// The addresses that an Ingress should have and has not. One that is not ours any more has none of ours.
    fn addresses(&self, ingress: &ObjectName, ours: bool) -> Option<Vec<String>> {
        let seen = self.ingresses.get(ingress)?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !ours {
            let had = told.remove(ingress).is_some();
            let has = !self.addresses.is_empty() && seen.addresses == self.addresses;
            return (had && has).then(Vec::new);
        }
        // Not to know an address is no reason to take away what another controller knows.
        if self.addresses.is_empty() && !told.contains_key(ingress) {
            return None;
        }
        let wanted = (seen.uid.clone(), self.addresses.clone());
        if told.get(ingress) == Some(&wanted) {
            return None;
        }
        told.insert(ingress.clone(), wanted);
        (seen.addresses != self.addresses).then(|| self.addresses.clone())
    }

    /// What has to be written so that the owner learns of a verdict; `None`: nothing.
    fn write(&self, subject: &Subject, status: &Status) -> Option<Write> {
        let (name, carrier, number) = match subject {
            Subject::Document(name, Origin::Object) => {
                let observed = self.observed.get(name)?;
                return match told_of(name.kind) {
                    ToldBy::Status => self.status(name, status),
                    ToldBy::StatusAndEvent | ToldBy::Event => {
                        Event::on_object(name, &observed.uid, status).map(Write::Event)
                    }
                };
            }
            Subject::Document(name, Origin::Annotation(carrier, number)) => (Some(name), carrier, *number),
            Subject::Document(name, Origin::Ingress(ingress)) => {
                let uid = &self.ingresses.get(ingress)?.uid;
                return Event::on_part(ingress, uid, name, status).map(Write::Event);
            }
            Subject::Unreadable(carrier, number) => (None, carrier, *number),
            Subject::Ingress(name) => {
                let uid = &self.ingresses.get(name)?.uid;
                return Event::on_ingress(name, uid, status).map(Write::Event);
            }
            Subject::IngressDefaults => {
                let (name, uid) = self.defaults.as_ref()?;
                return Event::on_config_map(name, uid, status).map(Write::Event);
            }
        };
        let uid = self.carriers.get(carrier)?;
        Event::on_carrier(carrier, uid, name, number, status).map(Write::Event)
    }

    /// The status that an object should have and has not.
    fn status(&self, name: &DocumentName, status: &Status) -> Option<Write> {
        let status = differing(name.kind, self.observed.get(name)?, status)?;
        Some(Write::Status { name: name.clone(), status })
    }

    /// Somebody else writes them now.
    pub(super) fn forget(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.due.lock().clear();
    }
}

/// How the owner of an object learns what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ToldBy {
    Status,
    /// The status is kept only where our definition of the kind is installed; Emissary's has none.
    StatusAndEvent,
    Event,
}

fn told_of(kind: DocumentKind) -> ToldBy {
    match kind {
        DocumentKind::Mapping | DocumentKind::Host => ToldBy::Status,
        DocumentKind::Listener | DocumentKind::TcpMapping | DocumentKind::TlsContext => {
            ToldBy::StatusAndEvent
        }
        DocumentKind::Module | DocumentKind::Resolver(_) => ToldBy::Event,
    }
}

/// The finalizers that a GatewayClass should have; `None` if it has them.
fn finalizers(seen: &[String], used: bool) -> Option<Vec<String>> {
    let others = seen.iter().filter(|it| *it != gateway::FINALIZER).cloned();
    let wanted: Vec<String> = others.chain(used.then(|| gateway::FINALIZER.to_owned())).collect();
    (wanted.len() != seen.len()).then_some(wanted)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses() -> Statuses {
        Statuses {
            observed: BTreeMap::new(),
            carriers: BTreeMap::new(),
            ingresses: BTreeMap::new(),
            defaults: None,
            addresses: Vec::new(),
            fixed: false,
            told: Mutex::default(),
            gateways: BTreeMap::new(),
            seen: Recent::default(),
            controllers: Vec::new(),
            due: Arc::default(),
        }
    }

    #[test]
    fn what_an_object_says_goes_where_its_kind_has_a_place_for_it() {
        let said = |kind: DocumentKind| {
            let mut statuses = statuses();
            let name = DocumentName { kind, name: ObjectName::new("shop", "a") };
            statuses.observed(name.clone(), Some(Observed { generation: Some(2), ..Observed::default() }));
            let subject = Subject::Document(name, Origin::Object);
            let wanted = BTreeMap::from([(subject.clone(), status(State::Inactive, "no"))]);
            statuses.want(&wanted, [&subject].into_iter());
            let due = statuses.due.lock();
            let (states, events): (Vec<_>, Vec<_>) =
                due.values().partition(|write| matches!(write, Write::Status { .. }));
            (states.len(), events.len())
        };
        let table = [
            (DocumentKind::Mapping, (1, 0)),
            (DocumentKind::Host, (1, 0)),
            (DocumentKind::Listener, (1, 1)),
            (DocumentKind::TcpMapping, (1, 1)),
            (DocumentKind::TlsContext, (1, 1)),
            (DocumentKind::Module, (0, 1)),
        ];
        for (kind, expected) in table {
            assert_eq!(said(kind), expected, "{}", kind.as_str());
        }
    }

    fn status(state: State, reason: &str) -> Status {
        Status { state, reason: reason.to_owned() }
    }

    #[test]
    fn the_addresses_of_an_ingress_are_written_once_and_taken_away_when_it_is_no_longer_ours() {
        let mut statuses = statuses();
        let name = ObjectName::new("shop", "web");
        let sees = |statuses: &mut Statuses, uid: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|it| (*it).to_owned()).collect();
            statuses.saw_ingress(name.clone(), Some(SeenIngress { uid: uid.to_owned(), addresses }));
        };
        let own = || Some(vec!["198.18.0.1".to_owned()]);
        sees(&mut statuses, "1", &["another"]);
        assert_eq!(statuses.addresses(&name, true), None, "where the proxies are is not known yet");
        assert!(statuses.publish(vec!["198.18.0.1".to_owned()]));
        assert_eq!(statuses.addresses(&name, true), own());
        sees(&mut statuses, "1", &["another"]);
        assert_eq!(statuses.addresses(&name, true), None, "another controller has the last word");
        sees(&mut statuses, "2", &[]);
        assert_eq!(statuses.addresses(&name, true), own(), "it was made anew");
        sees(&mut statuses, "2", &["198.18.0.1"]);
        assert_eq!(statuses.addresses(&name, false), Some(Vec::new()), "it is not ours any more");
        assert_eq!(statuses.addresses(&name, false), None);
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
        let written = differing(
            DocumentKind::Listener,
            &observed("", "", None),
            &status(State::Inactive, "port 8080 is that of another"),
        );
        let reason = "port 8080 is that of another";
        let expected = json!({"state": "Inactive", "reason": reason, "observedGeneration": 2});
        assert_eq!(written, Some(expected));
        let written =
            differing(DocumentKind::Host, &observed("Ready", "", None), &status(State::Inactive, "no"));
        assert_eq!(written, Some(json!({"state": "Error", "errorReason": "no", "observedGeneration": 2})));
    }
}
