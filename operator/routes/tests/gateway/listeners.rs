//! What is said of Gateways, their listeners and ListenerSets.

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{
    ObjectChange, Scope,
    gateway::{
        DemandedPort, Supply, Transport,
        demand::{Lacking, Refused},
        status::StatusContent,
    },
};
use proxy_config::model::Unverified;
use serde_json::{Value, json};

use crate::world::{INFRA, World, name, show};

const GOOD: &str = "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs";

fn https(certificate: Value) -> Value {
    json!({"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [certificate]}})
}

#[test]
fn listeners_say_what_is_wrong_with_them() {
    let unresolved =
        |reason: &str| format!("Accepted=True/Accepted Programmed=False/Invalid ResolvedRefs=False/{reason}");
    let table = [
        (json!({"name": "http", "port": 80, "protocol": "HTTP"}), GOOD.to_owned()),
        (https(json!({"name": "cert"})), GOOD.to_owned()),
        (https(json!({"name": "absent"})), unresolved("InvalidCertificateRef")),
        (https(json!({"name": "malformed"})), unresolved("InvalidCertificateRef")),
        (https(json!({"name": "cert", "kind": "Odd"})), unresolved("InvalidCertificateRef")),
        (https(json!({"name": "cert", "group": "x.io"})), unresolved("InvalidCertificateRef")),
        (https(json!({"name": "cert", "namespace": "other"})), unresolved("RefNotPermitted")),
        (https(json!({"name": "granted", "namespace": "other"})), GOOD.to_owned()),
        (
            json!({"name": "odd", "port": 80, "protocol": "SCTP"}),
            "Accepted=False/UnsupportedProtocol Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs"
                .to_owned(),
        ),
        (
            json!({"name": "high", "port": 65_000, "protocol": "HTTP"}),
            "Accepted=False/PortUnavailable Programmed=False/Invalid ResolvedRefs=True/ResolvedRefs"
                .to_owned(),
        ),
        (
            json!({"name": "kinds", "port": 80, "protocol": "HTTP",
                   "allowedRoutes": {"kinds": [{"kind": "Odd"}, {"kind": "HTTPRoute"}]}}),
            "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=False/InvalidRouteKinds"
                .to_owned(),
        ),
        (
            json!({"name": "kinds", "port": 80, "protocol": "HTTP", "allowedRoutes": {"kinds": [{"kind": "Odd"}]}}),
            unresolved("InvalidRouteKinds"),
        ),
    ];
    for (listener, expected) in table {
        let mut world = World::new();
        world.secret("infra/cert", true);
        world.secret("infra/malformed", false);
        world.secret("other/cert", true);
        world.secret("other/granted", true);
        let grant = json!({
            "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": INFRA}],
            "to": [{"group": "", "kind": "Secret", "name": "granted"}],
        });
        world.apply(GatewayKind::ReferenceGrant, "other/grant", grant);
        world.gateway(json!([listener]));
        let (_, listeners) = world.told();
        assert_eq!(show(&listeners[0].conditions), expected, "{listener}");
    }
}

#[test]
fn a_gateway_is_accepted_as_far_as_its_listeners_are() {
    let good = json!({"name": "http", "port": 80, "protocol": "HTTP"});
    let bad = json!({"name": "odd", "port": 81, "protocol": "SCTP"});
    let table = [
        (json!([good]), "Accepted=True/Accepted Programmed=True/Programmed"),
        (json!([good, bad]), "Accepted=True/ListenersNotValid Programmed=True/Programmed"),
        (json!([bad]), "Accepted=False/ListenersNotValid Programmed=False/Invalid"),
        (json!([good, good]), "Accepted=False/ListenersNotValid Programmed=False/Invalid"),
    ];
    for (listeners, expected) in table {
        let mut world = World::new();
        world.gateway(listeners.clone());
        assert_eq!(show(&world.told().0), expected, "{listeners}");
    }
}

