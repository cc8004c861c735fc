//! The objects that routes are made of, as far as the user may read them, compiled as the operator does.

use std::collections::{BTreeMap, BTreeSet};

use crds::gateway::{GROUP, GatewayKind};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use operator_objects as objects;
use operator_routes::{
    Compat, Compiler, GATEWAY_CONTROLLER, GatewayObjectName, INGRESS_CONTROLLER, ObjectChange, ObjectName,
    Settings,
    dialect::{Carrier, CarrierKind, DocumentKind, documents::DocumentName},
};

use crate::arguments::Compiling;
use crate::cluster::Cluster;
use crate::commands::measure;
use crate::failure::Failure;

/// Groups and versions in which Emissary's kinds may be served, those that count first.
const SERVED: [(&str, &[&str]); 2] =
    [("getambassador.io", &["v3alpha1", "v2", "v1"]), ("x.getambassador.io", &["v3alpha1"])];
/// The versions of the Gateway API's kinds, those that count first.
const GATEWAY_VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3", "v1alpha2"];

/// What the user may read.
pub(super) struct Read {
    /// The routes.
    pub(super) compiler: Compiler,
    /// The pods of the proxies behind each Service of proxies.
    pub(super) proxies: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    /// What could not be read.
    pub(super) warnings: Vec<String>,
}

/// Compiles what the user may read.
pub(super) async fn compile(cluster: &Cluster, compiling: &Compiling) -> Result<Read, Failure> {
    let mut compiler = Compiler::new(Settings {
        ambassador_id: compiling.ambassador_id.clone(),
        compat: if compiling.strict { Compat::Strict } else { Compat::Ideal },
        ingress_controllers: [vec![INGRESS_CONTROLLER.to_owned()], compiling.ingress_controllers.clone()]
            .concat(),
        gateway_controllers: [vec![GATEWAY_CONTROLLER.to_owned()], compiling.gateway_controllers.clone()]
            .concat(),
        ..Settings::default()
    });
    let mut reader = Reader { cluster, warnings: Vec::new() };
    let mut of_gateways = BTreeSet::new();
    for service in reader.all::<Service>("services").await? {
        let name = objects::name(&service.metadata);
        if measure::is_of_gateways(service.metadata.labels.as_ref()) {
            of_gateways.insert(name.clone());
        }
        let carrier = Carrier { kind: CarrierKind::Service, name: name.clone() };
        compiler.apply(ObjectChange::Annotation(carrier, objects::annotation(&service.metadata)));
        compiler.apply(ObjectChange::Service(name, Some(objects::service(&service))));
    }
    let mut proxies: BTreeMap<ObjectName, BTreeSet<ObjectName>> = BTreeMap::new();
    for slice in reader.all::<EndpointSlice>("endpointslices").await? {
        let service = objects::slice(&slice).map(|it| objects::name(&slice.metadata).sibling(it.service));
        if let Some(service) = service.filter(|it| *it.name == *measure::SERVICE || of_gateways.contains(it))
        {
            proxies.entry(service).or_default().extend(objects::carrying_pods(&slice).into_values());
        }
        compiler.apply(ObjectChange::EndpointSlice(objects::name(&slice.metadata), objects::slice(&slice)));
    }
    for pod in reader.all::<Pod>("pods").await? {
        compiler.apply(ObjectChange::Pod(objects::name(&pod.metadata), objects::pod(&pod.metadata)));
    }
    for ingress in reader.all::<Ingress>("ingresses").await? {
        let name = objects::name(&ingress.metadata);
        let carrier = Carrier { kind: CarrierKind::Ingress, name: name.clone() };
        compiler.apply(ObjectChange::Annotation(carrier, objects::annotation(&ingress.metadata)));
        compiler.apply(ObjectChange::Ingress(name, Some(objects::ingress(&ingress))));
    }
    let classes: Api<IngressClass> = Api::all(cluster.client());
    for class in reader.list("ingressclasses", &classes, None).await? {
        let name = objects::name(&class.metadata).name;
        compiler.apply(ObjectChange::IngressClass(name, Some(objects::ingress_class(&class))));
    }
    for rollout in reader.custom("argoproj.io", &["v1alpha1"], "Rollout").await? {
        compiler
            .apply(ObjectChange::Rollout(objects::name(&rollout.metadata), Some(objects::rollout(&rollout))));
    }
    for (group, versions) in SERVED {
        for kind in DocumentKind::ALL {
            let prefix = if group == SERVED[0].0 { "" } else { "Ambassador" };
            for mut object in reader.custom(group, versions, &format!("{prefix}{}", kind.as_str())).await? {
                let name = DocumentName { kind, name: objects::name(&object.metadata) };
                compiler.apply(ObjectChange::Emissary(name, Some(objects::emissary(&mut object))));
            }
        }
    }
    read_gateways(&mut reader, &mut compiler).await?;
    compiler.compile();
    for name in compiler.compiled().secrets.clone() {
        let secrets: Api<Secret> = Api::namespaced(cluster.client(), &name.namespace);
        match secrets.get_opt(&name.name).await {
            Ok(secret) => {
                compiler.apply(ObjectChange::Secret(name, secret.as_ref().map(objects::secret)));
            }
            Err(error) => reader.warn(&format!("Secret {name}"), &error),
        }
    }
    for name in compiler.compiled().config_maps.clone() {
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), &name.namespace);
        match maps.get_opt(&name.name).await {
            Ok(map) => {
                let data = map.map(|map| map.data.unwrap_or_default());
                compiler.apply(ObjectChange::ConfigMap(name, data));
            }
            Err(error) => reader.warn(&format!("ConfigMap {name}"), &error),
        }
    }
    compiler.compile();
    Ok(Read { compiler, proxies, warnings: reader.warnings })
}

