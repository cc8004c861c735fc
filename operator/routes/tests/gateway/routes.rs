//! Which routes attach, what they become, and what they are told.

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{
    GatewayObject, Scope,
    explain::{Aside, Request},
    gateway::Precedence,
    object::AppProtocol,
};
use proxy_config::model::{Action, HostMatch, PathMatch, Protocol, UpstreamProtocol};
use serde_json::{Value, json};

use crate::world::{INFRA, World, name, show};

fn to(backends: Value) -> Value {
    json!({"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": backends}]})
}

#[test]
fn a_route_reaches_the_proxies_of_its_gateway_and_no_others() {
    let mut world = World::with_gateway();
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    world.apply(
        GatewayKind::Gateway,
        "infra/second",
        json!({"gatewayClassName": "sluice", "listeners": listeners}),
    );
    world.apply(
        GatewayKind::Gateway,
        "infra/foreign",
        json!({"gatewayClassName": "foreign", "listeners": listeners}),
    );
    world.http("infra/app", to(json!([{"name": "a", "port": 80}])));
    let config = world.config();
    assert_eq!((config.routes.len(), config.clusters.len(), config.hosts.len()), (1, 2, 1));
    let listener = config.listeners.values().next().unwrap();
    assert_eq!((listener.port, listener.protocol), (64_592, Protocol::Http));
    let compiled = world.0.compiled();
    let second = compiled.config_of(&Scope::Gateway(name("infra/second"))).unwrap();
    assert!(second.routes.is_empty() && second.clusters.is_empty() && second.listeners.len() == 1);
    assert!(compiled.config.routes.is_empty() && compiled.config.clusters.is_empty());
    assert!(compiled.config_of(&Scope::Gateway(name("infra/foreign"))).is_none());
    let report = compiled.splits.values().next().unwrap();
    assert_eq!(report.scope, Scope::Gateway(name("infra/web")));
}

#[test]
fn a_gateway_that_goes_takes_everything_with_it() {
    let mut world = World::with_gateway();
    world.http("infra/app", to(json!([{"name": "a", "port": 80}])));
    world.compile();
    world.put(GatewayKind::Gateway, "infra/web", None);
    world.compile();
    let compiled = world.0.compiled();
    assert!(compiled.gateways.is_empty() && compiled.demands.is_empty() && compiled.splits.is_empty());
    assert!(world.parents(RouteKind::Http, "infra/app").is_empty());
    world.gateway(json!([{"name": "http", "port": 80, "protocol": "HTTP"}]));
    assert_eq!(world.routes().len(), 1);
}

#[test]
fn parents_say_why_a_route_is_not_attached() {
    let table = [
        (INFRA, json!({"name": "web"}), json!([]), "Accepted=True/Accepted"),
        (INFRA, json!({"name": "web", "sectionName": "http"}), json!([]), "Accepted=True/Accepted"),
        (INFRA, json!({"name": "web", "port": 80}), json!(["a.io"]), "Accepted=True/Accepted"),
        (INFRA, json!({"name": "web", "sectionName": "no"}), json!([]), "Accepted=False/NoMatchingParent"),
        (INFRA, json!({"name": "web", "port": 81}), json!([]), "Accepted=False/NoMatchingParent"),
        (
            INFRA,
            json!({"name": "web", "sectionName": "http", "port": 8080}),
            json!([]),
            "Accepted=False/NoMatchingParent",
        ),
        ("other", json!({"name": "web", "namespace": INFRA}), json!([]), "Accepted=True/Accepted"),
        (
            "other",
            json!({"name": "web", "namespace": INFRA, "sectionName": "http"}),
            json!([]),
            "Accepted=False/NotAllowedByListeners",
        ),
        (
            INFRA,
            json!({"name": "web", "sectionName": "named"}),
            json!(["b.io"]),
            "Accepted=False/NoMatchingListenerHostname",
        ),
        (INFRA, json!({"name": "web"}), json!(["not a name"]), "Accepted=False/UnsupportedValue"),
        (INFRA, json!({"name": "absent"}), json!([]), ""),
        (INFRA, json!({"name": "web", "kind": "Service", "group": ""}), json!([]), ""),
    ];
    for (namespace, parent, hostnames, expected) in table {
        let mut world = World::new();
        world.gateway(json!([
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "named", "port": 8080, "protocol": "HTTP", "hostname": "a.io",
             "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [
                 {"key": "team", "operator": "In", "values": [INFRA, "other"]},
             ]}}}},
        ]));
        let route = format!("{namespace}/app");
        world.http(&route, json!({"parentRefs": [parent], "hostnames": hostnames, "rules": []}));
        let parents = world.parents(RouteKind::Http, &route);
        let told = parents.first().map(|it| show(&it.conditions[..1])).unwrap_or_default();
        assert_eq!(told, expected, "{parent} of {namespace} for {hostnames}");
        let attached: u32 = world.told().1.iter().map(|it| it.attached_routes).sum();
        assert_eq!(attached > 0, expected.contains("True"), "{parent}");
    }
}

