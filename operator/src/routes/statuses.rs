//! Writes the verdicts to the status of each Mapping, only where they say something else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use operator_routes::{ObjectName, Status};
use serde_json::json;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::watches::mapping_resource;

/// How many are written at the same time.
const AT_ONCE: usize = 8;
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What the statuses say and what they should say.
pub(super) struct Statuses {
    observed: BTreeMap<ObjectName, (String, String)>,
    due: Arc<Due>,
}

/// The newest verdict of each Mapping whose status says something else.
#[derive(Default)]
struct Due {
    statuses: Mutex<BTreeMap<ObjectName, Status>>,
    some: Notify,
}

impl Statuses {
    /// Starts the task that writes.
    pub(super) fn start(client: Client, namespace: Option<String>, shutdown: &CancellationToken) -> Self {
        let due = Arc::new(Due::default());
        let writer = Writer { client, namespace, due: Arc::clone(&due) };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(writer.run()));
        Self { observed: BTreeMap::new(), due }
    }

    /// A Mapping's status says this now, or the Mapping is gone.
    pub(super) fn observed(&mut self, name: ObjectName, status: Option<(String, String)>) {
        match status {
            Some(status) => drop(self.observed.insert(name, status)),
            None => drop(self.observed.remove(&name)),
        }
    }

    /// The verdicts on `names` are those in `wanted`, or none.
    pub(super) fn want<'a>(
        &self,
        wanted: &BTreeMap<ObjectName, Status>,
        names: impl Iterator<Item = &'a ObjectName>,
    ) {
        let mut due = self.due.lock();
        for name in names {
            let differs = wanted.get(name).filter(|status| {
                let observed =
                    self.observed.get(name).map(|(state, reason)| (state.as_str(), reason.as_str()));
                observed != Some((status.state.as_str(), status.reason.as_str()))
            });
            match differs {
                Some(status) => drop(due.insert(name.clone(), status.clone())),
                None => drop(due.remove(name)),
            }
        }
        if !due.is_empty() {
            self.due.some.notify_one();
        }
    }

    /// Somebody else writes them now.
    pub(super) fn forget(&self) {
        self.due.lock().clear();
    }
}

impl Due {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectName, Status>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    client: Client,
    namespace: Option<String>,
    due: Arc<Due>,
}

impl Writer {
    async fn run(self) {
        let mut resource = None;
        loop {
            let batch = std::mem::take(&mut *self.due.lock());
            if batch.is_empty() {
                self.due.some.notified().await;
                continue;
            }
            if resource.is_none() {
                resource = mapping_resource(&self.client, self.namespace.as_deref()).await;
            }
            let Some(kind) = resource.clone() else { continue };
            let writes = stream::iter(batch).map(|(name, status)| self.write(kind.clone(), name, status));
            let failed: Vec<(ObjectName, Status)> =
                writes.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
            if failed.is_empty() {
                continue;
            }
            // Perhaps the kind is served in another version now.
            resource = None;
            sleep(RETRY).await;
            let mut due = self.due.lock();
            for (name, status) in failed {
                due.entry(name).or_insert(status);
            }
        }
    }

    /// Gives back what was not written and should be tried again.
    async fn write(
        &self,
        kind: kube::api::ApiResource,
        name: ObjectName,
        status: Status,
    ) -> Option<(ObjectName, Status)> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &name.namespace, &kind);
        let patch = json!({"status": {"state": status.state.as_str(), "reason": status.reason}});
        match api.patch_status(&name.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {
                debug!(mapping = %name, state = status.state.as_str(), reason = status.reason, "wrote a status");
                None
            }
            Err(kube::Error::Api(answer)) if answer.code == 404 => None,
            Err(error) => {
                warn!(mapping = %name, %error, "failed to write the status of a Mapping");
                Some((name, status))
            }
        }
    }
}
