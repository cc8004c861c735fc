//! The objects of a row.
//!
//! They are written as in annotations: `kind`, `name`, `namespace` (`default`), `apiVersion` (`getambassador.io/v3alpha1`),
//! `metadata_labels`, and the fields of the spec beside them. Besides Emissary's kinds there are
//!
//! - `Service`: `ports` and `endpoints` (addresses), or `annotation` (the text of `getambassador.io/config`),
//! - `Secret`: a certificate, with `ca: true` also authorities,
//! - `Ingress`, of the class `ambassador`.

use std::{collections::BTreeMap, net::IpAddr};

use operator_routes::{
    Compat, Compiled, Compiler, EMISSARY_CONTROLLER, ObjectChange, ObjectName, Settings,
    dialect::{
        ApiVersion, Carrier, CarrierKind, DocumentKind,
        annotation::{self, Annotation, Found},
        documents::DocumentName,
    },
    mapping::{ServiceHost, parse_service},
    object::{
        EmissaryObject, EndpointCondition, EndpointSlice, Family, IngressClass, IngressObject, SecretObject,
        Service, ServiceAddress, ServicePort, SliceEndpoint,
    },
};
use proxy_config::model::Secret;
use serde_json::{Map, Value};

/// What is made of all of them.
pub(crate) fn compile(objects: &[Value], compat: Compat, ambassador_id: Option<&str>) -> Compiled {
    let settings = Settings {
        compat,
        ambassador_id: ambassador_id.unwrap_or("default").to_owned(),
        namespace: "ambassador".to_owned(),
        ingress_controllers: vec![EMISSARY_CONTROLLER.to_owned()],
        ..Settings::default()
    };
    let mut compiler = Compiler::new(settings);
    let class = IngressClass { controller: EMISSARY_CONTROLLER.to_owned(), default: false };
    compiler.apply(ObjectChange::IngressClass("ambassador".into(), Some(class)));
    let changes: Vec<ObjectChange> = objects.iter().flat_map(changes).collect();
    for service in changes.iter().flat_map(services) {
        compiler.apply(service);
    }
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    compiler.compiled().clone()
}

/// `[namespace/]name`.
pub(crate) fn name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    ObjectName::new(namespace, name)
}

