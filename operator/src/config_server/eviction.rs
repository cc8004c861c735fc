//! Evicts the pods of proxies that do not acknowledge, within their disruption budget, and says so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use operator_routes::Scope;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    laggards::{Laggards, Outcome, Overdue},
    shared::Shared,
};
use crate::{clock, errors::chain};

/// How often it is looked who lags behind.
const LOOK: Duration = Duration::from_secs(5);
/// The source of the events.
const COMPONENT: &str = "sluice-operator";
/// Their reason.
const REASON: &str = "ProxyNotAcknowledging";

/// Looks after the fleet until `shutdown`. Only the holder of the lease knows one.
pub(super) async fn run(client: Client, shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut evictor =
        Evictor { client, shared, laggards: BTreeMap::new(), term: None, said: BTreeMap::new() };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        if shutdown.run_until_cancelled(evictor.look()).await.is_none() {
            return;
        }
    }
}

struct Evictor {
    client: Client,
    shared: Arc<Shared>,
    /// Of each scope: revisions of different ones do not compare.
    laggards: BTreeMap<Scope, Laggards>,
    /// The term that the laggards are of.
    term: Option<u64>,
    /// What was said of each pod last, to say it once.
    said: BTreeMap<String, String>,
}

impl Evictor {
    async fn look(&mut self) {
        let fleet = self.shared.counted();
        let term = fleet.as_ref().map(|(term, _)| *term);
        if self.term != term {
            // Revisions of different terms do not compare.
            self.term = term;
            self.laggards.clear();
            self.said.clear();
        }
        let Some((_, scopes)) = fleet else { return };
        self.laggards.retain(|scope, _| scopes.contains_key(scope));
        for (scope, counted) in scopes {
            let laggards = self.laggards.entry(scope.clone()).or_default();
            if let Some(overdue) = laggards.overdue(&counted, Instant::now()) {
                self.make_way(&scope, overdue).await;
            }
        }
    }

    /// Evicts a proxy and says so.
    async fn make_way(&mut self, scope: &Scope, overdue: Overdue) {
        let refusal = self.evict(&overdue).await.err();
        let outcome = if refusal.is_none() { Outcome::Evicted } else { Outcome::Refused };
        if let Some(laggards) = self.laggards.get_mut(scope) {
            laggards.asked(&overdue.uid, outcome, Instant::now());
        }
        let fate =
            refusal.map_or_else(|| "evicted".to_owned(), |error| format!("not evicted: {}", chain(&error)));
        if outcome == Outcome::Evicted {
            self.shared.metrics.evicted.inc();
        }
        if self.said.get(&overdue.uid) == Some(&fate) {
            return;
        }
        let Overdue { uid, pod, lag, ahead } = &overdue;
        let seconds = lag.as_secs();
        warn!(%pod, seconds, ahead, fate, "a proxy does not acknowledge its configuration while others do");
        let others =
            if *ahead == 1 { "another proxy has".to_owned() } else { format!("{ahead} others have") };
        let message = format!(
            "The proxy has not acknowledged its configuration for {seconds} s while {others}; {fate}"
        );
        if let Err(error) = self.tell(&overdue, message).await {
            warn!(%pod, error = chain(&error), "failed to write an event");
        }
        self.said.insert(uid.clone(), fate);
    }

    /// By the uid, so that a pod that took the name meanwhile stays. `Api::evict` sends no precondition: it misspells
    /// the field.
    async fn evict(&self, overdue: &Overdue) -> kube::Result<()> {
        let name = &*overdue.pod.name;
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": &*overdue.pod.namespace},
            "deleteOptions": {"preconditions": {"uid": overdue.uid}},
        });
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &overdue.pod.namespace);
        let params = PostParams::default();
        pods.create_subresource::<_, Value>("eviction", name, &params, &eviction).await.map(drop)
    }

    /// Writes an event on the pod.
    async fn tell(&self, overdue: &Overdue, message: String) -> kube::Result<()> {
        let now = clock::now();
        let time = Some(Time(Timestamp::from_second(now.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)));
        let (namespace, name) = (overdue.pod.namespace.to_string(), overdue.pod.name.to_string());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.timestamp_micros())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(name),
                namespace: Some(namespace.clone()),
                uid: Some(overdue.uid.clone()),
                ..ObjectReference::default()
            },
            reason: Some(REASON.to_owned()),
            message: Some(message),
            type_: Some("Warning".to_owned()),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            count: Some(1),
            first_timestamp: time.clone(),
            last_timestamp: time,
            ..Event::default()
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        events.create(&PostParams::default(), &event).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
