//! One namespace of a real cluster, as a user works in it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::{
    Api, Client, Resource as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch,
        PatchParams, PostParams, PropagationPolicy,
    },
    core::{NamespaceResourceScope, TypeMeta},
    discovery::{self, Scope},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use crate::{pod, tally::Tally};

/// Written into every object that the tests and the demo apply.
const FIELD_MANAGER: &str = "sluice-integration-tests";

/// The image of the application and of the load.
pub const DEMO_IMAGE: &str = "localhost/sluice-demo";

/// A namespace and who works in it.
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
    /// The namespace of this name, made now if there is none, in the cluster that kubectl would use.
    pub async fn namespace(name: &str) -> anyhow::Result<Self> {
        let client =
            Client::try_default().await.context("failed to reach a cluster: run `cargo xtask cluster up`")?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Api::<Namespace>::all(client.clone())
            .patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(object))
            .await
            .with_context(|| format!("failed to make the namespace {name}"))?;
        Ok(Self { client, namespace: name.to_owned() })
    }

    /// The same, without anything that an earlier run left in it.
    pub async fn fresh_namespace(name: &str) -> anyhow::Result<Self> {
        let client =
            Client::try_default().await.context("failed to reach a cluster: run `cargo xtask cluster up`")?;
        let earlier = Self { client, namespace: name.to_owned() };
        let namespaces = Api::<Namespace>::all(earlier.client.clone());
        if namespaces.get_opt(name).await.context("failed to look for the namespace")?.is_some() {
            // One that is being deleted already cannot be deleted again, which is no failure.
            let _ = earlier.clone().remove().await;
            earlier.gone(Duration::from_mins(3)).await?;
        }
        Self::namespace(name).await
    }

    /// The same cluster as seen from another namespace, which must exist.
    #[must_use]
    pub fn elsewhere(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.namespace
    }

    /// A typed view of one kind.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies every document of a YAML text.
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        for document in documents(yaml)? {
            let (api, name) = self.api_of(&document).await?;
            api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&document))
                .await
                .with_context(|| format!("failed to apply {name}"))?;
        }
        Ok(())
    }

    /// Reads a namespaced object of any kind; `None` if there is none.
    pub async fn get(&self, kind: Kind, name: &str) -> anyhow::Result<Option<DynamicObject>> {
        self.dynamic(kind).get_opt(name).await.with_context(|| format!("failed to read {kind:?} {name}"))
    }

    /// Reads the status of a Rollout, as tools do.
    pub async fn rollout(&self, name: &str) -> anyhow::Result<RolloutView> {
        let rollout =
            self.get(Kind::Rollout, name).await?.with_context(|| format!("there is no Rollout {name}"))?;
        RolloutView::read(&rollout)
    }

    /// What the API server answers to a GET of this path, which may lead to what no kind describes.
    pub async fn raw<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = http::Request::get(path).body(Vec::new()).context("failed to make a request")?;
        self.client.request(request).await.with_context(|| format!("failed to read {path}"))
    }

    /// Makes an object.
    pub async fn create(&self, kind: Kind, object: &Value) -> anyhow::Result<()> {
        let object: DynamicObject = parse(object, "an object")?;
        let made = self.dynamic(kind).create(&PostParams::default(), &object).await;
        made.map(drop).with_context(|| format!("failed to make {kind:?} {:?}", object.metadata.name))
    }

    /// Merges a JSON patch into an object.
    pub async fn merge(&self, kind: Kind, name: &str, patch: &Value) -> anyhow::Result<()> {
        let api = self.dynamic(kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("failed to change {kind:?} {name}"))?;
        Ok(())
    }

    /// Merges a JSON patch into the status of an object, as the plugin does.
    pub async fn merge_status(&self, kind: Kind, name: &str, patch: &Value) -> anyhow::Result<()> {
        let api = self.dynamic(kind);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("failed to change the status of {kind:?} {name}"))?;
        Ok(())
    }

    /// Deletes an object and what it owns; none is fine.
    pub async fn delete(&self, kind: Kind, name: &str) -> anyhow::Result<()> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        match self.dynamic(kind).delete(name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            done => done.map(drop).with_context(|| format!("failed to delete {kind:?} {name}")),
        }
    }

    /// Deletes an object that belongs to no namespace; none is fine.
    pub async fn delete_of_all(&self, kind: &GroupVersionKind, name: &str) -> anyhow::Result<()> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &ApiResource::from_gvk(kind));
        let GroupVersionKind { kind, .. } = kind;
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            done => done.map(drop).with_context(|| format!("failed to delete {kind} {name}")),
        }
    }

    /// Changes the image of the first container of a Rollout: a new version.
    pub async fn set_image(&self, rollout: &str, tag: &str) -> anyhow::Result<()> {
        self.set_image_of(Kind::Rollout, rollout, tag).await
    }

    /// Changes the image of the first container of an object with a pod template.
    pub async fn set_image_of(&self, kind: Kind, name: &str, tag: &str) -> anyhow::Result<()> {
        let patch: json_patch::Patch = serde_json::from_value(json!([{
            "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("{DEMO_IMAGE}:{tag}"),
        }]))
        .context("failed to make the patch")?;
        self.dynamic(kind)
            .patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
            .await
            .with_context(|| format!("failed to change the image of {name}"))?;
        Ok(())
    }

    /// Names of the pods with this label, running or not.
    pub async fn pods(&self, labels: &str) -> anyhow::Result<Vec<Pod>> {
        Ok(self
            .api::<Pod>()
            .list(&ListParams::default().labels(labels))
            .await
            .context("failed to list pods")?
            .items)
    }

    /// The addresses of the pods with this label; none is an error.
    pub async fn pod_addresses(&self, labels: &str) -> anyhow::Result<Vec<IpAddr>> {
        let addresses: Vec<_> = self.pods(labels).await?.iter().filter_map(pod::address).collect();
        ensure!(!addresses.is_empty(), "no pod with {labels} has an address: is Sluice installed?");
        Ok(addresses)
    }

    /// The pods behind a Service, ready or not.
    pub async fn pods_of(&self, service: &str) -> anyhow::Result<Vec<Pod>> {
        let service = self
            .get(Kind::Service, service)
            .await?
            .with_context(|| format!("there is no Service {service}"))?;
        let selector: BTreeMap<String, String> =
            parse(&service.data["spec"]["selector"], "the Service's selector")?;
        let labels: Vec<String> = selector.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.pods(&labels.join(",")).await
    }

    /// `reason message` of every event about objects of this name, oldest first.
    pub async fn events(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let parameters = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut events = self.api::<Event>().list(&parameters).await.context("failed to list events")?.items;
        events.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
        let text = |event: Event| {
            format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        };
        Ok(events.into_iter().map(text).collect())
    }

    /// Waits until `done` gives a value, and says what it waited for when it does not in time.
    pub async fn until<T, F>(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut() -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<Option<T>>>,
    {
        let waiting = async {
            loop {
                if let Some(value) = done().await? {
                    return anyhow::Ok(value);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(done) => done,
            Err(_) => bail!("waited {} s in vain until {what} in {}", limit.as_secs(), self.namespace),
        }
    }

    /// Waits until a Rollout looks as asked; the error shows how it looked last.
    pub async fn until_rollout(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        done: impl Fn(&RolloutView) -> bool,
    ) -> anyhow::Result<RolloutView> {
        let seen = || async { Ok(Some(self.rollout(name).await?).filter(|view| done(view))) };
        match self.until(&format!("{name} is {what}"), limit, seen).await {
            Ok(view) => Ok(view),
            Err(error) => bail!("{error:#}; it is {:#?}", self.rollout(name).await?),
        }
    }

    /// Starts a load on `target` from inside the cluster and waits for its first answers.
    pub async fn load(&self, target: &str, rate: u32, connections: u32) -> anyhow::Result<Load> {
        Load::start(self, target, rate, connections).await
    }

    /// Deletes the namespace with all that is in it, without waiting.
    pub async fn remove(self) -> anyhow::Result<()> {
        Api::<Namespace>::all(self.client.clone())
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .with_context(|| format!("failed to delete the namespace {}", self.namespace))?;
        Ok(())
    }

    /// Deletes the namespace and waits until nothing is left of it.
    pub async fn removed(self, limit: Duration) -> anyhow::Result<()> {
        self.clone().remove().await?;
        self.gone(limit).await
    }

    async fn gone(&self, limit: Duration) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let gone = || async { Ok(namespaces.get_opt(&self.namespace).await?.is_none().then_some(())) };
        self.until("everything is gone", limit, gone).await
    }

    /// A view of one kind without its type: what is read keeps fields that no type here knows.
    #[must_use]
    pub fn dynamic(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    async fn api_of(&self, document: &Value) -> anyhow::Result<(Api<DynamicObject>, String)> {
        let types: TypeMeta = parse(document, "apiVersion and kind")?;
        let kind = GroupVersionKind::try_from(&types).context("failed to read apiVersion and kind")?;
        let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind)
            .await
            .with_context(|| format!("the cluster does not know {} {}", types.api_version, types.kind))?;
        let name =
            document.pointer("/metadata/name").and_then(Value::as_str).context("a document has no name")?;
        let api = match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        };
        Ok((api, name.to_owned()))
    }
}

