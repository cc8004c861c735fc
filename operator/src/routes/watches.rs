//! The watches: each tells what there is, then what changes, for as long as the process runs.

use std::{collections::BTreeSet, fmt::Debug, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use crds::{contract::POD_TEMPLATE_HASH_LABEL, gateway::GatewayKind};
use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass},
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ObjectMeta},
    core::{DynamicResourceScope, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use operator_gateways::{SeenService, names};
use operator_objects as objects;
use operator_routes::{
    GatewayObjectName, ObjectChange, ObjectName, Scope,
    dialect::{Carrier, CarrierKind, DocumentKind, documents::DocumentName},
    gateway::{Address, AddressKind},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Input,
    gateways::{Owner, SeenDeployment},
    served::Served,
};
use crate::{
    config_server::{IngressSettings, Settings},
    errors::chain,
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

/// What a watch makes of an object.
type Told = (ObjectName, Vec<Input>);

impl Watch {
    async fn run(self) {
        match self.source {
            Source::Emissary(kind) => {
                self.custom(GROUP, kind.as_str(), |it| told_emissary(it, kind)).await;
            }
            Source::Preview(kind) => {
                let name = format!("Ambassador{}", kind.as_str());
                self.custom(PREVIEW_GROUP, &name, |it| told_emissary(it, kind)).await;
            }
            Source::Rollouts => self.custom("argoproj.io", "Rollout", told_rollout).await,
            Source::Gateway(kind) => self.gateway(kind).await,
            Source::Namespaces => {
                self.without_namespace(watcher::Config::default(), |it| told_namespace(&it)).await;
            }
            Source::ConfigMaps => {
                // Helm keeps its releases in ConfigMaps, too, if it is told to.
                let config = watcher::Config::default().labels("owner!=helm");
                self.built_in(config, |it| told_config_map_version(&it)).await;
            }
            Source::Secrets => {
                // Helm keeps its releases in Secrets, large and many.
                let config = watcher::Config::default().fields("type!=helm.sh/release.v1");
                self.built_in(config, |it| told_secret(&it)).await;
            }
            Source::Services => {
                let published = self.ingress.publish_service.as_ref();
                self.built_in(watcher::Config::default(), |it| told_service(&it, published)).await;
            }
            Source::EndpointSlices => {
                let proxies = self.proxy_service.clone();
                self.built_in(watcher::Config::default(), |slice| told_slice(&slice, &proxies)).await;
            }
            Source::Pods => {
                let with_hash = watcher::Config::default().labels(POD_TEMPLATE_HASH_LABEL);
                self.built_in(with_hash, |it| told_pod(&it)).await;
            }
            Source::Ingresses => {
                self.built_in(watcher::Config::default(), |it| told_ingress(&it)).await;
            }
            Source::IngressClasses => {
                self.without_namespace(watcher::Config::default(), |it| told_ingress_class(&it)).await;
            }
            Source::GatewayDeployments => {
                let ours = watcher::Config::default().labels(names::SELECTOR);
                self.built_in(ours, |it| told_deployment(&it)).await;
            }
            Source::IngressDefaults => {
                let Some(name) = &self.ingress.config_map else { return };
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name.namespace);
                let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
                self.follow(watcher(api, config), &|it| told_config_map(&it)).await;
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
        let told = |it| told_gateway(it, kind);
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
                self.follow_on(watcher(api, watcher::Config::default()), &told, &mut known).await;
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

impl Source {
    /// What is told of an object that is gone.
    fn gone(self, name: ObjectName) -> Vec<Input> {
        let change = match self {
            Self::Emissary(kind) | Self::Preview(kind) => {
                let document = DocumentName { kind, name };
                let change = ObjectChange::Emissary(document.clone(), None);
                return vec![Input::Status(document, None), Input::Change(change)];
            }
            Self::Services => {
                let carrier = Carrier { kind: CarrierKind::Service, name: name.clone() };
                let annotation = ObjectChange::Annotation(carrier.clone(), None);
                let told = vec![
                    Input::Carrier(carrier, None),
                    Input::Change(annotation),
                    Input::GatewayService(name.clone(), None),
                    Input::Change(ObjectChange::Service(name, None)),
                ];
                return told;
            }
            Self::Ingresses => {
                let carrier = Carrier { kind: CarrierKind::Ingress, name: name.clone() };
                return vec![
                    Input::Ingress(name.clone(), None),
                    Input::Carrier(carrier.clone(), None),
                    Input::Change(ObjectChange::Annotation(carrier, None)),
                    Input::Change(ObjectChange::Ingress(name, None)),
                ];
            }
            Self::IngressClasses => ObjectChange::IngressClass(name.name.clone(), None),
            Self::IngressDefaults => {
                return vec![Input::Defaults(None), Input::Change(ObjectChange::IngressDefaults(None))];
            }
            Self::Gateway(kind) => {
                let id = GatewayObjectName { kind, name };
                let change = ObjectChange::Gateway(id.clone(), None);
                return vec![Input::Gateway(id, None), Input::Change(change)];
            }
            Self::Namespaces => ObjectChange::Namespace(name.name.clone(), None),
            Self::ConfigMaps => return vec![Input::ConfigMapVersion(name, None)],
            Self::Secrets => return vec![Input::SecretVersion(name, None)],
            Self::GatewayDeployments => return vec![Input::GatewayDeployment(name, None)],
            Self::EndpointSlices => ObjectChange::EndpointSlice(name.clone(), None),
            Self::Pods => ObjectChange::Pod(name.clone(), None),
            Self::Rollouts => ObjectChange::Rollout(name.clone(), None),
        };
        let more = (self == Self::EndpointSlices).then_some(Input::ProxySlice(name, None));
        more.into_iter().chain([Input::Change(change)]).collect()
    }
}

fn told_emissary(mut object: DynamicObject, kind: DocumentKind) -> Told {
    let name = objects::name(&object.metadata);
    let document = DocumentName { kind, name: name.clone() };
    let status = Input::Status(document.clone(), Some(objects::observed(kind, &object)));
    let slim = objects::emissary(&mut object);
    (name, vec![status, Input::Change(ObjectChange::Emissary(document, Some(slim)))])
}

fn told_gateway(mut object: DynamicObject, kind: GatewayKind) -> Told {
    let name = objects::name(&object.metadata);
    let id = GatewayObjectName { kind, name: name.clone() };
    let seen = Input::Gateway(id.clone(), Some(objects::seen_gateway(&mut object)));
    let slim = objects::gateway(&mut object);
    (name, vec![seen, Input::Change(ObjectChange::Gateway(id, Some(slim)))])
}

fn told_namespace(namespace: &PartialObjectMeta<Namespace>) -> Told {
    let name = objects::name(&namespace.metadata);
    let labels = namespace.metadata.labels.clone().unwrap_or_default();
    let change = ObjectChange::Namespace(name.name.clone(), Some(labels));
    (name, vec![Input::Change(change)])
}

fn told_config_map_version(map: &PartialObjectMeta<ConfigMap>) -> Told {
    let name = objects::name(&map.metadata);
    let version = map.metadata.resource_version.clone().unwrap_or_default();
    (name.clone(), vec![Input::ConfigMapVersion(name, Some(version))])
}

fn told_secret(secret: &PartialObjectMeta<Secret>) -> Told {
    let name = objects::name(&secret.metadata);
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    (name.clone(), vec![Input::SecretVersion(name, Some(version))])
}

#[expect(clippy::needless_pass_by_value, reason = "what a watch makes of an object owns it")]
fn told_rollout(rollout: DynamicObject) -> Told {
    let name = objects::name(&rollout.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Rollout(name, Some(objects::rollout(&rollout))))])
}

fn told_ingress(ingress: &Ingress) -> Told {
    let name = objects::name(&ingress.metadata);
    let carrier = Carrier { kind: CarrierKind::Ingress, name: name.clone() };
    let uid = ingress.metadata.uid.clone();
    let annotation = objects::annotation(&ingress.metadata);
    let inputs = vec![
        Input::Ingress(name.clone(), Some(objects::seen_ingress(ingress))),
        Input::Carrier(carrier.clone(), uid.filter(|_| annotation.is_some())),
        Input::Change(ObjectChange::Annotation(carrier, annotation)),
        Input::Change(ObjectChange::Ingress(name.clone(), Some(objects::ingress(ingress)))),
    ];
    (name, inputs)
}

fn told_ingress_class(class: &IngressClass) -> Told {
    let name = objects::name(&class.metadata);
    let change = ObjectChange::IngressClass(name.name.clone(), Some(objects::ingress_class(class)));
    (name, vec![Input::Change(change)])
}

fn told_config_map(map: &ConfigMap) -> Told {
    let name = objects::name(&map.metadata);
    let uid = map.metadata.uid.clone().unwrap_or_default();
    let change = ObjectChange::IngressDefaults(Some(objects::config_map(map)));
    (name.clone(), vec![Input::Defaults(Some((name, uid))), Input::Change(change)])
}

fn told_service(service: &Service, published: Option<&ObjectName>) -> Told {
    let name = objects::name(&service.metadata);
    let carrier = Carrier { kind: CarrierKind::Service, name: name.clone() };
    let uid = service.metadata.uid.clone();
    let annotation = objects::annotation(&service.metadata);
    let inputs = vec![
        Input::Carrier(carrier.clone(), uid.filter(|_| annotation.is_some())),
        Input::Change(ObjectChange::Annotation(carrier, annotation)),
        Input::Change(ObjectChange::Service(name.clone(), Some(objects::service(service)))),
    ];
    let address = (published == Some(&name)).then(|| Input::Published(objects::addresses(service)));
    let of_gateway = is_of_gateway(&service.metadata).then(|| seen_service(service));
    let of_gateway = Input::GatewayService(name.clone(), of_gateway);
    (name, inputs.into_iter().chain(address).chain([of_gateway]).collect())
}

/// Where clients reach the Service of a Gateway.
fn seen_service(service: &Service) -> SeenService {
    let address = |value: String| {
        let kind = if value.parse::<IpAddr>().is_ok() { AddressKind::Ip } else { AddressKind::Hostname };
        Address { kind, value }
    };
    let asks = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.clone()).unwrap_or_default();
    SeenService { addresses: objects::addresses(service).into_iter().map(address).collect(), asks }
}

fn told_deployment(deployment: &PartialObjectMeta<Deployment>) -> Told {
    let name = objects::name(&deployment.metadata);
    let owners = deployment.metadata.owner_references.iter().flatten();
    let owner = owners.filter(|owner| owner.controller == Some(true)).find_map(|owner| {
        let object = name.sibling(owner.name.as_str());
        let scope = match owner.kind.as_str() {
            "Gateway" => Scope::Gateway(object),
            "GatewayClass" => Scope::Class(object),
            _ => return None,
        };
        Some(Owner { scope, uid: owner.uid.as_str().into() })
    });
    let generation = deployment.metadata.generation.unwrap_or_default();
    (name.clone(), vec![Input::GatewayDeployment(name, Some(SeenDeployment { generation, owner }))])
}

/// Whether it was made for Gateways.
fn is_of_gateway(metadata: &ObjectMeta) -> bool {
    names::are_ours(metadata.labels.as_ref())
}

fn told_slice(slice: &EndpointSlice, proxies: &ObjectName) -> Told {
    let name = objects::name(&slice.metadata);
    let mut inputs = Vec::new();
    // The labels of a Service are on its slices as well; whether it is one of a Gateway is known elsewhere.
    let service = objects::slice_service(slice);
    let service = service.filter(|service| service == proxies || is_of_gateway(&slice.metadata));
    let carrying = service.map(|service| (service, objects::carrying_pods(slice)));
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
