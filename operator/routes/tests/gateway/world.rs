//! Objects by their specs, and what comes of them.

use std::collections::BTreeMap;

use crds::gateway::{GatewayKind, RouteKind};
use litemap::LiteMap;
use operator_routes::{
    Compiler, GATEWAY_CONTROLLER, GatewayObject, GatewayObjectName, ObjectChange, ObjectName, Scope,
    Settings,
    gateway::{
        Address, AddressKind, Condition, GatewayStatus, Supply,
        status::{ListenerStatus, ParentStatus, StatusContent},
    },
    object::{
        AppProtocol, EndpointCondition, EndpointSlice, Family, SecretObject, Service, ServiceAddress,
        ServicePort, SliceEndpoint,
    },
};
use proxy_config::{
    model::{Config, Route, Secret},
    validate::validate,
};
use serde_json::{Value, json};

pub(crate) const INFRA: &str = "infra";

/// A compiler that has been told of a class, the namespaces `infra` and `other` and the Services `a`, `b` (port 80) in
/// each.
pub(crate) struct World(pub(crate) Compiler);

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self(Compiler::new(Settings::default()));
        world.apply(GatewayKind::GatewayClass, "/sluice", json!({"controllerName": GATEWAY_CONTROLLER}));
        world.apply(GatewayKind::GatewayClass, "/foreign", json!({"controllerName": "example.com/other"}));
        for namespace in [INFRA, "other"] {
            let labels = BTreeMap::from([("team".to_owned(), namespace.to_owned())]);
            world.0.apply(ObjectChange::Namespace(namespace.into(), Some(labels)));
            for (index, service) in ["a", "b"].into_iter().enumerate() {
                let index = u8::try_from(index).unwrap();
                world.service(&format!("{namespace}/{service}"), AppProtocol::Unsaid, index);
            }
        }
        world.compile();
        world
    }

    /// One with a Gateway `infra/web` that has a listener `http` on port 80.
    pub(crate) fn with_gateway() -> Self {
        let mut world = Self::new();
        world.gateway(json!([{"name": "http", "port": 80, "protocol": "HTTP"}]));
        world
    }

    pub(crate) fn gateway(&mut self, listeners: Value) {
        self.gateway_with(json!({ "listeners": listeners }));
    }

    /// A Gateway `infra/web` that is reached.
    pub(crate) fn gateway_with(&mut self, mut spec: Value) {
        spec["gatewayClassName"] = "sluice".into();
        self.apply(GatewayKind::Gateway, "infra/web", spec);
        let address = Address { kind: AddressKind::Ip, value: "198.18.0.1".to_owned() };
        let supply = Supply { addresses: vec![address], ..Supply::default() };
        self.0.apply(ObjectChange::Supply(name("infra/web"), Some(supply)));
    }

    pub(crate) fn apply(&mut self, kind: GatewayKind, object: &str, spec: Value) {
        self.put(kind, object, Some(GatewayObject::new("1", spec)));
    }

    pub(crate) fn put(&mut self, kind: GatewayKind, object: &str, it: Option<GatewayObject>) {
        self.0.apply(ObjectChange::Gateway(GatewayObjectName { kind, name: class_or_name(object) }, it));
    }

    pub(crate) fn http(&mut self, object: &str, spec: Value) {
        self.apply(GatewayKind::Route(RouteKind::Http), object, spec);
    }

    pub(crate) fn service(&mut self, service: &str, speaks: AppProtocol, index: u8) {
        let service = name(service);
        let ports = [("http", 80), ("https", 443)].map(|(name, port)| ServicePort {
            name: name.to_owned(),
            port,
            target: None,
            speaks,
        });
        let object =
            Service { ports: ports.to_vec(), address: ServiceAddress::Headless, ..Service::default() };
        self.0.apply(ObjectChange::Service(service.clone(), Some(object)));
        let octet = 10 * u8::try_from(service.namespace.len()).unwrap() + index;
        let slice = EndpointSlice {
            resource_version: "1".into(),
            service: service.name.clone(),
            family: Family::V4,
            ports: LiteMap::from_iter([("http".to_owned(), 8080), ("https".to_owned(), 8443)]),
            endpoints: vec![SliceEndpoint {
                address: [198, 18, 1, octet].into(),
                condition: EndpointCondition::Ready,
                pod: None,
                zone: None,
                hints: Vec::new(),
            }],
        };
        self.0
            .apply(ObjectChange::EndpointSlice(service.sibling(format!("{}-1", service.name)), Some(slice)));
    }

    /// A Secret with a certificate, or one with something else.
    pub(crate) fn secret(&mut self, secret: &str, good: bool) {
        self.secret_with(secret, good.then_some("x"));
    }

    /// The Secret with another certificate.
    pub(crate) fn renewed(&mut self, secret: &str) {
        self.secret_with(secret, Some("y"));
    }

    fn secret_with(&mut self, secret: &str, body: Option<&str>) {
        let text = |label: &str| match body {
            Some(body) => format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"),
            None => "Hello".to_owned(),
        };
        let object = SecretObject {
            chain: Some(text("CERTIFICATE")),
            key: Some(Secret(text("PRIVATE KEY"))),
            ..SecretObject::default()
        };
        self.0.apply(ObjectChange::Secret(name(secret), Some(object)));
    }

    pub(crate) fn authorities(&mut self, map: &str) {
        let text = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n".to_owned();
        let data = BTreeMap::from([("ca.crt".to_owned(), text)]);
        self.0.apply(ObjectChange::ConfigMap(name(map), Some(data)));
    }

    /// Compiles, and looks whether the proxies of every scope would take what they get.
    pub(crate) fn compile(&mut self) {
        let _ = self.0.compile();
        let compiled = self.0.compiled();
        for config in compiled.gateways.values().chain([&compiled.config]) {
            assert_eq!(validate(config), []);
        }
    }

    /// What the proxies of `infra/web` get.
    pub(crate) fn config(&mut self) -> Config {
        self.compile();
        self.0.compiled().config_of(&Scope::Gateway(name("infra/web"))).cloned().unwrap_or_default()
    }

    /// The routes of `infra/web` in the order in which they are asked.
    pub(crate) fn routes(&mut self) -> Vec<Route> {
        let mut routes: Vec<Route> = self.config().routes.values().map(|it| Route::clone(it)).collect();
        routes.sort_by(|a, b| a.rank.cmp(&b.rank));
        routes
    }

    pub(crate) fn status(&mut self, kind: GatewayKind, object: &str) -> Option<GatewayStatus> {
        self.compile();
        let id = GatewayObjectName { kind, name: class_or_name(object) };
        self.0.compiled().gateway_statuses.get(&id).map(|it| GatewayStatus::clone(it))
    }

    /// What the parents of a route say.
    pub(crate) fn parents(&mut self, kind: RouteKind, object: &str) -> Vec<ParentStatus> {
        match self.status(GatewayKind::Route(kind), object).map(|it| it.content) {
            Some(StatusContent::Route(parents)) => parents,
            _ => Vec::new(),
        }
    }

    /// The conditions of `infra/web`, and its listeners.
    pub(crate) fn told(&mut self) -> (Vec<Condition>, Vec<ListenerStatus>) {
        match self.status(GatewayKind::Gateway, "infra/web").map(|it| it.content) {
            Some(StatusContent::Gateway { conditions, listeners, .. }) => (conditions, listeners),
            other => panic!("the Gateway says {other:?}"),
        }
    }
}

/// As `Accepted=True/Accepted`, those that are not as they should be, or all if `all`.
pub(crate) fn show(conditions: &[Condition]) -> String {
    let one =
        |it: &Condition| format!("{}={}/{}", it.kind, if it.holds { "True" } else { "False" }, it.reason);
    conditions.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(crate) fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn class_or_name(text: &str) -> ObjectName {
    match text.strip_prefix('/') {
        Some(class) => ObjectName::new("", class),
        None => name(text),
    }
}
