//! The connection to a cluster, and the kinds that the commands read and write.

use crds::analysis::{AnalysisTemplate, ClusterAnalysisTemplate};
use crds::{AnalysisRun, Experiment, Rollout};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::arguments::Connection;
use crate::failure::Failure;

/// Who the plugin is in `managedFields` and audit logs.
pub const FIELD_MANAGER: &str = "kubectl-sluice";

/// A cluster and the namespace to work in.
///
/// Objects of `argoproj.io` are read raw: what this version does not know survives a write, and one object that it
/// cannot read does not hide the others.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster that the flags and the kubeconfig name. Nothing is sent yet.
    pub async fn connect(connection: &Connection) -> Result<Self, Failure> {
        let mut config = config(connection).await?;
        if let Some(server) = &connection.server {
            config.cluster_url = server.clone();
        }
        if let Some(token) = &connection.token {
            let token = serde_json::json!({ "token": token });
            config.auth_info = serde_json::from_value(token).unwrap_or_default();
        }
        if connection.impersonate.is_some() {
            config.auth_info.impersonate.clone_from(&connection.impersonate);
            config.auth_info.impersonate_groups = Some(connection.impersonate_groups.clone());
        }
        config.accept_invalid_certs |= connection.insecure_skip_tls_verify;
        if let Some(timeout) = connection.request_timeout.filter(|timeout| !timeout.is_zero()) {
            config.connect_timeout = Some(timeout);
            config.read_timeout = Some(timeout);
        }
        let namespace = connection.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Failure::Unreachable(Box::new(error)))?;
        Ok(Self::new(client, namespace))
    }

    /// A cluster behind a client.
    #[must_use]
    pub const fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    /// The namespace to work in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// For requests of any kind.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Rollouts of the namespace.
    #[must_use]
    pub fn rollouts(&self) -> Api<DynamicObject> {
        self.of_kind(&ApiResource::erase::<Rollout>(&()))
    }

    /// Rollouts of all namespaces.
    #[must_use]
    pub fn all_rollouts(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ApiResource::erase::<Rollout>(&()))
    }

    /// `AnalysisRuns` of the namespace.
    #[must_use]
    pub fn analysis_runs(&self) -> Api<DynamicObject> {
        self.of_kind(&ApiResource::erase::<AnalysisRun>(&()))
    }

    /// `AnalysisTemplates` of the namespace.
    #[must_use]
    pub fn analysis_templates(&self) -> Api<DynamicObject> {
        self.of_kind(&ApiResource::erase::<AnalysisTemplate>(&()))
    }

    /// `ClusterAnalysisTemplates`.
    #[must_use]
    pub fn cluster_analysis_templates(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ApiResource::erase::<ClusterAnalysisTemplate>(&()))
    }

    /// Experiments of the namespace.
    #[must_use]
    pub fn experiments(&self) -> Api<DynamicObject> {
        self.of_kind(&ApiResource::erase::<Experiment>(&()))
    }

    /// Experiments of all namespaces.
    #[must_use]
    pub fn all_experiments(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ApiResource::erase::<Experiment>(&()))
    }

    /// ReplicaSets of the namespace.
    #[must_use]
    pub fn replica_sets(&self) -> Api<ReplicaSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Pods of the namespace.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of any kind of the namespace.
    #[must_use]
    pub fn of_kind(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }
}

async fn config(connection: &Connection) -> Result<Config, Failure> {
    let unreadable = |error| Failure::Kubeconfig(Box::new(error));
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    let from_file = match &connection.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(unreadable)?;
            Config::from_custom_kubeconfig(file, &options).await
        }
        None => Config::from_kubeconfig(&options).await,
    };
    match (from_file, &connection.server) {
        (Ok(config), _) => Ok(config),
        (Err(_), Some(server)) => Ok(Config::new(server.clone())),
        (Err(error), None) if connection.kubeconfig.is_some() || connection.context.is_some() => {
            Err(unreadable(error))
        }
        // In a pod there is no kubeconfig, but the pod's own account.
        (Err(error), None) => Config::incluster().map_err(|_| unreadable(error)),
    }
}
