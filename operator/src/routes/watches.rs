//! The watches: each tells what there is, then what changes, for as long as the process runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    pin::pin,
    time::Duration,
};

use crds::contract::POD_TEMPLATE_HASH_LABEL;
use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Pod, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams},
    core::{DynamicResourceScope, GroupVersionKind, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use operator_routes::{ObjectChange, ObjectName, object::ResolverKind};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Input, objects};
use crate::config_server::Settings;

/// The group of Mappings and resolvers.
const GROUP: &str = "getambassador.io";
/// Versions in which Emissary's kinds may be served, the preferred one first.
const VERSIONS: [&str; 3] = ["v3alpha1", "v2", "v1"];
/// Between two tries after an error; doubles up to the second.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// How often it is looked whether a kind has been installed.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// One kind of objects that routes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Mappings,
    EndpointResolvers,
    ServiceResolvers,
    ConsulResolvers,
    Services,
    EndpointSlices,
    Pods,
    Rollouts,
}

impl Source {
    pub(super) const ALL: [Self; 8] = [
        Self::Mappings,
        Self::EndpointResolvers,
        Self::ServiceResolvers,
        Self::ConsulResolvers,
        Self::Services,
        Self::EndpointSlices,
        Self::Pods,
        Self::Rollouts,
    ];
}

/// Starts a task for each source. They end with `shutdown`.
pub(super) fn start_watches(
    client: &Client,
    settings: &Settings,
    inputs: &Sender<Input>,
    shutdown: &CancellationToken,
) {
    for source in Source::ALL {
        let watch = Watch {
            source,
            client: client.clone(),
            namespace: settings.watch_namespace.clone(),
            proxy_service: settings.proxy_service.clone(),
            inputs: inputs.clone(),
        };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(watch.run()));
    }
    // The proxies may live outside the namespace that is watched.
    if settings
        .watch_namespace
        .as_deref()
        .is_some_and(|namespace| *namespace != *settings.proxy_service.namespace)
    {
        warn!(
            proxy_service = %settings.proxy_service,
            "the proxies' Service is not in the watched namespace: only proxies with a stream count"
        );
    }
}

/// The first version of a kind that the API server has.
async fn first_served(
    client: &Client,
    namespace: Option<&str>,
    group: &str,
    versions: &[&str],
    kind: &str,
) -> Option<ApiResource> {
    for version in versions {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        match api.list(&ListParams::default().limit(1)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            // Also if it cannot be asked now: the watch tells what is wrong, and goes on trying.
            Ok(_) | Err(_) => return Some(resource),
        }
    }
    None
}

/// How Mappings are read and written; `None` if the API server has none.
pub(super) async fn mapping_resource(client: &Client, namespace: Option<&str>) -> Option<ApiResource> {
    first_served(client, namespace, GROUP, &VERSIONS, "Mapping").await
}

struct Watch {
    source: Source,
    client: Client,
    namespace: Option<String>,
    proxy_service: ObjectName,
    inputs: Sender<Input>,
}

/// What a watch makes of an object.
type Told = (ObjectName, Vec<Input>);

impl Watch {
    async fn run(self) {
        match self.source {
            Source::Mappings => self.custom(GROUP, &VERSIONS, "Mapping", told_mapping).await,
            Source::EndpointResolvers => {
                let told = |it| told_resolver(&it, ResolverKind::Endpoint);
                self.custom(GROUP, &VERSIONS, "KubernetesEndpointResolver", told).await;
            }
            Source::ServiceResolvers => {
                let told = |it| told_resolver(&it, ResolverKind::Service);
                self.custom(GROUP, &VERSIONS, "KubernetesServiceResolver", told).await;
            }
            Source::ConsulResolvers => {
                let told = |it| told_resolver(&it, ResolverKind::Consul);
                self.custom(GROUP, &VERSIONS, "ConsulResolver", told).await;
            }
            Source::Rollouts => self.custom("argoproj.io", &["v1alpha1"], "Rollout", told_rollout).await,
            Source::Services => {
                self.built_in(watcher::Config::default(), |it| told_service(&it)).await;
            }
            Source::EndpointSlices => {
                let proxies = self.proxy_service.clone();
                self.built_in(watcher::Config::default(), |slice| told_slice(&slice, &proxies)).await;
            }
            Source::Pods => {
                let with_hash = watcher::Config::default().labels(POD_TEMPLATE_HASH_LABEL);
                self.built_in(with_hash, |it| told_pod(&it)).await;
            }
        }
    }

