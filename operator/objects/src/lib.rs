//! What routes need of each Kubernetes object. Everything else is dropped as soon as it is decoded. Pure: for whoever
//! watches or lists the objects.

mod folded;
mod gateway;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use chrono::DateTime;
use crds::contract::{
    DRAIN_UNTIL_ANNOTATION, DRAINING_LABEL, MANAGED_BY_ANNOTATION, POD_TEMPLATE_HASH_LABEL,
    SLOW_START_ANNOTATION,
};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Secret, Service, ServiceSpec},
        discovery::v1::{Endpoint, EndpointSlice},
        networking::v1::{Ingress, IngressClass},
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use kube::core::DynamicObject;
use operator_routes::{
    ObjectName,
    dialect::{ApiVersion, DocumentKind, annotation::Annotation},
    object::{
        self, AppProtocol, EmissaryObject, EndpointCondition, Family, IngressObject, Pod, RolloutServices,
        SecretObject, ServiceAddress, SliceEndpoint,
    },
};
use proxy_config::model::{Draining, UnixMillis};
use serde_json::Value;

pub use folded::Folded;
pub use gateway::{SeenGateway, gateway, seen_gateway};

/// The annotation with objects of Emissary.
const CONFIG_ANNOTATION: &str = "getambassador.io/config";
/// The annotation of an IngressClass for Ingresses that name none.
const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
/// The values of `trafficDistribution` by which clients are served in their own zone.
const PREFERS_ZONE: [&str; 3] = ["PreferSameZone", "PreferSameNode", "PreferClose"];
/// The label with the Service of a slice.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// What an object of Emissary says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// `status.state`.
    pub state: String,
    /// `status.reason`, of a Host `status.errorReason`.
    pub reason: String,
    /// `status.observedGeneration`; `None`: nobody has written it, or the API server does not keep it.
    pub told_generation: Option<i64>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `metadata.uid`.
    pub uid: String,
}

/// The entries of a Secret that are about TLS.
const OF_TLS: [&str; 7] =
    ["tls.crt", "cert-chain.pem", "tls.key", "key.pem", "user.key", "ca.crt", "crl.pem"];

/// What an Ingress says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenIngress {
    /// `metadata.uid`.
    pub uid: String,
    /// `status.loadBalancer.ingress`, addresses and names.
    pub addresses: Vec<String>,
}

/// The name of an object in a namespace.
#[must_use]
pub fn name(metadata: &ObjectMeta) -> ObjectName {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().to_owned();
    ObjectName::new(text(&metadata.namespace), text(&metadata.name))
}

/// An object of Emissary.
#[must_use]
pub fn emissary(object: &mut DynamicObject) -> EmissaryObject {
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    EmissaryObject {
        resource_version: version(&object.metadata),
        version: written_version(object),
        labels: object.metadata.labels.clone().unwrap_or_default(),
        owned_by_rollout: owners
            .iter()
            .any(|owner| owner.kind == "Rollout" && owner.api_version.starts_with("argoproj.io/")),
        spec: object.data.get_mut("spec").map(Value::take).unwrap_or_default(),
    }
}

/// In whose shapes a spec was written. Without a conversion webhook the API server names every object by the version
/// that it was asked for; but it records by which version each writer wrote which fields.
fn written_version(object: &DynamicObject) -> ApiVersion {
    let asked = object.types.as_ref().map(|types| types.api_version.as_str()).unwrap_or_default();
    let writers = object.metadata.managed_fields.as_deref().unwrap_or_default().iter();
    let of_spec = writers.filter(|writer| {
        let fields = writer.fields_v1.as_ref().map(|fields| &fields.0);
        writer.subresource.is_none() && fields.is_some_and(|fields| fields.get("f:spec").is_some())
    });
    // Who wrote last wrote what there is.
    let last =
        of_spec.max_by_key(|writer| writer.time.clone()).and_then(|writer| writer.api_version.as_deref());
    last.and_then(ApiVersion::parse).or_else(|| ApiVersion::parse(asked)).unwrap_or(ApiVersion::V3)
}

