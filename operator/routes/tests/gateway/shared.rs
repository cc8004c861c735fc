//! Gateways whose class has one set of proxies for all of them.

use std::collections::BTreeMap;

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{
    GATEWAY_CONTROLLER, GatewayObject, ObjectChange, Scope,
    explain::{Request, What},
    gateway::{Presence, Supply, status::StatusContent},
};
use serde_json::{Value, json};

use crate::world::{World, name, show};

/// The proxies of the class `edge`.
fn shared() -> Scope {
    Scope::Class(name("infra/edge"))
}

fn own(gateway: &str) -> Scope {
    Scope::Gateway(name(gateway))
}

/// With a class `edge`, whose Gateways share proxies in `infra`.
fn world() -> World {
    let mut world = World::new();
    let parameters = json!({"group": "", "kind": "ConfigMap", "name": "p", "namespace": "infra"});
    let class = json!({"controllerName": GATEWAY_CONTROLLER, "parametersRef": parameters});
    world.apply(GatewayKind::GatewayClass, "/edge", class);
    parameters_say(&mut world, Some("shared"));
    world
}

fn parameters_say(world: &mut World, proxies: Option<&str>) {
    let data = proxies.map(|it| BTreeMap::from([("proxies".to_owned(), it.to_owned())]));
    world.0.apply(ObjectChange::ConfigMap(name("infra/p"), data));
}

fn gateway(world: &mut World, gateway: &str, created: i64, listeners: &Value) {
    let spec = json!({"gatewayClassName": "edge", "listeners": listeners});
    let object = GatewayObject { created, ..GatewayObject::new("1", spec) };
    world.put(GatewayKind::Gateway, gateway, Some(object));
    world.0.apply(ObjectChange::Supply(name(gateway), Some(Supply::default())));
}

fn http(hostname: Option<&str>, port: u16) -> Value {
    json!({"name": format!("http-{port}"), "port": port, "protocol": "HTTP", "hostname": hostname})
}

fn route(world: &mut World, route: &str, gateway: &str, service: &str) {
    let backends = json!([{"name": service, "port": 80}]);
    world.http(route, json!({"parentRefs": [{"name": gateway}], "rules": [{"backendRefs": backends}]}));
}

/// Why the listeners of a Gateway conflict; empty for those that do not.
fn conflicts(world: &mut World, gateway: &str) -> Vec<String> {
    let Some(StatusContent::Gateway { listeners, .. }) =
        world.status(GatewayKind::Gateway, gateway).map(|it| it.content)
    else {
        panic!("{gateway} says nothing")
    };
    let conflict = |conditions: &[operator_routes::gateway::Condition]| {
        conditions.iter().find(|it| it.kind == "Conflicted").map(|it| it.reason.to_owned())
    };
    listeners.iter().map(|it| conflict(&it.conditions).unwrap_or_default()).collect()
}

/// Who answers a request for a host on port 80 of a Gateway.
fn answers(world: &mut World, gateway: &str, host: &str) -> String {
    world.compile();
    let request = Request { port: 80, tls: false, authority: host, method: "GET", target: "/", headers: &[] };
    let at = world.0.at_gateway(&name(gateway), &request).unwrap();
    match at.outcomes.first().map(|it| &it.what) {
        Some(What::Forwarded { .. }) => at.answers.unwrap().of.route.to_string(),
        Some(other) => format!("{other:?}"),
        None => at.listener.unwrap_err().to_string(),
    }
}