#[test]
fn references_that_mean_nothing_are_told_and_their_part_is_refused() {
    let grant = json!({
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": INFRA}],
        "to": [{"group": "", "kind": "Service", "name": "b"}],
    });
    let table = [
        (json!([{"name": "a", "port": 80}]), "ResolvedRefs=True/ResolvedRefs", vec![("cluster", 10_000)]),
        (json!([{"name": "absent", "port": 80}]), "ResolvedRefs=False/BackendNotFound", vec![]),
        (json!([{"name": "a", "port": 81}]), "ResolvedRefs=False/BackendNotFound", vec![]),
        (json!([{"name": "a", "kind": "Odd", "group": "x.io"}]), "ResolvedRefs=False/InvalidKind", vec![]),
        (
            json!([{"name": "a", "namespace": "other", "port": 80}]),
            "ResolvedRefs=False/RefNotPermitted",
            vec![],
        ),
        (
            json!([{"name": "b", "namespace": "other", "port": 80}]),
            "ResolvedRefs=True/ResolvedRefs",
            vec![("cluster", 10_000)],
        ),
        (
            json!([{"name": "a", "port": 80, "weight": 3}, {"name": "absent", "port": 80, "weight": 1}]),
            "ResolvedRefs=False/BackendNotFound",
            vec![("cluster", 7_500), ("absent", 2_500)],
        ),
        (
            json!([{"name": "a", "port": 80, "weight": 8}, {"name": "a", "port": 80, "weight": 2}]),
            "ResolvedRefs=True/ResolvedRefs",
            vec![("cluster", 8_000), ("cluster", 2_000)],
        ),
        (json!([{"name": "a", "port": 80, "weight": 0}]), "ResolvedRefs=True/ResolvedRefs", vec![]),
        (json!([]), "ResolvedRefs=True/ResolvedRefs", vec![]),
    ];
    for (backends, expected, parts) in table {
        let mut world = World::with_gateway();
        world.apply(GatewayKind::ReferenceGrant, "other/grant", grant.clone());
        world.http("infra/app", to(backends.clone()));
        let parents = world.parents(RouteKind::Http, "infra/app");
        assert_eq!(show(&parents[0].conditions), format!("Accepted=True/Accepted {expected}"), "{backends}");
        let config = world.config();
        let found = match &config.routes.values().next().unwrap().action {
            Action::Refuse(refusal) => {
                assert_eq!(refusal.status, 500);
                Vec::new()
            }
            Action::Split(split) => split
                .arms
                .iter()
                .map(|arm| {
                    let absent = config.clusters[&arm.cluster].absent;
                    (if absent { "absent" } else { "cluster" }, arm.share.parts())
                })
                .collect(),
            Action::Redirect(_) => panic!("nobody is redirected"),
        };
        let sorted = |mut it: Vec<(&'static str, u16)>| {
            it.sort_unstable();
            it
        };
        assert_eq!(sorted(found), sorted(parts), "{backends}");
    }
}