/// What the status of an object of Emissary says, and of which generation.
#[must_use]
pub fn observed(kind: DocumentKind, object: &DynamicObject) -> Observed {
    let text = |field: &str| object.data["status"][field].as_str().unwrap_or_default().to_owned();
    let reason = if kind == DocumentKind::Host { text("errorReason") } else { text("reason") };
    Observed {
        state: text("state"),
        reason,
        told_generation: object.data["status"]["observedGeneration"].as_i64(),
        generation: object.metadata.generation,
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

/// The annotation of an object that bears one.
#[must_use]
pub fn annotation(metadata: &ObjectMeta) -> Option<Annotation> {
    let text = metadata.annotations.as_ref()?.get(CONFIG_ANNOTATION)?;
    Some(Annotation {
        text: text.as_str().into(),
        labels: metadata.labels.clone().unwrap_or_default(),
        resource_version: version(metadata),
    })
}

/// What of a Secret is certificates and keys, and what else it has that is text.
#[must_use]
pub fn secret(secret: &Secret) -> SecretObject {
    let text = |names: &[&str]| {
        let data = secret.data.as_ref()?;
        let found = names.iter().find_map(|name| data.get(*name))?;
        String::from_utf8(found.0.clone()).ok()
    };
    let authorities = text(&["ca.crt"]);
    let others = secret.data.iter().flatten().filter(|(name, _)| !OF_TLS.contains(&name.as_str()));
    let others = others.filter_map(|(name, value)| {
        Some((name.clone(), proxy_config::model::Secret(String::from_utf8(value.0.clone()).ok()?)))
    });
    SecretObject {
        chain: text(&["tls.crt", "cert-chain.pem"]),
        key: text(&["tls.key", "key.pem", "user.key"]).map(proxy_config::model::Secret),
        authorities,
        revoked: text(&["crl.pem"]),
        entries: others.collect(),
    }
}

/// A Service.
#[must_use]
pub fn service(service: &Service) -> object::Service {
    let Some(spec) = &service.spec else { return object::Service::default() };
    let cluster_ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let address = match (spec.type_.as_deref(), cluster_ip) {
        (Some("ExternalName"), _) => ServiceAddress::External(spec.external_name.clone().unwrap_or_default()),
        (_, Some(ip)) => ServiceAddress::ClusterIp(ip),
        (_, None) => ServiceAddress::Headless,
    };
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        Some(object::ServicePort {
            name: port.name.clone().unwrap_or_default(),
            port: u16::try_from(port.port).ok()?,
            target: match &port.target_port {
                Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
                Some(IntOrString::String(_)) | None => None,
            },
            speaks: AppProtocol::parse(port.app_protocol.as_deref()),
        })
    });
    object::Service {
        resource_version: version(&service.metadata),
        ports: ports.collect(),
        selector: spec.selector.clone().into_iter().flatten().collect(),
        address,
        managed: is_managed(&service.metadata, spec),
        slow_start: service
            .metadata
            .annotations
            .as_ref()
            .and_then(|it| it.get(SLOW_START_ANNOTATION))
            .cloned(),
        prefers_zone: spec.traffic_distribution.as_deref().is_some_and(|it| PREFERS_ZONE.contains(&it)),
        family: match spec.ip_families.iter().flatten().next().map(String::as_str) {
            Some("IPv6") => Family::V6,
            Some(_) | None => Family::V4,
        },
    }
}

/// Whether a Rollout moves it between revisions, also one that is not known here.
fn is_managed(metadata: &ObjectMeta, spec: &ServiceSpec) -> bool {
    let has =
        |map: &Option<BTreeMap<String, String>>, key| map.as_ref().is_some_and(|it| it.contains_key(key));
    has(&metadata.annotations, MANAGED_BY_ANNOTATION) || has(&spec.selector, POD_TEMPLATE_HASH_LABEL)
}

/// The Service that a slice belongs to.
#[must_use]
pub fn slice_service(slice: &EndpointSlice) -> Option<ObjectName> {
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    Some(name(&slice.metadata).sibling(service.as_str()))
}

/// `None` for a slice that no Service has, or of names.
#[must_use]
pub fn slice(slice: &EndpointSlice) -> Option<object::EndpointSlice> {
    let service = slice_service(slice)?.name;
    let family = match slice.address_type.as_str() {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        _ => return None,
    };
    let ports = slice.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.port?).ok()?;
        Some((port.name.clone().unwrap_or_default(), number))
    });
    let endpoints = slice.endpoints.iter().filter_map(|endpoint| {
        Some(SliceEndpoint {
            address: endpoint.addresses.first()?.parse().ok()?,
            condition: condition(endpoint),
            pod: pod_reference(endpoint).map(|(name, _)| name.into()),
            zone: endpoint.zone.as_deref().map(Into::into),
            hints: hinted_zones(endpoint),
        })
    });
    Some(object::EndpointSlice {
        resource_version: version(&slice.metadata),
        service,
        family,
        ports: ports.collect(),
        endpoints: endpoints.collect(),
    })
}

fn hinted_zones(endpoint: &Endpoint) -> Vec<Arc<str>> {
    let zones = endpoint.hints.as_ref().and_then(|hints| hints.for_zones.as_ref());
    zones.into_iter().flatten().map(|zone| zone.name.as_str().into()).collect()
}

