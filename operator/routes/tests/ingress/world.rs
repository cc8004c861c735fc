//! Services and Ingresses, and what comes of them in one line.

use std::{net::IpAddr, sync::Arc};

use litemap::LiteMap;
use operator_routes::{
    Compiler, INGRESS_CONTROLLER, ObjectChange, ObjectName, Settings, State, Subject,
    dialect::{DocumentKind, documents::DocumentName},
    explain::{Answer, Outcome, Request, What, explain},
    object::{
        EmissaryObject, EndpointCondition, EndpointSlice, Family, IngressClass, IngressObject, SecretObject,
        Service, ServiceAddress, ServicePort, SliceEndpoint,
    },
};
use proxy_config::{
    model::{HostRewrite, Secret},
    validate::{validate_change, validate_references},
};
use serde_json::{Value, json};

pub(crate) const NGINX: &str = "nginx.ingress.kubernetes.io";

/// Names without their prefix, and values.
pub(crate) type Annotations<'a> = &'a [(&'a str, &'a str)];

/// A Service with an endpoint, ports 80 (`http`) and 9000 (`admin`).
pub(crate) fn service(name: &str) -> [ObjectChange; 2] {
    let port = |name: &str, port| ServicePort { name: name.to_owned(), port, ..ServicePort::default() };
    let service = Service {
        resource_version: "1".into(),
        ports: vec![port("http", 80), port("admin", 9000)],
        address: ServiceAddress::ClusterIp(IpAddr::from([198, 18, 0, 1])),
        ..Service::default()
    };
    let slice = EndpointSlice {
        resource_version: "1".into(),
        service: name.into(),
        family: Family::V4,
        ports: LiteMap::from_iter([("http".to_owned(), 8080), ("admin".to_owned(), 9001)]),
        endpoints: vec![SliceEndpoint {
            address: IpAddr::from([198, 18, 1, 1]),
            condition: EndpointCondition::Ready,
            pod: None,
            zone: None,
            hints: Vec::new(),
        }],
    };
    [
        ObjectChange::Service(ObjectName::new("shop", name), Some(service)),
        ObjectChange::EndpointSlice(ObjectName::new("shop", format!("{name}-1")), Some(slice)),
    ]
}

/// An Ingress of ours, created at this second; annotations are under the prefix.
pub(crate) fn ingress(name: &str, created: i64, annotations: &[(&str, &str)], spec: Value) -> ObjectChange {
    let mut spec = spec;
    spec["ingressClassName"] = json!("sluice");
    let annotations =
        annotations.iter().map(|(name, value)| (format!("{NGINX}/{name}"), (*value).to_owned())).collect();
    let object = IngressObject { created, annotations, ..IngressObject::new("1", spec) };
    ObjectChange::Ingress(ObjectName::new("shop", name), Some(object))
}

pub(crate) fn backend(service: &str) -> Value {
    json!({"service": {"name": service, "port": {"number": 80}}})
}

pub(crate) fn path(kind: &str, path: &str, service: &str) -> Value {
    json!({"path": path, "pathType": kind, "backend": backend(service)})
}

pub(crate) fn rule(host: &str, paths: &[Value]) -> Value {
    let mut rule = json!({"http": {"paths": paths}});
    if !host.is_empty() {
        rule["host"] = json!(host);
    }
    rule
}

pub(crate) fn rules(rules: &[Value]) -> Value {
    json!({"rules": rules})
}

pub(crate) fn secret(name: &str) -> ObjectChange {
    let secret = SecretObject {
        chain: Some("-----BEGIN CERTIFICATE-----".to_owned()),
        key: Some(Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
        ..SecretObject::default()
    };
    ObjectChange::Secret(ObjectName::new("shop", name), Some(secret))
}

pub(crate) fn emissary(kind: DocumentKind, name: &str, spec: Value) -> ObjectChange {
    let name = DocumentName { kind, name: ObjectName::new("shop", name) };
    ObjectChange::Emissary(name, Some(EmissaryObject::new("1", spec)))
}

pub(crate) fn compiler(changes: Vec<ObjectChange>) -> Compiler {
    compiler_with(Settings::default(), changes)
}

pub(crate) fn compiler_with(settings: Settings, changes: Vec<ObjectChange>) -> Compiler {
    let mut compiler = Compiler::new(settings);
    let class = IngressClass { controller: INGRESS_CONTROLLER.to_owned(), default: false };
    compiler.apply(ObjectChange::IngressClass(Arc::from("sluice"), Some(class)));
    for name in ["web", "api", "next"] {
        for change in service(name) {
            compiler.apply(change);
        }
    }
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    let config = &compiler.compiled().config;
    let problems: Vec<_> = config.changes().flat_map(|change| validate_change(&change)).collect();
    assert!(problems.is_empty(), "the proxies would refuse it: {problems:?}");
    assert!(validate_references(config).is_empty());
    compiler
}

/// What becomes of `[https://]host/path[ header: value]…`: `percent service path`, joined.
pub(crate) fn outcome(compiler: &Compiler, request: &str) -> String {
    let (tls, rest) = match request.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, request),
    };
    let mut words = rest.split(" | ");
    let target = words.next().unwrap_or_default();
    let headers: Vec<(String, String)> = words
        .filter_map(|word| word.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let (authority, target) = target.split_at(target.find('/').expect("a path"));
    let port = if tls { 8443 } else { 8080 };
    let request = Request { port, tls, authority, method: "GET", target, headers: &headers };
    let served = compiler.compiled();
    let outcomes = match explain(served, &request) {
        Answer::Host(_, outcomes) => outcomes,
        other => return format!("{other:?}"),
    };
    let show = |Outcome { parts, what }: Outcome| match what {
        What::NoRoute => "404".to_owned(),
        What::Refused { status, reason, .. } => format!("{status} {reason}"),
        What::Redirected { status, location, .. } => format!("{status} {location}"),
        What::Forwarded { cluster, target: to, host, .. } => {
            let cluster = cluster.to_string();
            let name =
                cluster.split([' ', ':']).find_map(|word| word.strip_prefix("shop/")).unwrap_or(&cluster);
            let mut text = name.to_owned();
            if to != target {
                text = format!("{text} {to}");
            }
            if let HostRewrite::Literal(host) = host {
                text = format!("{text} at {host}");
            }
            if parts == 10_000 { text } else { format!("{} {text}", parts / 100) }
        }
    };
    outcomes.into_iter().map(show).collect::<Vec<_>>().join(", ")
}

#[track_caller]
pub(crate) fn check(compiler: &Compiler, table: &[(&str, &str)]) {
    for (request, expected) in table {
        assert_eq!(outcome(compiler, request), *expected, "{request}");
    }
}

/// The verdict on an Ingress: a star before it if all is well.
pub(crate) fn told(compiler: &Compiler, name: &str) -> String {
    let subject = Subject::Ingress(ObjectName::new("shop", name));
    compiler.compiled().statuses.get(&subject).map_or_else(
        || "-".to_owned(),
        |status| match status.state {
            State::Running => format!("* {}", status.reason),
            State::Inactive => status.reason.clone(),
        },
    )
}
