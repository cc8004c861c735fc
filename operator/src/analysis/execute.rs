//! Talks to the API server for runs: only while the lease is held.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Client, Resource,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::request::{self, Request},
};
use operator_core::traffic::ObjectName;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::objects::{ExperimentVersions, Job, RolloutVersions, StoredRun};
use crate::lease::Tenure;

/// Who writes, in managed fields.
const MANAGER: &str = "sluice-operator";

/// How long one request may take, and never longer than the lease is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// This process does not hold the lease any more.
    #[error("failed to {0}: another process may hold the lease")]
    NotHolder(&'static str),
    /// The API server refused, or could not be reached.
    #[error("failed to {what}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// No answer in time.
    #[error("failed to {what}: no answer within {} s, or before the lease had to be renewed", PATIENCE.as_secs())]
    Timeout {
        /// What was tried.
        what: &'static str,
    },
    /// A request that cannot be made.
    #[error("failed to {what}")]
    Request {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: request::Error,
    },
}

impl Error {
    /// The code with which the API server has refused, and its message.
    pub(super) fn refusal(&self) -> Option<(u16, &str)> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => Some((status.code, &status.message)),
            Self::Api { .. } | Self::NotHolder(_) | Self::Timeout { .. } | Self::Request { .. } => None,
        }
    }

    /// Whether looking again is all that is needed.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::NotHolder(_))
            || self.refusal().is_some_and(|(code, _)| matches!(code, 404 | 409))
    }
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Executor {
    client: Client,
    tenure: watch::Receiver<Tenure>,
}

impl Executor {
    /// One that acts while `tenure` holds.
    pub(super) fn new(client: Client, tenure: watch::Receiver<Tenure>) -> Self {
        Self { client, tenure }
    }

    /// Changes a run. The patch holds the version that it relies on.
    pub(super) async fn patch_run(&self, name: &ObjectName, patch: Value) -> Result<StoredRun, Error> {
        let what = "record the status";
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = of::<StoredRun>(name).patch(&name.name, &parameters, &Patch::Merge(patch));
        self.send(what, request).await
    }

    /// Reads a run.
    pub(super) async fn read_run(&self, name: &ObjectName) -> Result<StoredRun, Error> {
        self.send("read the run", of::<StoredRun>(name).get(&name.name, &GetParams::default())).await
    }

    /// Deletes a run that is over.
    pub(super) async fn delete_run(&self, name: &ObjectName, uid: Option<String>) -> Result<(), Error> {
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        self.send::<Value>("delete the run", of::<StoredRun>(name).delete(&name.name, &parameters))
            .await
            .map(drop)
    }

    /// Creates a Job.
    pub(super) async fn create_job(&self, namespace: &str, manifest: &Value) -> Result<Job, Error> {
        let name = ObjectName::new(namespace, "");
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.send("create a Job", of::<Job>(&name).create(&parameters, manifest.to_string().into_bytes()))
            .await
    }

    /// Reads a Job.
    pub(super) async fn read_job(&self, name: &ObjectName) -> Result<Job, Error> {
        self.send("read a Job", of::<Job>(name).get(&name.name, &GetParams::default())).await
    }

    /// Deletes a Job and its pods. One that is gone already is as good.
    pub(super) async fn delete_job(&self, name: &ObjectName) -> Result<(), Error> {
        let propagation_policy = Some(PropagationPolicy::Foreground);
        let parameters = DeleteParams { propagation_policy, ..DeleteParams::default() };
        let deleted =
            self.send::<Value>("delete a Job", of::<Job>(name).delete(&name.name, &parameters)).await;
        match deleted {
            Err(error) if error.refusal().is_some_and(|(code, _)| code == 404) => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// Reads a Secret: only at a measurement that refers to it.
    pub(super) async fn read_secret(&self, name: &ObjectName) -> Result<Secret, Error> {
        let url = k8s_openapi::api::core::v1::Secret::url_path(&(), Some(&name.namespace));
        self.send("read a Secret", Request::new(url).get(&name.name, &GetParams::default())).await
    }

    /// Reads which versions a Rollout has.
    pub(super) async fn read_versions(&self, name: &ObjectName) -> Result<RolloutVersions, Error> {
        let request = of::<crds::Rollout>(name).get(&name.name, &GetParams::default());
        self.send("read the Rollout", request).await
    }

    /// Reads which templates an Experiment has.
    pub(super) async fn read_templates(&self, name: &ObjectName) -> Result<ExperimentVersions, Error> {
        let request = of::<crds::Experiment>(name).get(&name.name, &GetParams::default());
        self.send("read the Experiment", request).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: Result<http::Request<Vec<u8>>, request::Error>,
    ) -> Result<T, Error> {
        let request = request.map_err(|source| Error::Request { what, source })?;
        let now = Instant::now();
        let Some(until) = self.tenure.borrow().until(now) else { return Err(Error::NotHolder(what)) };
        match tokio::time::timeout_at(until.min(now + PATIENCE), self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(Error::Api { what, source }),
            Err(_) => Err(Error::Timeout { what }),
        }
    }
}

fn of<K: Resource<DynamicType = ()>>(name: &ObjectName) -> Request {
    Request::new(K::url_path(&(), Some(&name.namespace)))
}

/// The values of a Secret. They are decoded by whoever needs one, and shown by nobody.
#[derive(Deserialize)]
pub(super) struct Secret {
    #[serde(default)]
    data: BTreeMap<String, k8s_openapi::ByteString>,
}

impl Secret {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.data.get(key).map(|it| String::from_utf8_lossy(&it.0).into_owned())
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        self.data
            .iter()
            .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
            .collect()
    }
}
