use std::collections::BTreeMap;

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{
    GATEWAY_CONTROLLER, GatewayObject, GatewayObjectName, ObjectChange, Settings,
    object::{Service, ServiceAddress, ServicePort},
};
use serde_json::{Value, json};

use super::*;

struct World(Compiler);

impl World {
    fn apply(&mut self, kind: GatewayKind, name: &str, created: i64, spec: Value) {
        let name = name.parse().unwrap_or_else(|_| ObjectName::new("", name));
        let object = GatewayObject { created, ..GatewayObject::new("1", spec) };
        self.0.apply(ObjectChange::Gateway(GatewayObjectName { kind, name }, Some(object)));
    }

    fn http(&mut self, name: &str, spec: Value) {
        self.apply(GatewayKind::Route(RouteKind::Http), name, 0, spec);
    }

    /// Two Gateways with the same host, and routes that attach and that do not.
    fn new() -> Self {
        let mut world = Self(Compiler::new(Settings::default()));
        world.apply(GatewayKind::GatewayClass, "sluice", 0, json!({"controllerName": GATEWAY_CONTROLLER}));
        for namespace in ["infra", "shop", "other"] {
            world.0.apply(ObjectChange::Namespace(namespace.into(), Some(BTreeMap::new())));
        }
        for service in ["shop/web", "shop/canary", "other/away"] {
            let object = Service {
                ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
                address: ServiceAddress::ClusterIp([198, 18, 0, 1].into()),
                ..Service::default()
            };
            world.0.apply(ObjectChange::Service(service.parse().unwrap(), Some(object)));
        }
        let all = json!({"namespaces": {"from": "All"}});
        world.apply(
            GatewayKind::Gateway,
            "infra/edge",
            0,
            json!({"gatewayClassName": "sluice", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": all},
                {"name": "shop", "port": 80, "protocol": "HTTP", "hostname": "*.shop.io", "allowedRoutes": all},
                {"name": "own", "port": 8080, "protocol": "HTTP"},
            ]}),
        );
        world.apply(
            GatewayKind::Gateway,
            "shop/internal",
            0,
            json!({"gatewayClassName": "sluice", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"},
            ]}),
        );
        let edge = json!([{"name": "edge", "namespace": "infra", "sectionName": "shop"}]);
        let backends =
            json!([{"name": "web", "port": 80, "weight": 90}, {"name": "canary", "port": 80, "weight": 10}]);
        world.http(
            "shop/cart",
            json!({"parentRefs": [edge[0], {"name": "internal"}], "hostnames": ["www.shop.io"], "rules": [
                {"name": "cart", "matches": [{"path": {"value": "/cart"}}], "backendRefs": backends},
                {"matches": [
                    {"path": {"value": "/cart"}, "headers": [{"name": "X-Beta", "value": "1"}]},
                    {"path": {"value": "/beta"}},
                ], "backendRefs": [{"name": "canary", "port": 80}]},
            ]}),
        );
        world.http(
            "shop/all",
            json!({"parentRefs": edge, "rules": [{"backendRefs": [{"name": "away", "namespace": "other", "port": 80}]}]}),
        );
        world.http(
            "shop/moved",
            json!({"parentRefs": edge, "hostnames": ["old.shop.io"], "rules": [
                {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "www.shop.io"}}]},
            ]}),
        );
        // On the listener that has every host, which `shop` takes this one from.
        world.http(
            "shop/wide",
            json!({"parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "http"}], "rules": [
                {"matches": [{"path": {"value": "/cart"}}], "backendRefs": [{"name": "web", "port": 80}]},
            ]}),
        );
        // From a namespace that the listener does not admit, and from one with other hosts.
        world.http(
            "other/guest",
            json!({"parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "own"}], "rules": [{}]}),
        );
        world.http(
            "other/lost",
            json!({"parentRefs": [{"name": "nowhere"}], "hostnames": ["www.shop.io"], "rules": [{}]}),
        );
        world.apply(
            GatewayKind::Route(RouteKind::Grpc),
            "shop/calls",
            0,
            json!({"parentRefs": edge, "hostnames": ["rpc.shop.io"], "rules": [
                {"matches": [{"method": {"service": "shop.Cart"}}], "backendRefs": [{"name": "web", "port": 80}]},
            ]}),
        );
        world.0.compile();
        world
    }
}

fn request<'a>(authority: &'a str, target: &'a str, headers: &'a [(String, String)]) -> Request<'a> {
    Request { port: 8080, tls: false, authority, method: "GET", target, headers }
}

#[test]
fn each_gateway_has_a_table_of_its_routes() {
    let World(compiler) = World::new();
    let all: Vec<ObjectName> = compiler.gateways().cloned().collect();
    insta::assert_snapshot!(tables(&compiler, &all, None, None, Paint::Plain));
    let of = |namespace| tables(&compiler, &all, None, Some(namespace), Paint::Plain);
    assert!(
        of("infra").contains("HTTPRoute shop/cart rule `cart`"),
        "of its Gateway, whatever its namespace"
    );
    assert!(of("shop").contains("Gateway infra/edge\n"), "a route of it is at that Gateway");
    assert_eq!(of("elsewhere"), "");
}

#[test]
fn requests_that_were_counted_are_shown_for_the_gateway_that_counted_them() {
    let World(compiler) = World::new();
    let edge = "infra/edge".parse().unwrap();
    let cart = compiler.gateway_routes(&edge).into_iter().find(|it| it.of.name.is_some()).unwrap();
    let Action::Split(split) = &cart.route.action else { panic!("{cart:?}") };
    let line = |arm: &proxy_config::model::Arm, requests: u32| {
        format!(
            "sluice_proxy_requests_total{{arm=\"{}\",code=\"2xx\",hash=\"h1\",split=\"{}\"}} {requests}\n",
            arm.id, split.id
        )
    };
    let page: String = split.arms.iter().zip([1, 3]).map(|(arm, requests)| line(arm, requests)).collect();
    let counts = Counts::read(&page);
    let of =
        |gateway: &str| tables(&compiler, &[gateway.parse().unwrap()], Some(&counts), None, Paint::Plain);
    let edge = of("infra/edge");
    assert!(edge.contains("10 %") && edge.contains("25 %") && edge.contains("75 %"), "{edge}");
    assert!(!of("shop/internal").contains("25 %"), "its proxies have counted nothing");
}

#[test]
fn an_explanation_says_which_gateway_and_rule_answer_and_why_others_do_not() {
    let World(compiler) = World::new();
    let beta = [("x-beta".to_owned(), "1".to_owned())];
    let texts = [
        request("www.shop.io", "/cart/1?a=b", &[]),
        request("www.shop.io", "/cart", &beta),
        request("old.shop.io", "/x", &[]),
        request("new.shop.io", "/x", &[]),
        request("rpc.shop.io", "/shop.Cart/Add", &[]),
    ]
    .map(|request| everywhere(&compiler, &request, None));
    insta::assert_snapshot!(texts.join("\n---\n"));
}

#[test]
fn a_gateway_that_is_asked_for_says_why_it_does_not_take_a_request() {
    let World(compiler) = World::new();
    let edge = ["infra/edge".parse().unwrap()];
    let plain = request("www.shop.io", "/cart", &[]);
    let tls = Request { tls: true, ..plain.clone() };
    let texts = [
        at_chosen(&compiler, &edge, &plain, Some(81)),
        at_chosen(&compiler, &edge, &plain, Some(8080)),
        at_chosen(&compiler, &edge, &tls, Some(80)),
    ];
    insta::assert_snapshot!(texts.join("\n---\n"));
}