#[test]
fn all_gateways_of_the_class_have_one_configuration_and_nobody_else_is_in_it() {
    let mut world = world();
    gateway(&mut world, "infra/one", 1, &json!([http(Some("one.io"), 80)]));
    gateway(&mut world, "other/two", 2, &json!([http(Some("two.io"), 80), http(None, 8080)]));
    world.gateway(json!([http(None, 80)]));
    route(&mut world, "infra/first", "one", "a");
    route(&mut world, "other/second", "two", "b");
    route(&mut world, "infra/own", "web", "a");
    world.compile();
    let compiled = world.0.compiled();
    let config = compiled.config_of(&shared()).unwrap();
    // The second route has a name of each of its Gateway's listeners.
    assert_eq!((config.listeners.len(), config.hosts.len(), config.routes.len()), (2, 3, 3));
    assert!(compiled.config_of(&own("infra/one")).is_none());
    let web = compiled.config_of(&own("infra/web")).unwrap();
    assert_eq!((web.hosts.len(), web.routes.len()), (1, 1));
    assert_eq!(compiled.splits.values().filter(|it| it.scope == shared()).count(), 3);

    let demand = &compiled.demands[&shared()];
    assert_eq!(demand.ports.iter().map(|it| it.port).collect::<Vec<_>>(), [80, 8080]);
    assert_eq!(
        demand.members.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["infra/one", "other/two"]
    );
    assert_eq!(answers(&mut world, "infra/one", "one.io"), "infra/first");
    assert_eq!(answers(&mut world, "other/two", "two.io"), "other/second");
    assert!(answers(&mut world, "infra/one", "two.io").contains("no listener of this port has the host"));
}

#[test]
fn the_listener_with_the_best_hostname_takes_a_request_whosever_it_is() {
    let mut world = world();
    gateway(&mut world, "infra/all", 1, &json!([http(None, 80)]));
    gateway(&mut world, "infra/two", 2, &json!([http(Some("two.io"), 80)]));
    route(&mut world, "infra/first", "all", "a");
    route(&mut world, "infra/second", "two", "b");
    assert_eq!(answers(&mut world, "infra/all", "one.io"), "infra/first");
    assert_eq!(answers(&mut world, "infra/two", "two.io"), "infra/second");
    let told = answers(&mut world, "infra/all", "two.io");
    assert!(told.starts_with("Listener `http-80` of Gateway infra/two"), "{told}");
}

#[test]
fn a_route_of_two_gateways_of_the_class_is_there_for_each() {
    let mut world = world();
    gateway(&mut world, "infra/one", 1, &json!([http(Some("one.io"), 80)]));
    gateway(&mut world, "infra/two", 2, &json!([http(Some("two.io"), 80)]));
    let backends = json!([{"name": "a", "port": 80}]);
    let parents = json!([{"name": "one"}, {"name": "two"}]);
    world.http("infra/both", json!({"parentRefs": parents, "rules": [{"backendRefs": backends}]}));
    assert_eq!(answers(&mut world, "infra/one", "one.io"), "infra/both");
    assert_eq!(answers(&mut world, "infra/two", "two.io"), "infra/both");
    // One goes, and the other has it all the same.
    world.put(GatewayKind::Gateway, "infra/one", None);
    assert_eq!(answers(&mut world, "infra/two", "two.io"), "infra/both");
    let config = world.0.compiled().config_of(&shared()).unwrap().clone();
    assert_eq!((config.hosts.len(), config.routes.len()), (1, 1));
    world.put(GatewayKind::Gateway, "infra/two", None);
    world.compile();
    let compiled = world.0.compiled();
    assert!(compiled.gateways.is_empty() && compiled.demands.is_empty() && compiled.splits.is_empty());
}