#[test]
fn a_grant_that_goes_takes_effect_at_once() {
    let mut world = World::with_gateway();
    let grant = json!({
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": INFRA}],
        "to": [{"group": "", "kind": "Service"}],
    });
    world.apply(GatewayKind::ReferenceGrant, "other/grant", grant);
    world.http("infra/app", to(json!([{"name": "a", "namespace": "other", "port": 80}])));
    assert!(matches!(world.routes()[0].action, Action::Split(_)));
    world.put(GatewayKind::ReferenceGrant, "other/grant", None);
    assert!(matches!(world.routes()[0].action, Action::Refuse(_)));
    assert!(world.config().clusters.values().all(|it| it.absent), "nothing is told of what is not permitted");
}

#[test]
fn a_service_that_comes_later_is_found() {
    let mut world = World::with_gateway();
    world.http("infra/app", to(json!([{"name": "late", "port": 80}])));
    assert!(matches!(world.routes()[0].action, Action::Refuse(_)));
    world.service("infra/late", AppProtocol::H2c, 9);
    assert!(matches!(world.routes()[0].action, Action::Split(_)));
    let clusters = world.config().clusters;
    let cluster = clusters.values().find(|it| !it.absent).unwrap();
    assert_eq!((cluster.endpoints.len(), cluster.protocol), (1, UpstreamProtocol::Http2));
    let parents = world.parents(RouteKind::Http, "infra/app");
    assert_eq!(show(&parents[0].conditions), "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs");
}

#[test]
fn hosts_are_those_of_listener_and_route_and_listeners_are_told_apart() {
    let mut world = World::new();
    world.gateway(json!([
        {"name": "any", "port": 80, "protocol": "HTTP"},
        {"name": "wild", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"},
        {"name": "one", "port": 80, "protocol": "HTTP", "hostname": "a.example.com"},
    ]));
    world.http(
        "infra/app",
        json!({
            "parentRefs": [{"name": "web", "sectionName": "wild"}, {"name": "web", "sectionName": "one"}],
            "hostnames": ["a.example.com", "b.example.com", "c.org"],
            "rules": [{"backendRefs": [{"name": "a", "port": 80}]}],
        }),
    );
    let mut found: Vec<(HostMatch, Vec<String>)> =
        world.routes().into_iter().map(|route| (route.host, route.classes)).collect();
    // Routes of different hosts have no order among each other.
    found.sort_by_key(|(host, _)| format!("{host:?}"));
    let exact = |text: &str| HostMatch::Exact(text.to_owned());
    let expected = [
        (exact("a.example.com"), vec!["listener one".to_owned(), "listener wild".to_owned()]),
        (exact("b.example.com"), vec!["listener wild".to_owned()]),
    ];
    assert_eq!(found, expected);
    let hosts = world.config().hosts;
    let names: Vec<_> = hosts.values().map(|it| (it.class.as_str(), it.names[0].as_str())).collect();
    assert_eq!(
        names,
        [("listener any", "*"), ("listener one", "a.example.com"), ("listener wild", "*.example.com")]
    );
}

#[test]
fn a_route_that_stands_in_for_another_takes_its_place_and_nobody_elses() {
    let mut world = World::with_gateway();
    let object = |created: i64, stands_in_for: Option<&str>| {
        let spec = json!({"parentRefs": [{"name": "web", "namespace": "infra"}], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]});
        GatewayObject {
            created,
            stands_in_for: stands_in_for.map(Into::into),
            ..GatewayObject::new("1", spec)
        }
    };
    let order = |world: &mut World| -> Vec<String> {
        let routes = world.routes();
        routes.iter().map(|it| it.id.as_str().split(' ').nth(1).unwrap().to_owned()).collect()
    };
    let put = |world: &mut World, route: &str, it: Option<GatewayObject>| {
        world.put(GatewayKind::Route(RouteKind::Http), route, it);
    };
    world.gateway(json!([{
        "name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}},
    }]));
    put(&mut world, "infra/base", Some(object(5, None)));
    put(&mut world, "infra/older", Some(object(4, None)));
    put(&mut world, "infra/younger", Some(object(6, None)));
    put(&mut world, "infra/in-its-place", Some(object(9, Some("base"))));
    // One of that name in another namespace is another one.
    put(&mut world, "other/late", Some(object(9, Some("base"))));
    let with_base = ["infra/older", "infra/in-its-place", "infra/base", "infra/younger", "other/late"];
    assert_eq!(order(&mut world), with_base);
    // Without a base it stands for itself, wherever that is.
    put(&mut world, "infra/base", None);
    assert_eq!(order(&mut world), ["infra/older", "infra/younger", "infra/in-its-place", "other/late"]);
    put(&mut world, "infra/base", Some(object(2, None)));
    let renewed = ["infra/in-its-place", "infra/base", "infra/older", "infra/younger", "other/late"];
    assert_eq!(order(&mut world), renewed);
    let request =
        Request { port: 80, tls: false, authority: "a.org", method: "GET", target: "/", headers: &[] };
    let at = world.0.at_gateway(&name("infra/web"), &request).unwrap();
    let why = at.others.into_iter().find(|it| it.who.contains("infra/base")).map(|it| it.why);
    assert!(matches!(why, Some(Aside::After(_, Precedence::StandsIn))), "{why:?}");
}