#[test]
fn a_gateway_is_programmed_when_its_proxies_are_reached() {
    let supply = |refused, lacking| Some(Supply { addresses: Vec::new(), refused, lacking });
    let why = || "why".to_owned();
    let table = [
        (None, "Accepted=True/Accepted Programmed=False/Pending"),
        (
            supply(None, Some(Lacking::Address(why()))),
            "Accepted=True/Accepted Programmed=False/AddressNotAssigned",
        ),
        (
            supply(None, Some(Lacking::UsableAddress(why()))),
            "Accepted=True/Accepted Programmed=False/AddressNotUsable",
        ),
        (
            supply(None, Some(Lacking::Resources(why()))),
            "Accepted=True/Accepted Programmed=False/NoResources",
        ),
        (
            supply(Some(Refused::Parameters(why())), None),
            "Accepted=False/InvalidParameters Programmed=False/Invalid",
        ),
        (
            supply(Some(Refused::Address(why())), None),
            "Accepted=False/UnsupportedAddress Programmed=False/Invalid",
        ),
        (supply(None, None), "Accepted=True/Accepted Programmed=True/Programmed"),
    ];
    let mut world = World::with_gateway();
    for (supply, expected) in table {
        world.0.apply(ObjectChange::Supply(name("infra/web"), supply));
        assert_eq!(show(&world.told().0), expected);
    }
}

#[test]
fn a_gateway_asks_for_the_ports_that_can_be_served() {
    let mut world = World::new();
    world.gateway_with(json!({
        "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "tcp", "port": 9000, "protocol": "TCP"},
            {"name": "odd", "port": 81, "protocol": "SCTP"},
        ],
        "infrastructure": {"labels": {"a": "b"}},
        "addresses": [{"type": "IPAddress", "value": "198.18.0.9"}],
    }));
    world.compile();
    let demand = &world.0.compiled().demands[&Scope::Gateway(name("infra/web"))];
    let ports: Vec<DemandedPort> = demand.ports.iter().copied().collect();
    let port = |port, container| DemandedPort { port, transport: Transport::Tcp, container };
    assert_eq!(ports, [port(80, 64_592), port(9000, 9000)]);
    assert_eq!((demand.labels["a"].as_str(), demand.addresses[0].value.as_str()), ("b", "198.18.0.9"));
}

#[test]
fn clients_are_asked_for_certificates_as_the_gateway_says() {
    let validation = |reference: Value| json!({"validation": {"caCertificateRefs": [reference]}});
    let map = |name: &str| json!({"group": "", "kind": "ConfigMap", "name": name});
    let table = [
        (map("ca"), GOOD),
        (
            map("absent"),
            "Accepted=False/NoValidCACertificate Programmed=False/Invalid ResolvedRefs=False/InvalidCACertificateRef",
        ),
        (
            json!({"group": "", "kind": "Service", "name": "a"}),
            "Accepted=False/NoValidCACertificate Programmed=False/Invalid ResolvedRefs=False/InvalidCACertificateKind",
        ),
        (
            json!({"group": "", "kind": "ConfigMap", "name": "ca", "namespace": "other"}),
            "Accepted=False/NoValidCACertificate Programmed=False/Invalid ResolvedRefs=False/RefNotPermitted",
        ),
    ];
    for (reference, expected) in table {
        let mut world = World::new();
        world.secret("infra/cert", true);
        world.authorities("infra/ca");
        world.authorities("other/ca");
        world.gateway_with(json!({
            "listeners": [https(json!({"name": "cert"})), {"name": "http", "port": 80, "protocol": "HTTP"}],
            "tls": {"frontend": {"default": validation(reference.clone())}},
        }));
        let (_, listeners) = world.told();
        assert_eq!(show(&listeners[0].conditions), expected, "{reference}");
        assert_eq!(show(&listeners[1].conditions), GOOD, "what is spoken in the clear is not touched");
    }
    let mut world = World::new();
    world.secret("infra/cert", true);
    world.authorities("infra/ca");
    world.gateway_with(json!({
        "listeners": [https(json!({"name": "cert"}))],
        "tls": {"frontend": {"default": {}, "perPort": [{"port": 443, "tls": {"validation": {
            "caCertificateRefs": [map("ca")], "mode": "AllowInsecureFallback",
        }}}]}},
    }));
    let hosts = world.config().hosts;
    let tls = hosts.values().next().unwrap().tls.as_ref().unwrap();
    assert_eq!(tls.client.as_ref().unwrap().unverified, Unverified::Accepted);
    assert!(show(&world.told().0).ends_with("InsecureFrontendValidationMode=True/ConfigurationChanged"));
}

