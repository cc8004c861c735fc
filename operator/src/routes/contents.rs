//! The Secrets and `ConfigMaps` that routes refer to. Of all others only names and versions are known; these are fetched, when
//! they are referred to and when they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use operator_objects as objects;
use operator_routes::ObjectName;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Input;
use crate::errors::chain;

/// After a fetch that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Something of which the content is fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    Secret(ObjectName),
    ConfigMap(ObjectName),
}

/// Which Secrets and `ConfigMaps` there are, which are wanted, and which are being fetched.
pub(super) struct Contents {
    versions: BTreeMap<Content, String>,
    wanted: BTreeSet<Content>,
    /// The version that was asked for last.
    asked: BTreeMap<Content, String>,
    underway: BTreeSet<Content>,
    queue: mpsc::UnboundedSender<Content>,
}

impl Contents {
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

    /// One has this version now, or is gone. Returns whether what is known of it is gone with it.
    pub(super) fn seen(&mut self, name: &Content, version: Option<String>) -> bool {
        let gone = version.is_none();
        match version {
            Some(version) => drop(self.versions.insert(name.clone(), version)),
            None => drop(self.versions.remove(name)),
        }
        self.refresh(name);
        gone && self.asked.remove(name).is_some()
    }

    /// Something refers to one now, or nothing does any more. Returns whether what is known of it may go.
    pub(super) fn want(&mut self, name: &Content, wanted: bool) -> bool {
        if wanted {
            self.wanted.insert(name.clone());
            self.refresh(name);
            return false;
        }
        self.wanted.remove(name);
        self.asked.remove(name).is_some()
    }

    /// One has been fetched. Returns whether it still is what was asked for.
    pub(super) fn fetched(&mut self, name: &Content) -> bool {
        self.underway.remove(name);
        self.wanted.contains(name)
    }

    /// Whether nothing is being fetched.
    pub(super) fn complete(&self) -> bool {
        self.underway.is_empty()
    }

    fn refresh(&mut self, name: &Content) {
        let Some(version) = self.versions.get(name).filter(|_| self.wanted.contains(name)) else { return };
        if self.asked.get(name) != Some(version) {
            self.asked.insert(name.clone(), version.clone());
            self.underway.insert(name.clone());
            // Nobody fetches once the process ends.
            let _ = self.queue.send(name.clone());
        }
    }
}

async fn fetch(client: Client, mut wanted: mpsc::UnboundedReceiver<Content>, inputs: mpsc::Sender<Input>) {
    while let Some(content) = wanted.recv().await {
        let input = loop {
            match get(&client, &content).await {
                Ok(input) => break input,
                Err(error) => {
                    warn!(?content, error = chain(&error), "failed to fetch what a route refers to");
                    sleep(RETRY).await;
                }
            }
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

async fn get(client: &Client, content: &Content) -> kube::Result<Input> {
    Ok(match content {
        Content::Secret(name) => {
            let api: Api<Secret> = Api::namespaced(client.clone(), &name.namespace);
            let secret = api.get_opt(&name.name).await?;
            Input::Secret(name.clone(), secret.as_ref().map(objects::secret))
        }
        Content::ConfigMap(name) => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), &name.namespace);
            let map = api.get_opt(&name.name).await?;
            Input::ConfigMap(name.clone(), map.as_ref().map(objects::config_map))
        }
    })
}