#[test]
fn of_listeners_that_cannot_be_told_apart_the_older_gateway_has_it() {
    let https = json!({"name": "tls", "port": 80, "protocol": "TLS", "tls": {"mode": "Passthrough"}});
    let tcp = |port: u16| json!({"name": "tcp", "port": port, "protocol": "TCP"});
    let table = [
        (http(None, 80), http(None, 80), "HostnameConflict"),
        (http(Some("a.io"), 80), http(Some("A.io"), 80), "HostnameConflict"),
        (http(Some("a.io"), 80), http(Some("b.io"), 80), ""),
        (http(None, 80), http(Some("b.io"), 80), ""),
        (http(None, 80), http(None, 8080), ""),
        (http(None, 80), https, "ProtocolConflict"),
        (tcp(80), tcp(80), "HostnameConflict"),
        (tcp(80), tcp(81), ""),
        (tcp(53), json!({"name": "udp", "port": 53, "protocol": "UDP"}), ""),
    ];
    for (older, younger, expected) in table {
        // Names are in the other order than ages.
        let mut world = world();
        gateway(&mut world, "infra/b", 1, &json!([older]));
        gateway(&mut world, "infra/a", 2, &json!([younger, http(Some("x.io"), 9090)]));
        assert_eq!(conflicts(&mut world, "infra/b"), [""], "{older} before {younger}");
        assert_eq!(conflicts(&mut world, "infra/a"), [expected, ""], "{older} before {younger}");
        let count = world.0.compiled().demands[&shared()].ports.len();
        assert!(count >= 2, "everything else is served");
        world.put(GatewayKind::Gateway, "infra/b", None);
        assert_eq!(conflicts(&mut world, "infra/a"), ["", ""], "{older} is gone");
    }
}

#[test]
fn an_older_gateway_that_gives_way_takes_nothing_from_a_third() {
    let mut world = world();
    gateway(&mut world, "infra/first", 1, &json!([http(None, 80)]));
    gateway(&mut world, "infra/second", 2, &json!([http(None, 80)]));
    gateway(&mut world, "infra/third", 3, &json!([http(None, 80)]));
    world.put(GatewayKind::Gateway, "infra/first", None);
    assert_eq!(conflicts(&mut world, "infra/second"), [""]);
    assert_eq!(conflicts(&mut world, "infra/third"), ["HostnameConflict"]);
    gateway(&mut world, "infra/second", 2, &json!([http(Some("a.io"), 80)]));
    assert_eq!(conflicts(&mut world, "infra/third"), [""]);
}

#[test]
fn proxies_of_its_own_serve_a_gateway_until_those_of_the_class_are_reached() {
    let mut world = world();
    parameters_say(&mut world, Some("own"));
    gateway(&mut world, "infra/one", 1, &json!([http(None, 80)]));
    route(&mut world, "infra/first", "one", "a");
    world.compile();
    let homes = |world: &World| world.0.compiled().demands.keys().cloned().collect::<Vec<_>>();
    assert_eq!(homes(&world), [own("infra/one")]);
    let own_routes = world.0.compiled().config_of(&own("infra/one")).unwrap().routes.len();

    world.0.apply(ObjectChange::Proxies(own("infra/one"), Some(Presence::Made)));
    parameters_say(&mut world, Some("shared"));
    world.compile();
    assert_eq!(homes(&world), [own("infra/one"), shared()], "the others are made ready");
    let demand = world.0.compiled().demands[&shared()].clone();
    assert!(demand.members.is_empty() && demand.ports.len() == 1);
    assert_eq!(world.0.compiled().config_of(&own("infra/one")).unwrap().routes.len(), own_routes);

    world.0.apply(ObjectChange::Proxies(shared(), Some(Presence::Reached)));
    world.compile();
    assert_eq!(homes(&world), [shared()]);
    assert_eq!(world.0.compiled().config_of(&shared()).unwrap().routes.len(), own_routes);
    assert!(world.0.compiled().splits.values().all(|it| it.scope == shared()));

    // Its own are being taken away: until they are made anew and reached, the shared ones serve it.
    world.0.apply(ObjectChange::Proxies(own("infra/one"), None));
    parameters_say(&mut world, Some("own"));
    world.compile();
    assert_eq!(homes(&world), [own("infra/one"), shared()], "its own are made ready");
    let of_class = &world.0.compiled().demands[&shared()];
    assert_eq!(of_class.members.keys().collect::<Vec<_>>(), [&name("infra/one")]);
    assert_eq!(world.0.compiled().demands[&own("infra/one")].ports, of_class.ports);
    assert!(world.0.compiled().splits.values().all(|it| it.scope == shared()));

    world.0.apply(ObjectChange::Proxies(own("infra/one"), Some(Presence::Reached)));
    world.compile();
    assert_eq!(homes(&world), [own("infra/one")]);
    assert!(world.0.compiled().splits.values().all(|it| it.scope == own("infra/one")));
}