/// The kinds that stories read and change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `argoproj.io/v1alpha1`
    Rollout,
    /// `argoproj.io/v1alpha1`
    Experiment,
    /// `argoproj.io/v1alpha1`
    AnalysisRun,
    /// `getambassador.io/v3alpha1`
    Mapping,
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    ReplicaSet,
    /// `v1`
    Service,
    /// `v1`
    Pod,
    /// `coordination.k8s.io/v1`
    Lease,
    /// `networking.k8s.io/v1`
    Ingress,
    /// `gateway.networking.k8s.io/v1`
    Gateway,
    /// `gateway.networking.k8s.io/v1`
    HttpRoute,
    /// `policy/v1`
    PodDisruptionBudget,
}

impl Kind {
    fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Rollout => ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
            Self::Experiment => ("argoproj.io", "v1alpha1", "Experiment", "experiments"),
            Self::AnalysisRun => ("argoproj.io", "v1alpha1", "AnalysisRun", "analysisruns"),
            Self::Mapping => ("getambassador.io", "v3alpha1", "Mapping", "mappings"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Gateway => ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// What tools read of a Rollout's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RolloutView {
    /// Healthy, Progressing, Paused or Degraded.
    pub phase: String,
    /// Why.
    pub message: String,
    /// The step it is at, from 0; past the last one when done.
    pub current_step_index: Option<i32>,
    /// Hash of the newest version.
    pub current_pod_hash: String,
    /// Hash of the version that was promoted last.
    #[serde(rename = "stableRS")]
    pub stable_rs: String,
    /// Whether it was aborted.
    pub abort: bool,
    /// Why it waits, and since when.
    pub pause_conditions: Vec<PauseView>,
    /// Which generation of the spec this status is about.
    pub observed_generation: String,
    /// Weights.
    pub canary: CanaryView,
    /// The generation of the spec.
    #[serde(skip)]
    pub generation: String,
}

/// A reason to wait in a Rollout's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PauseView {
    /// `CanaryPauseStep` at a step.
    pub reason: String,
}