#[test]
fn a_certificate_for_backends_that_is_not_there_is_told() {
    let table = [
        (json!({"name": "cert"}), "ResolvedRefs=True/ResolvedRefs"),
        (json!({"name": "absent"}), "ResolvedRefs=False/InvalidClientCertificateRef"),
        (json!({"name": "cert", "kind": "Odd"}), "ResolvedRefs=False/InvalidClientCertificateRef"),
        (json!({"name": "cert", "namespace": "other"}), "ResolvedRefs=False/RefNotPermitted"),
    ];
    for (reference, expected) in table {
        let mut world = World::new();
        world.secret("infra/cert", true);
        world.secret("other/cert", true);
        world.gateway_with(json!({
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "tls": {"backend": {"clientCertificateRef": reference}},
        }));
        let told = show(&world.told().0);
        assert_eq!(
            told,
            format!("Accepted=True/Accepted Programmed=True/Programmed {expected}"),
            "{reference}"
        );
    }
}

#[test]
fn a_secret_that_comes_later_is_found_and_only_what_is_needed_is_asked_for() {
    let mut world = World::new();
    world.secret("infra/another", true);
    world.gateway(json!([https(json!({"name": "cert"}))]));
    assert!(show(&world.told().1[0].conditions).contains("InvalidCertificateRef"));
    assert_eq!(world.0.compiled().secrets.iter().cloned().collect::<Vec<_>>(), [name("infra/cert")]);
    assert!(world.config().listeners.is_empty(), "nothing is opened without a certificate");
    world.secret("infra/cert", true);
    assert_eq!(show(&world.told().1[0].conditions), GOOD);
    let config = world.config();
    assert_eq!((config.certificates.len(), config.listeners.len()), (1, 1));
    assert!(config.listeners.values().all(|it| it.reject_misdirected));
    world.put(GatewayKind::Gateway, "infra/web", None);
    world.compile();
    assert!(world.0.compiled().secrets.is_empty());
}

#[test]
fn listener_sets_add_listeners_where_they_are_allowed() {
    let set = |parent: Value| {
        json!({"parentRef": parent, "listeners": [
            {"name": "more", "port": 8080, "protocol": "HTTP"},
            {"name": "taken", "port": 80, "protocol": "HTTP"},
        ]})
    };
    let own = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let selector = json!({"from": "Selector", "selector": {"matchLabels": {"team": "other"}}});
    let table = [
        (Value::Null, INFRA, "Accepted=False/NotAllowed Programmed=False/NotAllowed", 0),
        (json!({"from": "None"}), INFRA, "Accepted=False/NotAllowed Programmed=False/NotAllowed", 0),
        (json!({"from": "Same"}), INFRA, "Accepted=True/ListenersNotValid Programmed=True/Programmed", 1),
        (json!({"from": "Same"}), "other", "Accepted=False/NotAllowed Programmed=False/NotAllowed", 0),
        (json!({"from": "All"}), "other", "Accepted=True/ListenersNotValid Programmed=True/Programmed", 1),
        (selector.clone(), "other", "Accepted=True/ListenersNotValid Programmed=True/Programmed", 1),
        (selector, INFRA, "Accepted=False/NotAllowed Programmed=False/NotAllowed", 0),
    ];
    for (namespaces, namespace, expected, count) in table {
        let mut world = World::new();
        let allowed = if namespaces.is_null() { Value::Null } else { json!({"namespaces": namespaces}) };
        world.gateway_with(json!({"listeners": own, "allowedListeners": allowed}));
        let parent = json!({"name": "web", "namespace": INFRA});
        let set_name = format!("{namespace}/set");
        world.apply(GatewayKind::ListenerSet, &set_name, set(parent));
        let Some(StatusContent::ListenerSet { conditions, listeners }) =
            world.status(GatewayKind::ListenerSet, &set_name).map(|it| it.content)
        else {
            panic!("it says nothing")
        };
        assert_eq!(show(&conditions), expected, "{namespaces} {namespace}");
        if count == 1 {
            let conflict = "Accepted=False/HostnameConflict Programmed=False/HostnameConflict \
                            ResolvedRefs=True/ResolvedRefs Conflicted=True/HostnameConflict";
            assert_eq!(show(&listeners[1].conditions), conflict);
        }
        let Some(StatusContent::Gateway { attached_listener_sets, .. }) =
            world.status(GatewayKind::Gateway, "infra/web").map(|it| it.content)
        else {
            panic!("it says nothing")
        };
        assert_eq!(attached_listener_sets, count, "{namespaces}");
        // A route attaches to what it names, and to nothing else.
        let spec = json!({"parentRefs": [
            {"kind": "ListenerSet", "name": "set"},
            {"name": "web", "namespace": INFRA, "sectionName": "more"},
        ], "rules": []});
        world.http(&format!("{namespace}/app"), spec);
        let parents = world.parents(RouteKind::Http, &format!("{namespace}/app"));
        let told: Vec<String> = parents.iter().map(|it| show(&it.conditions[..1])).collect();
        let of_set = if count == 1 { "Accepted=True/Accepted" } else { "Accepted=False/NoMatchingParent" };
        assert_eq!(told, [of_set, "Accepted=False/NoMatchingParent"], "{namespaces}");
    }
}