#[test]
fn rules_of_several_routes_are_asked_in_the_order_of_the_api() {
    let mut world = World::with_gateway();
    let rule = |matches: Value| json!({"matches": matches, "backendRefs": [{"name": "a", "port": 80}]});
    let mut route = |route: &str, created: i64, rules: Value| {
        let spec = json!({"parentRefs": [{"name": "web"}], "rules": rules});
        let object = GatewayObject { created, ..GatewayObject::new("1", spec) };
        world.put(GatewayKind::Route(RouteKind::Http), route, Some(object));
    };
    route(
        "infra/new",
        9,
        json!([rule(
            json!([{"path": {"type": "PathPrefix", "value": "/"}}, {"path": {"type": "Exact", "value": "/a"}}])
        ),]),
    );
    route(
        "infra/old",
        1,
        json!([
            rule(json!([{"path": {"type": "PathPrefix", "value": "/"}}])),
            rule(json!([{"path": {"type": "PathPrefix", "value": "/a/b"}}])),
            rule(
                json!([{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "x", "value": "1"}]}])
            ),
        ]),
    );
    let found: Vec<String> = world
        .routes()
        .iter()
        .map(|it| {
            let path = match &it.path {
                PathMatch::Exact(text) => format!("={text}"),
                PathMatch::Elements(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            let route = it.id.as_str().split(' ').nth(1).unwrap();
            format!("{route} {path} {}", it.headers.len())
        })
        .collect();
    let expected = ["infra/new =/a 0", "infra/old /a/b 0", "infra/old / 1", "infra/old / 0", "infra/new / 0"];
    assert_eq!(found, expected);
}

#[test]
fn a_redirect_says_the_port_of_the_listener() {
    let mut world = World::new();
    world.gateway(json!([
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "more", "port": 8080, "protocol": "HTTP"},
    ]));
    let filter = json!({"type": "RequestRedirect", "requestRedirect": {"hostname": "example.org"}});
    world.http("infra/app", json!({"parentRefs": [{"name": "web"}], "rules": [{"filters": [filter]}]}));
    let found: Vec<(Option<u16>, String)> = world
        .routes()
        .into_iter()
        .map(|route| match route.action {
            Action::Redirect(to) => (to.port, route.classes.join(",")),
            other => panic!("{other:?}"),
        })
        .collect();
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(sorted, [(Some(80), "listener http".to_owned()), (Some(8080), "listener more".to_owned())]);
}

#[test]
fn a_rule_that_cannot_be_served_is_refused_and_told_and_the_others_are_served() {
    let mut world = World::with_gateway();
    let good = json!({"backendRefs": [{"name": "a", "port": 80}]});
    let bad = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/bad"}}],
        "filters": [{"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Odd", "name": "a"}}],
        "backendRefs": [{"name": "a", "port": 80}],
    });
    world.http("infra/app", json!({"parentRefs": [{"name": "web"}], "rules": [good, bad]}));
    let parents = world.parents(RouteKind::Http, "infra/app");
    assert_eq!(
        show(&parents[0].conditions),
        "Accepted=True/Accepted ResolvedRefs=False/InvalidKind PartiallyInvalid=True/UnsupportedValue"
    );
    let actions: Vec<bool> = world
        .routes()
        .iter()
        .map(|it| matches!(&it.action, Action::Refuse(no) if no.status == 500))
        .collect();
    assert_eq!(actions, [true, false]);
    world.http("infra/app", json!({"parentRefs": [{"name": "web"}], "rules": [bad]}));
    let parents = world.parents(RouteKind::Http, "infra/app");
    assert!(show(&parents[0].conditions).starts_with("Accepted=False/UnsupportedValue"));
}

