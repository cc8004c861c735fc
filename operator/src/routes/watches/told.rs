//! What is told of each object: slim, under its name, and to everybody who needs it.

use std::net::IpAddr;

use crds::gateway::GatewayKind;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use kube::{
    api::{DynamicObject, ObjectMeta},
    core::PartialObjectMeta,
};
use operator_gateways::{SeenService, names};
use operator_objects as objects;
use operator_routes::{
    GatewayObjectName, ObjectChange, ObjectName, Scope,
    dialect::{Carrier, CarrierKind, DocumentKind, documents::DocumentName},
    gateway::{Address, AddressKind},
};

use super::Source;
use crate::routes::{
    Input,
    gateways::{Owner, SeenDeployment},
};

/// The name of an object, and what is told of it.
pub(super) type Told = (ObjectName, Vec<Input>);

impl Source {
    /// What is told of an object that is gone.
    pub(super) fn gone(self, name: ObjectName) -> Vec<Input> {
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

pub(super) fn emissary(mut object: DynamicObject, kind: DocumentKind) -> Told {
    let name = objects::name(&object.metadata);
    let document = DocumentName { kind, name: name.clone() };
    let status = Input::Status(document.clone(), Some(objects::observed(kind, &object)));
    let slim = objects::emissary(&mut object);
    (name, vec![status, Input::Change(ObjectChange::Emissary(document, Some(slim)))])
}

pub(super) fn gateway(mut object: DynamicObject, kind: GatewayKind) -> Told {
    let name = objects::name(&object.metadata);
    let id = GatewayObjectName { kind, name: name.clone() };
    let slim = objects::gateway(&mut object);
    let seen = objects::seen_gateway(&mut object, &slim.resource_version);
    let seen = Input::Gateway(id.clone(), Some(seen));
    (name, vec![seen, Input::Change(ObjectChange::Gateway(id, Some(slim)))])
}

pub(super) fn namespace(namespace: &PartialObjectMeta<Namespace>) -> Told {
    let name = objects::name(&namespace.metadata);
    let labels = namespace.metadata.labels.clone().unwrap_or_default();
    let change = ObjectChange::Namespace(name.name.clone(), Some(labels));
    (name, vec![Input::Change(change)])
}

pub(super) fn config_map_version(map: &PartialObjectMeta<ConfigMap>) -> Told {
    let name = objects::name(&map.metadata);
    let version = map.metadata.resource_version.clone().unwrap_or_default();
    (name.clone(), vec![Input::ConfigMapVersion(name, Some(version))])
}

pub(super) fn secret(secret: &PartialObjectMeta<Secret>) -> Told {
    let name = objects::name(&secret.metadata);
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    (name.clone(), vec![Input::SecretVersion(name, Some(version))])
}

#[expect(clippy::needless_pass_by_value, reason = "what a watch makes of an object owns it")]
pub(super) fn rollout(rollout: DynamicObject) -> Told {
    let name = objects::name(&rollout.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Rollout(name, Some(objects::rollout(&rollout))))])
}

pub(super) fn ingress(ingress: &Ingress) -> Told {
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

pub(super) fn ingress_class(class: &IngressClass) -> Told {
    let name = objects::name(&class.metadata);
    let change = ObjectChange::IngressClass(name.name.clone(), Some(objects::ingress_class(class)));
    (name, vec![Input::Change(change)])
}

pub(super) fn config_map(map: &ConfigMap) -> Told {
    let name = objects::name(&map.metadata);
    let uid = map.metadata.uid.clone().unwrap_or_default();
    let change = ObjectChange::IngressDefaults(Some(objects::config_map(map)));
    (name.clone(), vec![Input::Defaults(Some((name, uid))), Input::Change(change)])
}

pub(super) fn service(service: &Service, published: Option<&ObjectName>) -> Told {
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

pub(super) fn deployment(deployment: &PartialObjectMeta<Deployment>) -> Told {
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

pub(super) fn slice(slice: &EndpointSlice, proxies: &ObjectName) -> Told {
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

pub(super) fn pod(pod: &PartialObjectMeta<Pod>) -> Told {
    let name = objects::name(&pod.metadata);
    (name.clone(), vec![Input::Change(ObjectChange::Pod(name, objects::pod(&pod.metadata)))])
}