#[test]
fn a_listener_set_is_accepted_when_one_of_its_listeners_can_be_served() {
    let set = |certificates: &[&str]| {
        let listener = |(index, name): (usize, &&str)| {
            let hostname = format!("{index}.example.com");
            json!({"name": format!("l{index}"), "port": 443, "protocol": "HTTPS", "hostname": hostname,
                "tls": {"certificateRefs": [{"name": name, "namespace": INFRA}]}})
        };
        let listeners: Vec<Value> = certificates.iter().enumerate().map(listener).collect();
        json!({"parentRef": {"name": "web", "namespace": INFRA}, "listeners": listeners})
    };
    let grant = json!({
        "from": [{"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "namespace": "other"}],
        "to": [{"group": "", "kind": "Secret", "name": "cert"}],
    });
    let bad = "Accepted=False/ListenersNotValid Programmed=False/ListenersNotValid";
    let partly = "Accepted=True/ListenersNotValid Programmed=True/Programmed";
    let good = "Accepted=True/Accepted Programmed=True/Programmed";
    let table: [(&[&str], bool, &str, u32); 4] = [
        (&["cert"], false, bad, 0),
        (&["cert"], true, good, 1),
        (&["cert", "another"], true, partly, 1),
        (&["another"], true, bad, 0),
    ];
    for (certificates, granted, expected, count) in table {
        let mut world = World::new();
        world.secret("infra/cert", true);
        world.secret("infra/another", true);
        world.gateway_with(json!({
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "allowedListeners": {"namespaces": {"from": "All"}},
        }));
        if granted {
            world.apply(GatewayKind::ReferenceGrant, "infra/grant", grant.clone());
        }
        world.apply(GatewayKind::ListenerSet, "other/set", set(certificates));
        let Some(StatusContent::ListenerSet { conditions, .. }) =
            world.status(GatewayKind::ListenerSet, "other/set").map(|it| it.content)
        else {
            panic!("it says nothing")
        };
        assert_eq!(show(&conditions), expected, "{certificates:?} {granted}");
        let Some(StatusContent::Gateway { attached_listener_sets, .. }) =
            world.status(GatewayKind::Gateway, "infra/web").map(|it| it.content)
        else {
            panic!("it says nothing")
        };
        assert_eq!(attached_listener_sets, count, "{certificates:?} {granted}");
        // A grant that goes takes with it what it allowed.
        world.put(GatewayKind::ReferenceGrant, "infra/grant", None);
        let Some(StatusContent::ListenerSet { conditions, .. }) =
            world.status(GatewayKind::ListenerSet, "other/set").map(|it| it.content)
        else {
            panic!("it says nothing")
        };
        assert_eq!(show(&conditions), bad, "{certificates:?} without a grant");
    }
}

#[test]
fn a_class_says_what_is_served_and_is_kept_while_it_is_used() {
    let mut world = World::new();
    let used =
        |world: &mut World| match world.status(GatewayKind::GatewayClass, "/sluice").map(|it| it.content) {
            Some(StatusContent::Class { used, features, conditions }) => {
                assert_eq!(show(&conditions), "Accepted=True/Accepted");
                assert!(features.contains(&"HTTPRoute"));
                used
            }
            other => panic!("{other:?}"),
        };
    assert!(!used(&mut world));
    world.gateway(json!([]));
    assert!(used(&mut world));
    assert!(world.status(GatewayKind::GatewayClass, "/foreign").is_none());
}