/// The canary part of a Rollout's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CanaryView {
    /// Absent without traffic routing.
    pub weights: Option<WeightsView>,
}

/// What was written into the routes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WeightsView {
    /// The canary's.
    pub canary: WeightView,
    /// Every proxy that can carry the route serves it.
    pub verified: Option<bool>,
}

/// One weight.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WeightView {
    /// 0 to 100.
    pub weight: u32,
}

impl RolloutView {
    /// From a whole object; a Rollout that nobody has looked at yet has an empty status.
    pub fn read(rollout: &DynamicObject) -> anyhow::Result<Self> {
        let status = rollout.data.get("status").cloned().unwrap_or_else(|| json!({}));
        let generation = rollout.meta().generation.unwrap_or_default().to_string();
        Ok(Self { generation, ..parse(&status, "the status of the Rollout")? })
    }

    /// The status is about the newest spec, and all is done.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.phase == "Healthy" && self.seen() && self.stable_rs == self.current_pod_hash
    }

    /// The status is about the newest spec.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.observed_generation == self.generation
    }

    /// It waits at a step, and the status says so.
    #[must_use]
    pub fn paused_at_step(&self) -> bool {
        self.phase == "Paused" && self.pause_conditions.iter().any(|pause| pause.reason == "CanaryPauseStep")
    }

    /// The canary's weight once every proxy serves it.
    #[must_use]
    pub fn verified_weight(&self) -> Option<u32> {
        let weights = self.canary.weights.as_ref()?;
        (weights.verified == Some(true)).then_some(weights.canary.weight)
    }
}

