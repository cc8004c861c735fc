//! What holds of any objects, however odd. The property tests and the fuzz targets look at the same functions.
//!
//! The input is a text of documents between lines of `---`. The first line of each says what it is, the rest is the `spec` as
//! YAML; of an annotation, the whole text. They are named `object-0` to `object-7`, in turn; objects of the Gateway API are of
//! the class `sluice`.

#![allow(unreachable_pub, reason = "each test and each fuzz target is a crate of its own")]

use std::{collections::BTreeMap, sync::Arc};

use crds::gateway::GatewayKind;
use operator_routes::{
    Compat, Compiler, EMISSARY_CONTROLLER, GATEWAY_CONTROLLER, GatewayObject, GatewayObjectName,
    INGRESS_CONTROLLER, ObjectChange, ObjectName, Settings, State, Subject,
    dialect::{Carrier, CarrierKind, DocumentKind, Origin, annotation::Annotation, documents::DocumentName},
    object::{
        EmissaryObject, IngressClass, IngressObject, SecretObject, Service, ServiceAddress, ServicePort,
    },
};
use proxy_config::{
    model::{RouteId, Secret},
    validate::validate,
};
use serde_json::{Value, json};

/// The host of those that must not be disturbed. An input that names it may well do so.
const BYSTANDER: &str = "bystander.example.org";

/// Whatever objects there are, the compiler does not panic, the proxies can take the result, and an Ingress and a Mapping
/// that they do not name are served as they are alone.
pub fn no_object_blocks_another(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.contains(BYSTANDER) {
        return;
    }
    let mut compiler = Compiler::new(Settings::default());
    for change in bystanders() {
        compiler.apply(change);
    }
    compiler.compile();
    let alone = compiler.compiled().clone();
    let changes: Vec<ObjectChange> = changes(text).collect();
    // What says how others are read, or for which hosts they are, may change a Mapping.
    let is_for_all = |change: &ObjectChange| {
        let own = [DocumentKind::Mapping, DocumentKind::TcpMapping, DocumentKind::TlsContext];
        match change {
            ObjectChange::Emissary(name, _) => !own.contains(&name.kind),
            ObjectChange::Annotation(..) => true,
            _ => false,
        }
    };
    let for_all = changes.iter().any(is_for_all);
    let for_ingresses = changes.iter().any(|change| matches!(change, ObjectChange::IngressDefaults(_)));
    to_the_letter(&changes);
    for change in changes {
        compiler.apply(change);
        compiler.compile();
    }
    let served = compiler.compiled();
    let configs = served.gateways.values().chain([&served.config]);
    let problems: Vec<_> = configs.flat_map(validate).collect();
    assert!(problems.is_empty(), "the proxies would refuse it: {problems:?}");
    if !for_ingresses {
        let ingress = RouteId::new(format!("ingress {BYSTANDER}/ingress Prefix"));
        assert_eq!(served.config.routes.get(&ingress), alone.config.routes.get(&ingress));
        assert_eq!(served.statuses[&Subject::Ingress(name("bystander"))].state, State::Running);
    }
    if !for_all {
        let mapping = RouteId::new(format!("mapping {BYSTANDER}/mapping/"));
        assert_eq!(served.config.routes.get(&mapping), alone.config.routes.get(&mapping));
        let subject = DocumentName { kind: DocumentKind::Mapping, name: name("bystander") };
        let status = &served.statuses[&Subject::Document(subject, Origin::Object)];
        assert_eq!(status.state, State::Running, "{}", status.reason);
    }
}

/// The same as Emissary reads it, its Ingresses included: nothing panics, and the proxies can take the result.
fn to_the_letter(changes: &[ObjectChange]) {
    let ingress_controllers = vec![EMISSARY_CONTROLLER.to_owned()];
    let settings = Settings { compat: Compat::Strict, ingress_controllers, ..Settings::default() };
    let mut compiler = Compiler::new(settings);
    let class = IngressClass { controller: EMISSARY_CONTROLLER.to_owned(), default: false };
    compiler.apply(ObjectChange::IngressClass("sluice".into(), Some(class)));
    for change in changes.iter().cloned() {
        compiler.apply(change);
    }
    compiler.compile();
    let problems = validate(&compiler.compiled().config);
    assert!(problems.is_empty(), "the proxies would refuse it: {problems:?}");
}

