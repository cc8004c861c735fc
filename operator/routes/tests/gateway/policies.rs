//! TLS towards backends.

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{GatewayObject, gateway::status::StatusContent};
use proxy_config::model::Trust;
use serde_json::{Value, json};

use crate::world::{World, show};

fn policy(target: Value, validation: Value) -> Value {
    json!({"targetRefs": [target], "validation": validation})
}

fn service(name: &str, section: Option<&str>) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "sectionName": section})
}

fn by_map(map: &str) -> Value {
    json!({"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": map}], "hostname": "a.example"})
}

fn world() -> World {
    let mut world = World::with_gateway();
    world.authorities("infra/ca");
    world.http(
        "infra/app",
        json!({"parentRefs": [{"name": "web"}], "rules": [
            {"backendRefs": [{"name": "a", "port": 80}]},
        ]}),
    );
    world
}

/// The conditions of a policy for `infra/web`; nothing if it does not concern it.
fn told(world: &mut World, policy: &str) -> String {
    match world.status(GatewayKind::BackendTlsPolicy, policy).map(|it| it.content) {
        Some(StatusContent::Policy(ancestors)) => {
            assert_eq!((ancestors.len(), ancestors[0].parent.name.as_str()), (1, "web"));
            show(&ancestors[0].conditions)
        }
        Some(other) => panic!("{other:?}"),
        None => String::new(),
    }
}

#[test]
fn a_policy_is_in_force_or_says_why_not_and_nothing_goes_in_the_clear() {
    let table = [
        (by_map("ca"), "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs", true),
        (
            json!({"wellKnownCACertificates": "System", "hostname": "a.example"}),
            "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs",
            true,
        ),
        (
            by_map("absent"),
            "Accepted=False/NoValidCACertificate ResolvedRefs=False/InvalidCACertificateRef",
            false,
        ),
        (
            json!({"caCertificateRefs": [{"group": "", "kind": "Odd", "name": "ca"}], "hostname": "a.example"}),
            "Accepted=False/NoValidCACertificate ResolvedRefs=False/InvalidKind",
            false,
        ),
    ];
    for (validation, expected, works) in table {
        let mut world = world();
        world.apply(
            GatewayKind::BackendTlsPolicy,
            "infra/tls",
            policy(service("a", None), validation.clone()),
        );
        assert_eq!(told(&mut world, "infra/tls"), expected, "{validation}");
        let clusters = world.config().clusters;
        let cluster = clusters.values().find(|it| !it.absent).unwrap();
        assert_eq!(cluster.tls.is_some(), works, "{validation}");
        assert_eq!(cluster.endpoints.is_empty(), !works, "{validation}");
    }
}

#[test]
fn a_policy_that_concerns_no_gateway_of_ours_says_nothing() {
    let mut world = world();
    world.apply(GatewayKind::BackendTlsPolicy, "infra/tls", policy(service("b", None), by_map("ca")));
    assert_eq!(told(&mut world, "infra/tls"), "");
    assert!(world.0.compiled().config_maps.is_empty());
    world.http(
        "infra/app",
        json!({"parentRefs": [{"name": "web"}], "rules": [
            {"backendRefs": [{"name": "b", "port": 80}]},
        ]}),
    );
    assert_eq!(told(&mut world, "infra/tls"), "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs");
    assert_eq!(world.0.compiled().config_maps.len(), 1);
    world.put(GatewayKind::Route(RouteKind::Http), "infra/app", None);
    assert_eq!(told(&mut world, "infra/tls"), "");
}

#[test]
fn the_older_policy_counts_and_one_for_a_port_before_one_for_all() {
    let mut world = world();
    let mut put = |name: &str, created: i64, section: Option<&str>, host: &str| {
        let validation = json!({"wellKnownCACertificates": "System", "hostname": host});
        let spec = policy(service("a", section), validation);
        let object = GatewayObject { created, ..GatewayObject::new("1", spec) };
        world.put(GatewayKind::BackendTlsPolicy, name, Some(object));
    };
    put("infra/all", 1, None, "all.example");
    put("infra/all-late", 2, None, "late.example");
    put("infra/port", 9, Some("http"), "port.example");
    put("infra/port-late", 10, Some("http"), "late.example");
    let name = |world: &mut World| {
        let clusters = world.config().clusters;
        let cluster = clusters.values().find(|it| !it.absent).unwrap();
        let tls = cluster.tls.clone().unwrap();
        assert_eq!(tls.trust, Trust::System);
        tls.server_name.unwrap()
    };
    assert_eq!(name(&mut world), "port.example");
    for (policy, expected) in [
        ("infra/all", "Accepted=True/Accepted"),
        ("infra/all-late", "Accepted=False/Conflicted"),
        ("infra/port", "Accepted=True/Accepted"),
        ("infra/port-late", "Accepted=False/Conflicted"),
    ] {
        assert!(told(&mut world, policy).starts_with(expected), "{policy}");
    }
    world.put(GatewayKind::BackendTlsPolicy, "infra/port", None);
    assert_eq!(name(&mut world), "late.example");
    assert!(told(&mut world, "infra/port-late").starts_with("Accepted=True"));
}

#[test]
fn backends_are_shown_the_gateways_certificate() {
    let mut world = world();
    world.secret("infra/client", true);
    world.gateway_with(json!({
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        "tls": {"backend": {"clientCertificateRef": {"name": "client"}}},
    }));
    world.apply(GatewayKind::BackendTlsPolicy, "infra/tls", policy(service("a", None), by_map("ca")));
    let shown = |world: &mut World| {
        let config = world.config();
        let cluster = config.clusters.values().find(|it| !it.absent).unwrap();
        let id = cluster.tls.as_ref().unwrap().certificate.as_ref().unwrap();
        config.certificates[id].chain.clone()
    };
    assert!(shown(&mut world).contains('x'));
    world.renewed("infra/client");
    assert!(shown(&mut world).contains('y'), "another certificate in the same Secret is shown at once");
}