/// The kinds of the Gateway API, and what their selectors look at.
async fn read_gateways(reader: &mut Reader<'_>, compiler: &mut Compiler) -> Result<(), Failure> {
    let mut any = false;
    for kind in GatewayKind::ALL {
        for mut object in reader.custom(GROUP, GATEWAY_VERSIONS, kind.as_str()).await? {
            any |= kind == GatewayKind::Gateway;
            let id = GatewayObjectName { kind, name: objects::name(&object.metadata) };
            compiler.apply(ObjectChange::Gateway(id, Some(objects::gateway(&mut object))));
        }
    }
    if any {
        let namespaces: Api<Namespace> = Api::all(reader.cluster.client());
        for namespace in reader.list("namespaces", &namespaces, None).await? {
            let name = objects::name(&namespace.metadata).name;
            let labels = namespace.metadata.labels.unwrap_or_default();
            compiler.apply(ObjectChange::Namespace(name, Some(labels)));
        }
    }
    Ok(())
}

/// Reads what the user may, and remembers what he may not.
struct Reader<'a> {
    cluster: &'a Cluster,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// All objects of a kind, or those of the namespace if the user may read no others.
    async fn all<K>(&mut self, plural: &'static str) -> Result<Vec<K>, Failure>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let own = Api::namespaced(self.cluster.client(), self.cluster.namespace());
        self.list(plural, &Api::all(self.cluster.client()), Some(&own)).await
    }

    async fn list<K>(&mut self, plural: &str, all: &Api<K>, own: Option<&Api<K>>) -> Result<Vec<K>, Failure>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        match (all.list(&ListParams::default()).await, own) {
            (Ok(list), _) => Ok(list.items),
            (Err(error @ kube::Error::Api(_)), Some(own)) if is_forbidden(&error) => {
                self.warn(&format!("{plural} of other namespaces"), &error);
                Ok(own.list(&ListParams::default()).await?.items)
            }
            (Err(error), None) if is_forbidden(&error) => {
                self.warn(plural, &error);
                Ok(Vec::new())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The objects of a kind that somebody has to install; without it there are none.
    async fn custom(
        &mut self,
        group: &str,
        versions: &[&str],
        kind: &str,
    ) -> Result<Vec<DynamicObject>, Failure> {
        let client: Client = self.cluster.client();
        for version in versions {
            let resources = match client.list_api_group_resources(&format!("{group}/{version}")).await {
                Ok(list) => list.resources,
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(found) = resources.iter().find(|it| it.kind == kind && !it.name.contains('/')) else {
                continue;
            };
            let resource =
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &found.name);
            let all = Api::all_with(client.clone(), &resource);
            let own = Api::namespaced_with(client, self.cluster.namespace(), &resource);
            let own = found.namespaced.then_some(&own);
            return self.list(&format!("{}.{group}", found.name), &all, own).await;
        }
        Ok(Vec::new())
    }

    fn warn(&mut self, what: &str, error: &kube::Error) {
        self.warnings.push(format!("Warning: {what} cannot be read, and count as absent: {error}"));
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
