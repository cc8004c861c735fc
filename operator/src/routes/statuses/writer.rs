//! Writes what is due, several at the same time; what fails is tried again unless something newer is due by then.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use operator_routes::{GatewayObjectName, ObjectName, Subject, dialect::documents::DocumentName};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tracing::{debug, warn};

use super::events::{Event, Events};
use crate::{errors::chain, routes::served::Served};

/// Emissary's groups, whichever has the object.
const GROUPS: [&str; 2] = ["getambassador.io", "x.getambassador.io"];
/// How many are written at the same time.
const AT_ONCE: usize = 8;
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// After a batch: what an object of the Gateway API says changes with each of its routes, and is written once for many.
const GATHER: Duration = Duration::from_millis(100);

/// The newest verdict on each object that says something else.
#[derive(Default)]
pub(super) struct Due {
    writes: Mutex<BTreeMap<Topic, Write>>,
    some: Notify,
}

/// What a write is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Verdict(Subject),
    /// The status of an object of which events tell as well.
    Status(DocumentName),
    /// The addresses of an Ingress.
    Addresses(ObjectName),
    /// An object of the Gateway API.
    Gateway(GatewayObjectName),
    /// What keeps a GatewayClass.
    Finalizer(ObjectName),
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    /// A status.
    Status { name: DocumentName, status: Value },
    /// An event.
    Event(Event),
    /// The addresses of an Ingress.
    Addresses { ingress: ObjectName, addresses: Vec<String> },
    /// Fields of the status of an object of the Gateway API, on top of a version of it.
    Gateway { name: GatewayObjectName, version: String, status: Value },
    /// The finalizers of a GatewayClass, on top of a version of it.
    Finalizers { class: GatewayObjectName, version: String, finalizers: Vec<String> },
}

impl Due {
    /// What is to be written, by what it is about: the newest counts.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<Topic, Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to write.
    pub(super) fn announce(&self) {
        self.some.notify_one();
    }
}

/// The task that writes.
pub(super) struct Writer {
    client: Client,
    served: Served,
    events: Events,
    due: Arc<Due>,
}

impl Writer {
    pub(super) fn new(client: Client, due: Arc<Due>) -> Self {
        let (served, events) = (Served::new(client.clone()), Events::new(client.clone()));
        Self { client, served, events, due }
    }

    /// Writes what is due, for as long as the process runs.
    pub(super) async fn run(self) {
        loop {
            let batch = std::mem::take(&mut *self.due.lock());
            if batch.is_empty() {
                self.due.some.notified().await;
                continue;
            }
            let writes = stream::iter(batch).map(|(topic, write)| self.carry_out(topic, write));
            let failed: Vec<(Topic, Write)> =
                writes.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
            if failed.is_empty() {
                sleep(GATHER).await;
                continue;
            }
            sleep(RETRY).await;
            let mut due = self.due.lock();
            for (topic, write) in failed {
                due.entry(topic).or_insert(write);
            }
        }
    }

    /// Gives back what was not written and should be tried again.
    async fn carry_out(&self, topic: Topic, write: Write) -> Option<(Topic, Write)> {
        let result = match &write {
            Write::Status { name, status } => self.patch(name, status).await,
            Write::Event(event) => self.events.tell(event).await,
            Write::Addresses { ingress, addresses } => self.tell_addresses(ingress, addresses).await,
            Write::Gateway { name, version, status } => {
                let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
                self.patch_gateway(name, true, &patch).await
            }
            Write::Finalizers { class, version, finalizers } => {
                let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
                self.patch_gateway(class, false, &patch).await
            }
        };
        match result {
            Ok(()) => None,
            Err(kube::Error::Api(answer)) if answer.code == 404 => None,
            // Somebody else has written: the watch tells what, and it is decided again.
            Err(kube::Error::Api(answer)) if answer.code == 409 => None,
            Err(error) => {
                warn!(?topic, error = chain(&error), "failed to tell a verdict");
                Some((topic, write))
            }
        }
    }

    async fn tell_addresses(&self, ingress: &ObjectName, addresses: &[String]) -> kube::Result<()> {
        let address = |text: &String| match text.parse::<IpAddr>() {
            Ok(_) => json!({"ip": text}),
            Err(_) => json!({"hostname": text}),
        };
        let addresses: Vec<Value> = addresses.iter().map(address).collect();
        let patch = json!({"status": {"loadBalancer": {"ingress": addresses}}});
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &ingress.namespace);
        api.patch_status(&ingress.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        debug!(%ingress, ?addresses, "wrote the addresses of an Ingress");
        Ok(())
    }

    async fn patch_gateway(&self, id: &GatewayObjectName, status: bool, patch: &Value) -> kube::Result<()> {
        let GatewayObjectName { kind, name } = id;
        let Some(resource) = self.served.resource(crds::gateway::GROUP, kind.as_str()).await? else {
            return Ok(());
        };
        let client = self.client.clone();
        let api: Api<DynamicObject> = if kind.namespaced() {
            Api::namespaced_with(client, &name.namespace, &resource)
        } else {
            Api::all_with(client, &resource)
        };
        let parameters = PatchParams::default();
        let patch = Patch::Merge(patch);
        if status {
            api.patch_status(&name.name, &parameters, &patch).await?;
        } else {
            api.patch(&name.name, &parameters, &patch).await?;
        }
        debug!(kind = kind.as_str(), %name, "wrote to an object of the Gateway API");
        Ok(())
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