#[test]
fn grpc_routes_speak_http2_to_their_backends() {
    let mut world = World::with_gateway();
    let spec = json!({"parentRefs": [{"name": "web"}], "rules": [{
        "matches": [{"method": {"service": "shop.Cart", "method": "Add"}}],
        "backendRefs": [{"name": "a", "port": 80}],
    }]});
    world.apply(GatewayKind::Route(RouteKind::Grpc), "infra/cart", spec);
    assert_eq!(world.routes()[0].path, PathMatch::Exact("/shop.Cart/Add".to_owned()));
    let clusters = world.config().clusters;
    assert_eq!(clusters.values().find(|it| !it.absent).unwrap().protocol, UpstreamProtocol::Http2);
}

#[test]
fn connections_go_to_the_oldest_route_of_their_name() {
    let mut world = World::new();
    world.secret("infra/cert", true);
    let certificate = json!({"mode": "Terminate", "certificateRefs": [{"name": "cert"}]});
    world.gateway(json!([
        {"name": "through", "port": 443, "protocol": "TLS", "hostname": "*.io", "tls": {"mode": "Passthrough"}},
        {"name": "ends", "port": 443, "protocol": "TLS", "hostname": "*.org", "tls": certificate},
        {"name": "tcp", "port": 9000, "protocol": "TCP"},
    ]));
    let spec = |section: &str, hostnames: Value, backend: &str| {
        json!({
            "parentRefs": [{"name": "web", "sectionName": section}],
            "hostnames": hostnames,
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
        })
    };
    let mut put = |kind: RouteKind, route: &str, created: i64, spec: Value| {
        let object = GatewayObject { created, ..GatewayObject::new("1", spec) };
        world.put(GatewayKind::Route(kind), route, Some(object));
    };
    put(RouteKind::Tls, "infra/old", 1, spec("through", json!(["a.io"]), "a"));
    put(RouteKind::Tls, "infra/new", 2, spec("through", json!(["a.io", "b.io", "c.org"]), "b"));
    put(RouteKind::Tls, "infra/ended", 3, spec("ends", json!(["a.org"]), "a"));
    put(RouteKind::Tcp, "infra/first", 1, spec("tcp", json!([]), "a"));
    put(RouteKind::Tcp, "infra/second", 2, spec("tcp", json!([]), "b"));
    let config = world.config();
    let found: Vec<(String, Vec<String>, bool)> = config
        .tcp_routes
        .values()
        .map(|it| {
            let route = it.id.as_str().split(' ').nth(1).unwrap().to_owned();
            (route, it.server_names.clone(), it.terminate)
        })
        .collect();
    let expected = [
        ("infra/first".to_owned(), vec![], false),
        ("infra/ended".to_owned(), vec!["a.org".to_owned()], true),
        ("infra/new".to_owned(), vec!["b.io".to_owned()], false),
        ("infra/old".to_owned(), vec!["a.io".to_owned()], false),
    ];
    assert_eq!(found, expected);
    assert_eq!(config.hosts.values().map(|it| it.names.clone()).collect::<Vec<_>>(), [["a.org"]]);
    let protocols: Vec<Protocol> = config.listeners.values().map(|it| it.protocol).collect();
    assert_eq!(protocols, [Protocol::Https, Protocol::Tcp]);
    for (kind, route) in [(RouteKind::Tcp, "infra/second"), (RouteKind::Tls, "infra/new")] {
        let parents = world.parents(kind, route);
        assert!(show(&parents[0].conditions).starts_with("Accepted=True"), "{route}");
    }
}