/// The pods of a slice that are ready or serving, by uid.
#[must_use]
pub fn carrying_pods(slice: &EndpointSlice) -> BTreeMap<String, ObjectName> {
    let namespace = name(&slice.metadata);
    let carrying =
        slice.endpoints.iter().filter(|endpoint| condition(endpoint) != EndpointCondition::NotReady);
    carrying
        .filter_map(pod_reference)
        .filter_map(|(name, uid)| Some((uid?.to_owned(), namespace.sibling(name))))
        .collect()
}

/// A pod with a revision's hash.
#[must_use]
pub fn pod(metadata: &ObjectMeta) -> Option<Pod> {
    let labels = metadata.labels.as_ref()?;
    let hash = labels.get(POD_TEMPLATE_HASH_LABEL)?;
    let leaving = labels.contains_key(DRAINING_LABEL).then(|| Draining { until: drain_until(metadata) });
    Some(Pod { hash: hash.as_str().into(), leaving })
}

/// A time that cannot be read is none: the pod drains, and nothing of it is ended.
fn drain_until(metadata: &ObjectMeta) -> Option<UnixMillis> {
    let until = metadata.annotations.as_ref()?.get(DRAIN_UNTIL_ANNOTATION)?;
    let until = DateTime::parse_from_rfc3339(until).ok()?;
    Some(UnixMillis(until.timestamp_millis()))
}

/// An Ingress, its spec as it was written.
#[must_use]
pub fn ingress(ingress: &Ingress) -> IngressObject {
    let metadata = &ingress.metadata;
    IngressObject {
        resource_version: version(metadata),
        created: metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        labels: metadata.labels.clone().unwrap_or_default(),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        // Texts, numbers and lists: it always serialises.
        spec: serde_json::to_value(&ingress.spec).unwrap_or_default(),
    }
}

/// What the status of an Ingress says.
#[must_use]
pub fn seen_ingress(ingress: &Ingress) -> SeenIngress {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let addresses = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    SeenIngress {
        uid: ingress.metadata.uid.clone().unwrap_or_default(),
        addresses: addresses.filter_map(|it| it.ip.clone().or_else(|| it.hostname.clone())).collect(),
    }
}

/// An IngressClass.
#[must_use]
pub fn ingress_class(class: &IngressClass) -> object::IngressClass {
    let default = class.metadata.annotations.as_ref().and_then(|it| it.get(DEFAULT_CLASS_ANNOTATION));
    object::IngressClass {
        controller: class.spec.as_ref().and_then(|spec| spec.controller.clone()).unwrap_or_default(),
        default: default.is_some_and(|text| text == "true"),
    }
}

/// The texts of a ConfigMap.
#[must_use]
pub fn config_map(map: &ConfigMap) -> BTreeMap<String, String> {
    map.data.clone().unwrap_or_default()
}

/// Where clients reach a Service: by its load balancer, else by its external addresses, its name or its own address.
#[must_use]
pub fn addresses(service: &Service) -> Vec<String> {
    let spec = service.spec.clone().unwrap_or_default();
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entrances = balancer.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default();
    let entrances = entrances.into_iter().filter_map(|it| it.ip.or(it.hostname));
    let mut found: Vec<String> = entrances.chain(spec.external_ips.unwrap_or_default()).collect();
    if found.is_empty() && spec.type_.as_deref() != Some("LoadBalancer") {
        let own = spec.cluster_ip.filter(|ip| ip.parse::<IpAddr>().is_ok());
        found.extend(spec.external_name.or(own));
    }
    found
}

/// The Services that a Rollout moves between revisions behind a route.
#[must_use]
pub fn rollout(rollout: &DynamicObject) -> RolloutServices {
    let strategy = &rollout.data["spec"]["strategy"];
    let mut services: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut take =
        |value: &Value| services.extend(value.as_str().filter(|name| !name.is_empty()).map(Arc::from));
    let canary = &strategy["canary"];
    if canary["trafficRouting"].is_object() {
        take(&canary["stableService"]);
        take(&canary["canaryService"]);
        take(&canary["pingPong"]["pingService"]);
        take(&canary["pingPong"]["pongService"]);
    }
    take(&strategy["blueGreen"]["activeService"]);
    take(&strategy["blueGreen"]["previewService"]);
    RolloutServices(services)
}

fn version(metadata: &ObjectMeta) -> Arc<str> {
    metadata.resource_version.as_deref().unwrap_or_default().into()
}

fn condition(endpoint: &Endpoint) -> EndpointCondition {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    EndpointCondition::of(conditions.ready, conditions.serving, conditions.terminating)
}

/// The name and uid of the pod behind an endpoint.
fn pod_reference(endpoint: &Endpoint) -> Option<(&str, Option<&str>)> {
    let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
    Some((target.name.as_deref()?, target.uid.as_deref()))
}

#[cfg(test)]
mod tests;