fn name(name: &str) -> ObjectName {
    ObjectName::new("good", name)
}

fn bystanders() -> Vec<ObjectChange> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/ingress", "pathType": "Prefix", "backend": backend}]);
    let spec =
        json!({"ingressClassName": "sluice", "rules": [{"host": BYSTANDER, "http": {"paths": paths}}]});
    let ingress = IngressObject { created: i64::MIN, ..IngressObject::new("1", spec) };
    let mapping = json!({"hostname": BYSTANDER, "prefix": "/mapping/", "service": "web"});
    let mapping_name = DocumentName { kind: DocumentKind::Mapping, name: name("bystander") };
    let service = Service {
        ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
        address: ServiceAddress::ClusterIp([198, 18, 0, 1].into()),
        ..Service::default()
    };
    let class = IngressClass { controller: INGRESS_CONTROLLER.to_owned(), default: false };
    let gateways = GatewayObjectName { kind: GatewayKind::GatewayClass, name: ObjectName::new("", "sluice") };
    let of_gateways = GatewayObject::new("1", json!({"controllerName": GATEWAY_CONTROLLER}));
    vec![
        ObjectChange::Gateway(gateways, Some(of_gateways)),
        ObjectChange::IngressClass("sluice".into(), Some(class)),
        ObjectChange::Service(name("web"), Some(service)),
        ObjectChange::Ingress(name("bystander"), Some(ingress)),
        ObjectChange::Emissary(mapping_name, Some(EmissaryObject::new("1", mapping))),
    ]
}

/// The objects of an input. What cannot be read as YAML is no object: the API server would not have it.
fn changes(text: &str) -> impl Iterator<Item = ObjectChange> {
    text.split("\n---\n").enumerate().filter_map(|(number, document)| {
        let (kind, rest) = document.split_once('\n').unwrap_or((document, ""));
        let name = ObjectName::new("fuzz", format!("object-{}", number % 8));
        if kind == "annotation" {
            let carrier = Carrier { kind: CarrierKind::Service, name };
            let text: Arc<str> = rest.into();
            let annotation = Annotation { text, labels: BTreeMap::new(), resource_version: "1".into() };
            return Some(ObjectChange::Annotation(carrier, Some(annotation)));
        }
        let spec: Value = serde_saphyr::from_str(rest).ok()?;
        Some(match kind {
            "Ingress" => {
                let texts = |value: &Value| value.as_str().map(str::to_owned);
                let annotations = spec.get("annotations").and_then(Value::as_object).into_iter().flatten();
                let annotations = annotations.filter_map(|(name, value)| Some((name.clone(), texts(value)?)));
                let annotations = annotations.collect();
                let created = i64::try_from(number).unwrap_or_default();
                ObjectChange::Ingress(
                    name,
                    Some(IngressObject { created, annotations, ..IngressObject::new("1", spec) }),
                )
            }
            "Secret" => {
                let data = spec.as_object().into_iter().flatten();
                let entry =
                    |(key, value): (&String, &Value)| Some((key.clone(), Secret(value.as_str()?.to_owned())));
                let entries = data.filter_map(entry).collect();
                ObjectChange::Secret(name, Some(SecretObject { entries, ..SecretObject::default() }))
            }
            "ConfigMap" => {
                let data = spec.as_object().into_iter().flatten();
                let data = data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                ObjectChange::IngressDefaults(Some(data.collect()))
            }
            "Service" => {
                let service = Service {
                    ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
                    address: ServiceAddress::ClusterIp([198, 18, 0, 2].into()),
                    slow_start: spec["slow-start"].as_str().map(str::to_owned),
                    ..Service::default()
                };
                ObjectChange::Service(name, Some(service))
            }
            kind => {
                if let Some(kind) = GatewayKind::ALL.into_iter().find(|it| it.as_str() == kind) {
                    let name = GatewayObjectName { kind, name };
                    return Some(ObjectChange::Gateway(name, Some(GatewayObject::new("1", spec))));
                }
                let name = DocumentName { kind: DocumentKind::parse(kind)?, name };
                ObjectChange::Emissary(name, Some(EmissaryObject::new("1", spec)))
            }
        })
    })
}
