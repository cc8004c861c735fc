//! The Secrets that routes refer to. Of all others only names and versions are known; these are fetched, when they are
//! referred to and when they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use operator_objects as objects;
use operator_routes::{ObjectName, object::SecretObject};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Input;
use crate::errors::chain;

/// After a fetch that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Which Secrets there are, which are wanted, and which are being fetched.
pub(super) struct Secrets {
    versions: BTreeMap<ObjectName, String>,
    wanted: BTreeSet<ObjectName>,
    /// The version that was asked for last.
    asked: BTreeMap<ObjectName, String>,
    underway: BTreeSet<ObjectName>,
    queue: mpsc::UnboundedSender<ObjectName>,
}

impl Secrets {
    /// Starts the task that fetches; what it has fetched goes to `inputs`.
    pub(super) fn start(client: Client, inputs: mpsc::Sender<Input>, shutdown: &CancellationToken) -> Self {
        let (queue, wanted) = mpsc::unbounded_channel();
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(fetch(client, wanted, inputs)));
        Self {
            versions: BTreeMap::new(),
            wanted: BTreeSet::new(),
            asked: BTreeMap::new(),
            underway: BTreeSet::new(),
            queue,
        }
    }

    /// A Secret has this version now, or is gone. Returns whether what is known of it is gone with it.
    pub(super) fn seen(&mut self, name: &ObjectName, version: Option<String>) -> bool {
        let gone = version.is_none();
        match version {
            Some(version) => drop(self.versions.insert(name.clone(), version)),
            None => drop(self.versions.remove(name)),
        }
        self.refresh(name);
        gone && self.asked.remove(name).is_some()
    }

    /// Something refers to a Secret now, or nothing does any more. Returns whether what is known of it may go.
    pub(super) fn want(&mut self, name: &ObjectName, wanted: bool) -> bool {
        if wanted {
            self.wanted.insert(name.clone());
            self.refresh(name);
            return false;
        }
        self.wanted.remove(name);
        self.asked.remove(name).is_some()
    }

    /// One has been fetched. Returns whether it still is what was asked for.
    pub(super) fn fetched(&mut self, name: &ObjectName) -> bool {
        self.underway.remove(name);
        self.wanted.contains(name)
    }

    /// Whether nothing is being fetched.
    pub(super) fn complete(&self) -> bool {
        self.underway.is_empty()
    }

    fn refresh(&mut self, name: &ObjectName) {
        let Some(version) = self.versions.get(name).filter(|_| self.wanted.contains(name)) else { return };
        if self.asked.get(name) != Some(version) {
            self.asked.insert(name.clone(), version.clone());
            self.underway.insert(name.clone());
            // Nobody fetches once the process ends.
            let _ = self.queue.send(name.clone());
        }
    }
}

async fn fetch(client: Client, mut wanted: mpsc::UnboundedReceiver<ObjectName>, inputs: mpsc::Sender<Input>) {
    while let Some(name) = wanted.recv().await {
        let api: Api<Secret> = Api::namespaced(client.clone(), &name.namespace);
        let secret: Option<SecretObject> = loop {
            match api.get_opt(&name.name).await {
                Ok(secret) => break secret.as_ref().map(objects::secret),
                Err(error) => {
                    warn!(secret = %name, error = chain(&error), "failed to fetch a Secret");
                    sleep(RETRY).await;
                }
            }
        };
        if inputs.send(Input::Secret(name, secret)).await.is_err() {
            return;
        }
    }
}