    /// Watches a kind that every API server has.
    async fn built_in<K>(&self, config: watcher::Config, told: impl Fn(K) -> Told)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        let api: Api<K> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.follow(watcher(api, config), &told).await;
    }

    /// Watches a kind that somebody has to install. Until then there are none of it.
    async fn custom<K>(&self, group: &str, versions: &[&str], kind: &str, told: impl Fn(K) -> Told)
    where
        K: Resource<Scope = DynamicResourceScope, DynamicType = ApiResource>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        loop {
            if let Some(resource) =
                first_served(&self.client, self.namespace.as_deref(), group, versions, kind).await
            {
                let api: Api<K> = match &self.namespace {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                    None => Api::all_with(self.client.clone(), &resource),
                };
                self.follow(watcher(api, watcher::Config::default()), &told).await;
            }
            debug!(kind, "the kind is not installed");
            self.tell(Input::Complete(self.source)).await;
            sleep(ASK_AGAIN).await;
        }
    }

    /// Tells what a watch says. Returns when the kind is not there (any more).
    async fn follow<K>(
        &self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        told: &impl Fn(K) -> Told,
    ) {
        let mut stream = pin!(stream);
        let mut known = BTreeSet::new();
        // While everything is told again: who has not been named yet.
        let mut unnamed = BTreeSet::new();
        let mut retry = RETRY_FIRST;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => unnamed.clone_from(&known),
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    retry = RETRY_FIRST;
                    let (name, inputs) = told(object);
                    unnamed.remove(&name);
                    known.insert(name);
                    self.tell_all(inputs).await;
                }
                Ok(Event::InitDone) => {
                    retry = RETRY_FIRST;
                    for name in std::mem::take(&mut unnamed) {
                        known.remove(&name);
                        self.tell_all(self.source.gone(name)).await;
                    }
                    self.tell(Input::Complete(self.source)).await;
                }
                Ok(Event::Delete(object)) => {
                    let (name, _) = told(object);
                    known.remove(&name);
                    self.tell_all(self.source.gone(name)).await;
                }
                Err(error) if is_missing(&error) => break,
                Err(error) => {
                    warn!(source = ?self.source, %error, "a watch failed and is tried again");
                    sleep(retry).await;
                    retry = RETRY_LAST.min(retry * 2);
                }
            }
        }
        for name in known {
            self.tell_all(self.source.gone(name)).await;
        }
    }

    async fn tell_all(&self, inputs: Vec<Input>) {
        for input in inputs {
            self.tell(input).await;
        }
    }

    async fn tell(&self, input: Input) {
        // Nobody listens once the process ends.
        let _ = self.inputs.send(input).await;
    }
}

impl Source {
    /// What is told of an object that is gone.
    fn gone(self, name: ObjectName) -> Vec<Input> {
        let change = match self {
            Self::Mappings => ObjectChange::Mapping(name.clone(), None),
            Self::EndpointResolvers | Self::ServiceResolvers | Self::ConsulResolvers => {
                ObjectChange::Resolver(name.clone(), None)
            }
            Self::Services => ObjectChange::Service(name.clone(), None),
            Self::EndpointSlices => ObjectChange::EndpointSlice(name.clone(), None),
            Self::Pods => ObjectChange::Pod(name.clone(), None),
            Self::Rollouts => ObjectChange::Rollout(name.clone(), None),
        };
        let more = match self {
            Self::Mappings => Some(Input::MappingStatus(name, None)),
            Self::EndpointSlices => Some(Input::ProxySlice(name, BTreeMap::new())),
            Self::EndpointResolvers
            | Self::ServiceResolvers
            | Self::ConsulResolvers
            | Self::Services
            | Self::Pods
            | Self::Rollouts => None,
        };
        more.into_iter().chain([Input::Change(change)]).collect()
    }
}

fn told_mapping(mut mapping: DynamicObject) -> Told {
    let name = objects::name(&mapping.metadata);
    let status = Input::MappingStatus(name.clone(), Some(objects::mapping_status(&mapping)));
    let slim = objects::mapping(&mut mapping);
    (name.clone(), vec![status, Input::Change(ObjectChange::Mapping(name, Some(slim)))])
}

fn told_resolver(resolver: &PartialObjectMeta<DynamicObject>, kind: ResolverKind) -> Told {
    let name = objects::name(&resolver.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Resolver(name, Some(kind)))])
}

#[expect(clippy::needless_pass_by_value, reason = "what a watch makes of an object owns it")]
fn told_rollout(rollout: DynamicObject) -> Told {
    let name = objects::name(&rollout.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Rollout(name, Some(objects::rollout(&rollout))))])
}

fn told_service(service: &Service) -> Told {
    let name = objects::name(&service.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Service(name, Some(objects::service(service))))])
}

fn told_slice(slice: &EndpointSlice, proxies: &ObjectName) -> Told {
    let name = objects::name(&slice.metadata);
    let mut inputs = Vec::new();
    let of_proxies = objects::slice_service(slice).as_ref() == Some(proxies);
    let carrying = if of_proxies { objects::carrying_pods(slice) } else { BTreeMap::new() };
    inputs.push(Input::ProxySlice(name.clone(), carrying));
    inputs.push(Input::Change(ObjectChange::EndpointSlice(name.clone(), objects::slice(slice))));
    (name, inputs)
}

fn told_pod(pod: &PartialObjectMeta<Pod>) -> Told {
    let name = objects::name(&pod.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Pod(name, objects::pod(&pod.metadata)))])
}

/// Whether the API server does not know the kind.
fn is_missing(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => false,
    }
}
