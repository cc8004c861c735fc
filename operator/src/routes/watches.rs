//! The watches: each tells what there is, then what changes, for as long as the process runs. What it tells of an object is
//! in `watches/told.rs`.

mod told;

use std::{collections::BTreeSet, fmt::Debug, pin::pin, sync::Arc, time::Duration};

use crds::{contract::POD_TEMPLATE_HASH_LABEL, gateway::GatewayKind};
use futures::{Stream, StreamExt as _};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, api::core::v1::ConfigMap};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::DynamicResourceScope,
    runtime::watcher::{self, Event, watcher},
};
use operator_gateways::names;
use operator_routes::{ObjectName, dialect::DocumentKind};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::told::Told;
use super::{Input, served::Served};
use crate::{
    config_server::{IngressSettings, Settings},
    errors::chain,
    lists::everything,
};

/// Emissary's group, and the one of its 2.0 preview, whose kinds have longer names.
const GROUP: &str = "getambassador.io";
const PREVIEW_GROUP: &str = "x.getambassador.io";
/// Between two tries after an error; doubles up to the second.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// How often it is looked whether a kind has been installed.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// One kind of objects that routes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A kind of `getambassador.io`.
    Emissary(DocumentKind),
    /// A kind of `x.getambassador.io`.
    Preview(DocumentKind),
    Services,
    Secrets,
    EndpointSlices,
    Pods,
    Rollouts,
    Ingresses,
    IngressClasses,
    /// The ConfigMap with what holds for all Ingresses.
    IngressDefaults,
    /// Those that were made for Gateways.
    GatewayDeployments,
    /// A kind of the Gateway API.
    Gateway(GatewayKind),
    Namespaces,
    ConfigMaps,
}

impl Source {
    /// The kinds that the preview had.
    const PREVIEW: [DocumentKind; 4] =
        [DocumentKind::Mapping, DocumentKind::TcpMapping, DocumentKind::Host, DocumentKind::Listener];

    /// Those that these settings ask for.
    pub(super) fn all(settings: &Settings) -> impl Iterator<Item = Self> {
        let built_in = [
            Self::Services,
            Self::Secrets,
            Self::EndpointSlices,
            Self::Pods,
            Self::Rollouts,
            Self::Ingresses,
            Self::IngressClasses,
            Self::GatewayDeployments,
            Self::ConfigMaps,
        ];
        // With rights in one namespace only there is no other to tell apart.
        let namespaces = settings.watch_namespace.is_none().then_some(Self::Namespaces);
        let gateways = GatewayKind::ALL.into_iter().map(Self::Gateway).chain(namespaces);
        let defaults = settings.ingress.config_map.as_ref().map(|_| Self::IngressDefaults);
        let emissary = DocumentKind::ALL.into_iter().map(Self::Emissary);
        emissary
            .chain(Self::PREVIEW.into_iter().map(Self::Preview))
            .chain(built_in)
            .chain(defaults)
            .chain(gateways)
    }
}

