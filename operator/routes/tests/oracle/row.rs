//! One row, and the compiler that has its objects.

use std::collections::BTreeMap;

use operator_routes::{
    Compat, Compiler, EMISSARY_CONTROLLER, ObjectChange, ObjectName, Settings,
    dialect::{
        ApiVersion, Carrier, CarrierKind, DocumentKind,
        annotation::{self, Annotation, Found},
        documents::DocumentName,
    },
    mapping::{ServiceHost, parse_service},
    object::{
        EmissaryObject, IngressClass, IngressObject, SecretObject, Service, ServiceAddress, ServicePort,
    },
};
use proxy_config::model::Secret;
use serde_json::Value;

/// One row of any table.
pub(crate) struct Row(Value);

impl Row {
    pub(crate) fn new(row: Value) -> Self {
        Self(row)
    }

    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().expect("a row has an id")
    }

    pub(crate) fn about(&self) -> &str {
        self.0["about"].as_str().unwrap_or_default()
    }

    pub(crate) fn column(&self, name: &str) -> &Value {
        &self.0[name]
    }

    pub(crate) fn yaml(&self) -> &str {
        self.0["yaml"].as_str().unwrap_or_default()
    }

    /// Emissary's own namespace, where names need no namespace.
    pub(crate) fn own_namespace(&self) -> &str {
        self.0["ambassador_namespace"].as_str().unwrap_or("ambassador")
    }

    /// The objects of the input.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(self.yaml()).expect("the input is YAML");
        objects.into_iter().filter(Value::is_object).collect()
    }

    /// The annotations of the input.
    pub(crate) fn annotations(&self) -> Vec<(Carrier, Annotation)> {
        let annotation = |change| match change {
            ObjectChange::Annotation(carrier, Some(annotation)) => Some((carrier, annotation)),
            _ => None,
        };
        self.objects().into_iter().flat_map(changes).filter_map(annotation).collect()
    }

    /// The specs of the Mappings that are objects of their own.
    pub(crate) fn mappings(&self) -> Vec<Value> {
        self.objects()
            .into_iter()
            .filter(|it| it["kind"] == "Mapping")
            .map(|mut it| it["spec"].take())
            .collect()
    }

    /// The compiler that has been told all of it.
    pub(crate) fn compile(&self, compat: Compat) -> Compiler {
        let ambassador_id = self.0["ambassador_id"].as_str().unwrap_or("default").to_owned();
        let namespace = self.own_namespace().to_owned();
        let ingress_controllers = vec![EMISSARY_CONTROLLER.to_owned()];
        let settings =
            Settings { ambassador_id, compat, namespace, ingress_controllers, ..Settings::default() };
        let mut compiler = Compiler::new(settings);
        let changes: Vec<ObjectChange> = self.objects().into_iter().flat_map(changes).collect();
        for service in changes.iter().flat_map(|change| services(change, self.own_namespace())) {
            compiler.apply(service);
        }
        for change in changes {
            compiler.apply(change);
        }
        compiler.compile();
        compiler
    }
}