/// A load that runs in the cluster.
#[derive(Debug)]
pub struct Load {
    cluster: Cluster,
    tallies: watch::Receiver<Vec<Tally>>,
    reader: JoinHandle<anyhow::Result<()>>,
}

impl Load {
    async fn start(cluster: &Cluster, target: &str, rate: u32, connections: u32) -> anyhow::Result<Self> {
        cluster.delete(Kind::Pod, "load").await?;
        let gone = || async { Ok(cluster.get(Kind::Pod, "load").await?.is_none().then_some(())) };
        cluster.until("an older load is gone", Duration::from_mins(1), gone).await?;
        let pod: Pod = parse(
            &json!({
                "metadata": {"name": "load"},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 20,
                    "containers": [{
                        "name": "load",
                        "image": format!("{DEMO_IMAGE}:v1"),
                        "args": ["load", target, "--rate", rate.to_string(), "--connections", connections.to_string()],
                    }],
                },
            }),
            "the load's pod",
        )?;
        cluster
            .api::<Pod>()
            .create(&PostParams::default(), &pod)
            .await
            .context("failed to start the load")?;
        let (sender, tallies) = watch::channel(Vec::new());
        let reader = tokio::spawn(read(cluster.clone(), sender));
        let mut load = Self { cluster: cluster.clone(), tallies, reader };
        load.wait_for("the first answer", |tally| tally.answered() > 0).await?;
        Ok(load)
    }

    /// Every line so far, oldest first.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.tallies.borrow().clone()
    }

    /// The newest line.
    #[must_use]
    pub fn now(&self) -> Tally {
        self.tallies.borrow().last().cloned().unwrap_or_default()
    }

    /// Waits for a line.
    pub async fn wait_for(&mut self, what: &str, done: impl Fn(&Tally) -> bool) -> anyhow::Result<()> {
        let seen = self.tallies.wait_for(|tallies| tallies.last().is_some_and(&done));
        let seen = tokio::time::timeout(Duration::from_mins(1), seen).await.map(|seen| seen.map(drop));
        match seen {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => bail!("the load ended before {what}"),
            Err(_) => bail!("waited 60 s in vain for {what}; last seen: {:?}", self.now()),
        }
    }

    /// Ends the load and gives the sums over every request.
    pub async fn stop(mut self) -> anyhow::Result<Tally> {
        self.cluster.delete(Kind::Pod, "load").await?;
        self.wait_for("its last request", |tally| tally.done).await?;
        self.reader.abort();
        Ok(self.now())
    }
}

async fn read(cluster: Cluster, tallies: watch::Sender<Vec<Tally>>) -> anyhow::Result<()> {
    let running = || async {
        let pod = cluster.api::<Pod>().get("load").await.context("failed to read the load's pod")?;
        let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
        Ok((phase != "Pending").then_some(()))
    };
    cluster.until("the load runs", Duration::from_mins(1), running).await?;
    let parameters = LogParams { follow: true, ..LogParams::default() };
    let lines =
        cluster.api::<Pod>().log_stream("load", &parameters).await.context("failed to follow the load")?;
    let mut lines = lines.lines();
    while let Some(line) = lines.try_next().await.context("failed to read the load's output")? {
        let tally = serde_json::from_str(&line).with_context(|| format!("the load says {line:?}"))?;
        tallies.send_modify(|tallies| tallies.push(tally));
    }
    Ok(())
}

fn documents(yaml: &str) -> anyhow::Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("failed to read YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn parse<T: DeserializeOwned>(value: &Value, what: &str) -> anyhow::Result<T> {
    serde_json::from_value(value.clone()).with_context(|| format!("failed to read {what}"))
}