fn changes(object: &Value) -> Vec<ObjectChange> {
    let mut spec = object.as_object().expect("an object is a map").clone();
    let mut text = |field: &str| spec.remove(field).and_then(|it| it.as_str().map(str::to_owned));
    let kind = text("kind").expect("an object has a kind");
    let version = text("apiVersion");
    let namespace = text("namespace").unwrap_or_else(|| "default".to_owned());
    let name = ObjectName::new(namespace, text("name").expect("an object has a name"));
    let annotation = text("annotation");
    let labels = texts(spec.remove("metadata_labels").as_ref());
    if let Some(kind) = DocumentKind::parse(&kind) {
        let version = version.map_or(ApiVersion::V3, |it| ApiVersion::parse(&it).expect("a version"));
        let object = EmissaryObject { version, labels, ..EmissaryObject::new("1", Value::Object(spec)) };
        return vec![ObjectChange::Emissary(DocumentName { kind, name }, Some(object))];
    }
    match kind.as_str() {
        "Service" => {
            let mut changes = service(&name, &spec);
            if let Some(text) = annotation {
                let carrier = Carrier { kind: CarrierKind::Service, name };
                let annotation = Annotation { text: text.into(), labels, resource_version: "1".into() };
                changes.push(ObjectChange::Annotation(carrier, Some(annotation)));
            }
            changes
        }
        "Secret" => {
            let certificate = || "-----BEGIN CERTIFICATE-----".to_owned();
            let secret = SecretObject {
                chain: Some(certificate()),
                key: Some(Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
                authorities: spec.contains_key("ca").then(certificate),
                ..SecretObject::default()
            };
            vec![ObjectChange::Secret(name, Some(secret))]
        }
        "Ingress" => {
            let annotations = texts(spec.remove("annotations").as_ref());
            spec.insert("ingressClassName".to_owned(), Value::from("ambassador"));
            let ingress =
                IngressObject { labels, annotations, ..IngressObject::new("1", Value::Object(spec)) };
            vec![ObjectChange::Ingress(name, Some(ingress))]
        }
        other => panic!("there is no kind {other}"),
    }
}

fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A Service with its endpoints; without ports it is one that shows where requests arrive.
fn service(name: &ObjectName, spec: &Map<String, Value>) -> Vec<ObjectChange> {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let port = |port: &Value| {
        let name = port["name"].as_str().unwrap_or_default().to_owned();
        let target = number(&port["targetPort"]);
        Some(ServicePort { name, port: number(&port["port"])?, target, ..ServicePort::default() })
    };
    let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    let ports: Vec<ServicePort> = list("ports").filter_map(port).collect();
    if ports.is_empty() {
        return vec![ObjectChange::Service(name.clone(), Some(shows(name)))];
    }
    let endpoint = |address: &Value| SliceEndpoint {
        address: address.as_str().and_then(|it| it.parse().ok()).expect("an address"),
        condition: EndpointCondition::Ready,
        pod: None,
        zone: None,
        hints: Vec::new(),
    };
    let slice = EndpointSlice {
        resource_version: "1".into(),
        service: name.name.clone(),
        family: Family::V4,
        ports: ports.iter().map(|it| (it.name.clone(), it.target.unwrap_or(it.port))).collect(),
        endpoints: list("endpoints").map(endpoint).collect(),
    };
    let address = ServiceAddress::ClusterIp(IpAddr::from([198, 18, 9, 9]));
    let service = Service { ports, address, ..Service::default() };
    vec![
        ObjectChange::Service(name.clone(), Some(service)),
        ObjectChange::EndpointSlice(name.sibling(format!("{}-1", name.name)), Some(slice)),
    ]
}

fn shows(name: &ObjectName) -> Service {
    let address = ServiceAddress::External(format!("{}.{}", name.name, name.namespace));
    Service { address, ..Service::default() }
}

/// A Service for every name that the object sends requests to. Those that the row itself has come later.
fn services(change: &ObjectChange) -> Vec<ObjectChange> {
    let texts: Vec<(String, ObjectName)> = match change {
        ObjectChange::Emissary(name, Some(object)) => {
            let text = object.spec["service"].as_str();
            text.map(|text| (text.to_owned(), name.name.clone())).into_iter().collect()
        }
        ObjectChange::Annotation(carrier, Some(annotation)) => {
            let found = annotation::read(carrier, annotation, Compat::Ideal).into_iter();
            let named = |found| match found {
                Found::Document(it) => Some((it.spec["service"].as_str()?.to_owned(), it.name)),
                Found::Unreadable(_) => None,
            };
            found.filter_map(named).collect()
        }
        ObjectChange::Ingress(name, Some(ingress)) => {
            let text = ingress.spec.to_string();
            let names = text.split(r#""service":{"name":""#).skip(1).filter_map(|it| it.split('"').next());
            return names
                .map(|it| name.sibling(it))
                .map(|name| {
                    let port = ServicePort { port: 80, ..ServicePort::default() };
                    ObjectChange::Service(name.clone(), Some(Service { ports: vec![port], ..shows(&name) }))
                })
                .collect();
        }
        _ => Vec::new(),
    };
    let service = |(text, owner): (String, ObjectName)| {
        let (reference, _) = parse_service(&text, &owner.namespace).ok()?;
        let (ServiceHost::Service(name) | ServiceHost::ServiceOrName(name)) = reference.host else {
            return None;
        };
        let service = shows(&name);
        Some(ObjectChange::Service(name, Some(service)))
    };
    texts.into_iter().filter_map(service).collect()
}