fn changes(mut object: Value) -> Vec<ObjectChange> {
    let metadata = object["metadata"].take();
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let name = ObjectName::new(namespace, metadata["name"].as_str().expect("an object has a name"));
    let labels = metadata["labels"].as_object().into_iter().flatten();
    // The API server lets no other labels in.
    if labels.clone().any(|(_, value)| !value.is_string()) {
        return Vec::new();
    }
    let labels = texts(labels);
    let annotations = texts(metadata["annotations"].as_object().into_iter().flatten());
    let kind = object["kind"].as_str().expect("an object has a kind").to_owned();
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    if let (Some(kind), Some(version)) = (DocumentKind::parse(&kind), ApiVersion::parse(api_version)) {
        let object = EmissaryObject {
            resource_version: "1".into(),
            version,
            labels,
            owned_by_rollout: false,
            spec: object["spec"].take(),
        };
        return vec![ObjectChange::Emissary(DocumentName { kind, name }, Some(object))];
    }
    let carrier = match kind.as_str() {
        "Service" => CarrierKind::Service,
        "Ingress" => CarrierKind::Ingress,
        "Secret" => {
            let has =
                |key: &str| ["data", "stringData"].iter().any(|field| object[*field].get(key).is_some());
            let secret = SecretObject {
                chain: has("tls.crt").then(|| "-----BEGIN CERTIFICATE-----".to_owned()),
                key: has("tls.key").then(|| Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
                authorities: has("ca.crt").then(|| "-----BEGIN CERTIFICATE-----".to_owned()),
                revoked: has("crl.pem").then(|| "-----BEGIN X509 CRL-----".to_owned()),
                entries: BTreeMap::new(),
            };
            return vec![ObjectChange::Secret(name, Some(secret))];
        }
        "IngressClass" => {
            let controller = object["spec"]["controller"].as_str().unwrap_or_default().to_owned();
            let class = IngressClass { controller, default: false };
            return vec![ObjectChange::IngressClass(name.name, Some(class))];
        }
        _ => return Vec::new(),
    };
    let own = match carrier {
        CarrierKind::Service => ObjectChange::Service(name.clone(), Some(service(&name, &object["spec"]))),
        CarrierKind::Ingress => {
            let (labels, spec) = (labels.clone(), object["spec"].take());
            let ingress =
                IngressObject { labels, annotations: annotations.clone(), ..IngressObject::new("1", spec) };
            ObjectChange::Ingress(name.clone(), Some(ingress))
        }
    };
    let text = annotations.get("getambassador.io/config");
    let annotation =
        text.map(|text| Annotation { text: text.as_str().into(), labels, resource_version: "1".into() });
    vec![own, ObjectChange::Annotation(Carrier { kind: carrier, name }, annotation)]
}

fn texts<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> BTreeMap<String, String> {
    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// A Service that shows where requests arrive, with its ports.
fn service(name: &ObjectName, spec: &Value) -> Service {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let port = |port: &Value| {
        let name = port["name"].as_str().unwrap_or_default().to_owned();
        let target = number(&port["targetPort"]);
        Some(ServicePort { name, port: number(&port["port"])?, target, ..ServicePort::default() })
    };
    Service {
        address: ServiceAddress::External(format!("{}.{}", name.name, name.namespace)),
        ports: spec["ports"].as_array().into_iter().flatten().filter_map(port).collect(),
        ..Service::default()
    }
}

/// A Service for every name that the objects send requests to: one that shows where they arrive.
fn services(change: &ObjectChange, home: &str) -> Vec<ObjectChange> {
    let texts: Vec<(String, String)> = match change {
        ObjectChange::Emissary(name, Some(object)) => {
            let service = object.spec["service"].as_str();
            service.map(|text| (text.to_owned(), name.name.namespace.to_string())).into_iter().collect()
        }
        ObjectChange::Annotation(carrier, Some(annotation)) => {
            let found = annotation::read(carrier, annotation, Compat::Ideal).into_iter();
            let service = |found| match found {
                Found::Document(it) => {
                    let text = it.spec["service"].as_str()?.to_owned();
                    Some((text, it.name.namespace.to_string()))
                }
                Found::Unreadable(_) => None,
            };
            found.filter_map(service).collect()
        }
        _ => Vec::new(),
    };
    let mut services = Vec::new();
    // A Module may say that names are of Emissary's own namespace.
    let at_home = texts.iter().map(|(text, _)| (text.clone(), home.to_owned())).collect::<Vec<_>>();
    for (text, namespace) in texts.iter().chain(&at_home) {
        let Ok((reference, _)) = parse_service(text, namespace) else { continue };
        let (ServiceHost::Service(name) | ServiceHost::ServiceOrName(name)) = reference.host else {
            continue;
        };
        let address = ServiceAddress::External(format!("{}.{}", name.name, name.namespace));
        services.push(ObjectChange::Service(name, Some(Service { address, ..Service::default() })));
    }
    services
}
