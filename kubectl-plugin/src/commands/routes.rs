//! `routes` and `explain route`: lists the objects that routes are made of, as far as the user may, and compiles them.

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use operator_objects as objects;
use operator_routes::{
    Compat, Compiler, INGRESS_CONTROLLER, ObjectChange, ObjectName, Settings,
    dialect::{Carrier, CarrierKind, DocumentKind, documents::DocumentName},
    explain::Request,
};

use super::measure;
use crate::arguments::{Compiling, ExplainRoute, Routes};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::view::routes::{explanation, table};
use crate::view::text::Paint;

/// Groups and versions in which Emissary's kinds may be served, those that count first.
const SERVED: [(&str, &[&str]); 2] =
    [("getambassador.io", &["v3alpha1", "v2", "v1"]), ("x.getambassador.io", &["v3alpha1"])];

/// The table of all routes, or of those of the namespace; and what could not be read.
pub async fn list(
    cluster: &Cluster,
    arguments: &Routes,
    paint: Paint,
) -> Result<(String, Vec<String>), Failure> {
    let Read { compiler, proxies, mut warnings } = compile(cluster, &arguments.compiling).await?;
    let namespace = (!arguments.all_namespaces).then(|| cluster.namespace());
    let counts = if arguments.measure.is_zero() {
        None
    } else {
        let (counts, more) = measure::requests(&cluster.client(), &proxies, arguments.measure).await;
        warnings.extend(more);
        counts
    };
    Ok((table(compiler.compiled(), counts.as_ref(), namespace, paint), warnings))
}

/// What becomes of one request; and what could not be read.
pub async fn explain(cluster: &Cluster, arguments: &ExplainRoute) -> Result<(String, Vec<String>), Failure> {
    let Read { compiler, warnings, .. } = compile(cluster, &arguments.compiling).await?;
    let served = compiler.compiled();
    let (tls, authority, target) = arguments.place();
    let port = arguments.port.or_else(|| {
        let mut ports = served.ports.values().filter(|port| if tls { port.tls } else { port.cleartext });
        ports.next().map(|port| port.number)
    });
    let headers: Vec<(String, String)> = arguments
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.clone()))
        .collect();
    let request = Request {
        port: port.unwrap_or(if tls { 8443 } else { 8080 }),
        tls,
        authority,
        method: &arguments.method,
        target,
        headers: &headers,
    };
    Ok((explanation(served, &request), warnings))
}

/// What the user may read.
struct Read {
    /// The routes.
    compiler: Compiler,
    /// The pods of the proxies.
    proxies: Vec<ObjectName>,
    /// What could not be read.
    warnings: Vec<String>,
}

/// Compiles what the user may read.
async fn compile(cluster: &Cluster, compiling: &Compiling) -> Result<Read, Failure> {
    let mut compiler = Compiler::new(Settings {
        ambassador_id: compiling.ambassador_id.clone(),
        compat: if compiling.strict { Compat::Strict } else { Compat::Ideal },
        ingress_controllers: [vec![INGRESS_CONTROLLER.to_owned()], compiling.ingress_controllers.clone()]
            .concat(),
        ..Settings::default()
    });
    let mut reader = Reader { cluster, warnings: Vec::new() };
    for service in reader.all::<Service>("services").await? {
        let name = objects::name(&service.metadata);
        let carrier = Carrier { kind: CarrierKind::Service, name: name.clone() };
        compiler.apply(ObjectChange::Annotation(carrier, objects::annotation(&service.metadata)));
        compiler.apply(ObjectChange::Service(name, Some(objects::service(&service))));
    }
    let mut proxies = Vec::new();
    for slice in reader.all::<EndpointSlice>("endpointslices").await? {
        if objects::slice(&slice).is_some_and(|it| *it.service == *measure::SERVICE) {
            proxies.extend(objects::carrying_pods(&slice).into_values());
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
    compiler.compile();
    proxies.sort_unstable();
    proxies.dedup();
    Ok(Read { compiler, proxies, warnings: reader.warnings })
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

    async fn list<K>(
        &mut self,
        plural: &'static str,
        all: &Api<K>,
        own: Option<&Api<K>>,
    ) -> Result<Vec<K>, Failure>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        match (all.list(&ListParams::default()).await, own) {
            (Ok(list), _) => Ok(list.items),
            (Err(error @ kube::Error::Api(_)), Some(own)) if is_forbidden(&error) => {
                self.warn(&format!("{plural} of other namespaces"), &error);
                Ok(own.list(&ListParams::default()).await.map_err(|error| Failure::on(plural, error))?.items)
            }
            (Err(error), None) if is_forbidden(&error) => {
                self.warn(plural, &error);
                Ok(Vec::new())
            }
            (Err(error), _) => Err(Failure::on(plural, error)),
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
            return self.list("objects of getambassador.io", &all, Some(&own)).await;
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