#[test]
fn each_gateway_leaves_the_proxies_of_its_class_when_its_own_are_reached() {
    let mut world = world();
    gateway(&mut world, "infra/one", 1, &json!([http(Some("one.io"), 80)]));
    gateway(&mut world, "infra/two", 2, &json!([http(Some("two.io"), 80)]));
    route(&mut world, "infra/first", "one", "a");
    route(&mut world, "infra/second", "two", "b");
    world.0.apply(ObjectChange::Proxies(shared(), Some(Presence::Reached)));
    parameters_say(&mut world, Some("own"));
    world.0.apply(ObjectChange::Proxies(own("infra/two"), Some(Presence::Reached)));
    world.compile();
    let served = |world: &World, scope| world.0.compiled().config_of(&scope).map(|it| it.routes.len());
    assert_eq!(served(&world, shared()), Some(1));
    assert_eq!(served(&world, own("infra/one")), Some(0), "it is about to be served there");
    assert_eq!(served(&world, own("infra/two")), Some(1));
    assert_eq!(answers(&mut world, "infra/one", "one.io"), "infra/first");
    assert_eq!(answers(&mut world, "infra/two", "two.io"), "infra/second");
    // One that goes before it has moved leaves nothing behind.
    world.put(GatewayKind::Gateway, "infra/one", None);
    world.compile();
    assert_eq!(world.0.compiled().demands.keys().collect::<Vec<_>>(), [&own("infra/two")]);
}

#[test]
fn parameters_that_are_gone_or_mean_nothing_change_nothing() {
    let mut world = world();
    gateway(&mut world, "infra/one", 1, &json!([http(None, 80)]));
    world.0.apply(ObjectChange::Proxies(shared(), Some(Presence::Reached)));
    for said in [None, Some("both")] {
        parameters_say(&mut world, said);
        world.compile();
        assert!(world.0.compiled().config_of(&shared()).is_some(), "{said:?}");
    }
}

#[test]
fn parameters_of_a_gateway_mean_nothing_for_proxies_that_it_shares() {
    let mut world = world();
    let parameters = json!({"parametersRef": {"group": "", "kind": "ConfigMap", "name": "q"}});
    let spec =
        json!({"gatewayClassName": "edge", "listeners": [http(None, 80)], "infrastructure": parameters});
    world.apply(GatewayKind::Gateway, "infra/one", spec);
    world.0.apply(ObjectChange::Supply(name("infra/one"), Some(Supply::default())));
    let Some(StatusContent::Gateway { conditions, .. }) =
        world.status(GatewayKind::Gateway, "infra/one").map(|it| it.content)
    else {
        panic!("it says nothing")
    };
    assert!(show(&conditions).starts_with("Accepted=False/InvalidParameters"), "{conditions:?}");
    assert!(conditions[0].message.contains("share their proxies"), "{conditions:?}");
}

#[test]
fn routes_say_whom_they_are_attached_to() {
    let mut world = world();
    gateway(&mut world, "infra/one", 1, &json!([http(None, 80)]));
    gateway(&mut world, "infra/two", 2, &json!([http(None, 80)]));
    route(&mut world, "infra/late", "two", "a");
    let parents = world.parents(RouteKind::Http, "infra/late");
    assert_eq!(parents.len(), 1);
    assert!(show(&parents[0].conditions).starts_with("Accepted=False"), "{:?}", parents[0].conditions);
}