/// Starts a task for each source. They end with `shutdown`.
pub(super) fn start_watches(
    client: &Client,
    settings: &Settings,
    inputs: &Sender<Input>,
    shutdown: &CancellationToken,
) {
    let served = Arc::new(Served::new(client.clone()));
    for source in Source::all(settings) {
        let watch = Watch {
            source,
            client: client.clone(),
            served: Arc::clone(&served),
            namespace: settings.watch_namespace.clone(),
            proxy_service: settings.proxy_service.clone(),
            ingress: settings.ingress.clone(),
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

struct Watch {
    source: Source,
    client: Client,
    served: Arc<Served>,
    namespace: Option<String>,
    proxy_service: ObjectName,
    ingress: IngressSettings,
    inputs: Sender<Input>,
}

impl Watch {
    async fn run(self) {
        match self.source {
            Source::Emissary(kind) => {
                self.custom(GROUP, kind.as_str(), |it| told::emissary(it, kind)).await;
            }
            Source::Preview(kind) => {
                let name = format!("Ambassador{}", kind.as_str());
                self.custom(PREVIEW_GROUP, &name, |it| told::emissary(it, kind)).await;
            }
            Source::Rollouts => self.custom("argoproj.io", "Rollout", told::rollout).await,
            Source::Gateway(kind) => self.gateway(kind).await,
            Source::Namespaces => {
                self.without_namespace(everything(), |it| told::namespace(&it)).await;
            }
            Source::ConfigMaps => {
                // Helm keeps its releases in ConfigMaps, too, if it is told to.
                let config = everything().labels("owner!=helm");
                self.built_in(config, |it| told::config_map_version(&it)).await;
            }
            Source::Secrets => {
                // Helm keeps its releases in Secrets, large and many.
                let config = everything().fields("type!=helm.sh/release.v1");
                self.built_in(config, |it| told::secret(&it)).await;
            }
            Source::Services => {
                let published = self.ingress.publish_service.as_ref();
                self.built_in(everything(), |it| told::service(&it, published)).await;
            }
            Source::EndpointSlices => {
                let proxies = self.proxy_service.clone();
                self.built_in(everything(), |slice| told::slice(&slice, &proxies)).await;
            }
            Source::Pods => {
                let with_hash = everything().labels(POD_TEMPLATE_HASH_LABEL);
                self.built_in(with_hash, |it| told::pod(&it)).await;
            }
            Source::Ingresses => {
                self.built_in(everything(), |it| told::ingress(&it)).await;
            }
            Source::IngressClasses => {
                self.without_namespace(everything(), |it| told::ingress_class(&it)).await;
            }
            Source::GatewayDeployments => {
                let ours = everything().labels(names::SELECTOR);
                self.built_in(ours, |it| told::deployment(&it)).await;
            }
            Source::IngressDefaults => {
                let Some(name) = &self.ingress.config_map else { return };
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name.namespace);
                let config = everything().fields(&format!("metadata.name={}", name.name));
                self.follow(watcher(api, config), &|it| told::config_map(&it)).await;
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

    /// Watches a kind that every API server has and that has no namespace.
    async fn without_namespace<K>(&self, config: watcher::Config, told: impl Fn(K) -> Told)
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        self.follow(watcher(Api::all(self.client.clone()), config), &told).await;
    }

    /// Watches a kind of the Gateway API. One that is not served any more may be served again soon, in another version:
    /// what is known of it stays, or a change of definitions would end all traffic.
    async fn gateway(&self, kind: GatewayKind) {
        let told = |it| told::gateway(it, kind);
        let mut known = BTreeSet::new();
        loop {
            let resource = match self.served.resource(crds::gateway::GROUP, kind.as_str()).await {
                Ok(resource) => resource,
                Err(error) => {
                    let kind = kind.as_str();
                    warn!(kind, error = chain(&error), "failed to ask whether a kind is installed");
                    sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            if let Some(resource) = resource {
                let api: Api<DynamicObject> = match &self.namespace {
                    Some(namespace) if kind.namespaced() => {
                        Api::namespaced_with(self.client.clone(), namespace, &resource)
                    }
                    Some(_) | None => Api::all_with(self.client.clone(), &resource),
                };
                self.follow_on(watcher(api, everything()), &told, &mut known).await;
            }
            debug!(kind = kind.as_str(), "the kind is not installed");
            self.tell(Input::Complete(self.source)).await;
            sleep(ASK_AGAIN).await;
        }
    }

    /// Watches a kind that somebody has to install. Until then there are none of it.
    async fn custom<K>(&self, group: &str, kind: &str, told: impl Fn(K) -> Told)
    where
        K: Resource<Scope = DynamicResourceScope, DynamicType = ApiResource>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        loop {
            let resource = match self.served.resource(group, kind).await {
                Ok(resource) => resource,
                // Not knowing is not the same as knowing that there are none.
                Err(error) => {
                    warn!(group, kind, error = chain(&error), "failed to ask whether a kind is installed");
                    sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            if let Some(resource) = resource {
                let api: Api<K> = match &self.namespace {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                    None => Api::all_with(self.client.clone(), &resource),
                };
                self.follow(watcher(api, everything()), &told).await;
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
        let mut known = BTreeSet::new();
        self.follow_on(stream, told, &mut known).await;
        for name in known {
            self.tell_all(self.source.gone(name)).await;
        }
    }

    /// The same, and what was `known` when the kind was there last stays until it is there again.
    async fn follow_on<K>(
        &self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        told: &impl Fn(K) -> Told,
        known: &mut BTreeSet<ObjectName>,
    ) {
        let mut stream = pin!(stream);
        // While everything is told again: who has not been named yet.
        let mut unnamed = BTreeSet::new();
        let mut retry = RETRY_FIRST;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => unnamed.clone_from(known),
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
