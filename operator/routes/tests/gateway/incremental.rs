//! Whatever is edited in whatever order, the result is that of compiling the last state from nothing.

use std::collections::BTreeMap;

use crds::gateway::{GatewayKind, RouteKind};
use operator_routes::{
    Compiled, Compiler, Delta, GATEWAY_CONTROLLER, GatewayObject, GatewayObjectName, ObjectChange,
    ObjectName, Scope, Settings,
    gateway::{Presence, Supply},
    object::{SecretObject, Service, ServiceAddress, ServicePort},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use proxy_config::{
    model::{Config, Secret},
    validate::validate,
};
use serde_json::{Value, json};

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["one", "two"])
}

fn hostname() -> impl Strategy<Value = Option<&'static str>> {
    option::of(select(vec!["a.io", "*.io", "b.a.io", "*.a.io"]))
}

fn protocol() -> impl Strategy<Value = &'static str> {
    select(vec!["HTTP", "HTTP", "HTTPS", "TLS", "TCP", "ODD"])
}

fn from() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"from": "All"}),
        json!({"from": "Same"}),
        json!({"from": "None"}),
        json!({"from": "Selector", "selector": {"matchLabels": {"label": "x"}}}),
    ])
}

fn listener() -> impl Strategy<Value = Value> {
    let tls = select(vec![
        json!({"certificateRefs": [{"name": "s"}]}),
        json!({"certificateRefs": [{"name": "s", "namespace": "two"}]}),
        json!({"mode": "Passthrough"}),
    ]);
    let port = select(vec![80, 443, 8080]);
    (select(vec!["l", "m"]), port, protocol(), hostname(), from(), tls).prop_map(
        |(name, port, protocol, hostname, from, tls)| {
            json!({
                "name": format!("{name}{port}"), "port": port, "protocol": protocol, "hostname": hostname,
                "allowedRoutes": {"namespaces": from}, "tls": tls,
            })
        },
    )
}

fn gateway() -> impl Strategy<Value = Value> {
    let class = select(vec!["ours", "ours", "theirs"]);
    let backend = select(vec![Value::Null, json!({"backend": {"clientCertificateRef": {"name": "s"}}})]);
    (class, vec(listener(), 0..4), from(), backend).prop_map(|(class, listeners, from, tls)| {
        json!({
            "gatewayClassName": class, "listeners": listeners, "tls": tls,
            "allowedListeners": {"namespaces": from},
        })
    })
}

fn set() -> impl Strategy<Value = Value> {
    (select(vec!["g", "h"]), namespace(), vec(listener(), 0..3)).prop_map(|(gateway, namespace, listeners)| {
        json!({"parentRef": {"name": gateway, "namespace": namespace}, "listeners": listeners})
    })
}

fn parent() -> impl Strategy<Value = Value> {
    let section = option::of(select(vec!["l80", "m443"]));
    let kind = select(vec!["Gateway", "Gateway", "ListenerSet"]);
    (kind, select(vec!["g", "h"]), namespace(), section).prop_map(|(kind, name, namespace, section)| {
        json!({"kind": kind, "name": name, "namespace": namespace, "sectionName": section})
    })
}

fn backend() -> impl Strategy<Value = Value> {
    (select(vec!["a", "b", "absent"]), option::of(namespace()), 0..3_u32).prop_map(|(name, namespace, weight)| {
        json!({"name": name, "namespace": namespace, "port": 80, "weight": weight})
    })
}

fn route() -> impl Strategy<Value = Value> {
    let matches = select(vec![
        json!([]),
        json!([{"path": {"value": "/a"}}]),
        json!([{"path": {"type": "RegularExpression", "value": "("}}]),
    ]);
    let filters = select(vec![
        json!([]),
        json!([{"type": "RequestRedirect", "requestRedirect": {"hostname": "x.io"}}]),
        json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 80}}}]),
        json!([{"type": "Odd"}]),
    ]);
    (vec(parent(), 0..3), vec(hostname(), 0..3), vec(backend(), 0..3), matches, filters).prop_map(
        |(parents, hostnames, backends, matches, filters)| {
            let hostnames: Vec<&str> = hostnames.into_iter().flatten().collect();
            json!({
                "parentRefs": parents, "hostnames": hostnames,
                "rules": [{"backendRefs": backends, "matches": matches, "filters": filters}],
            })
        },
    )
}

fn policy() -> impl Strategy<Value = Value> {
    let section = option::of(select(vec!["http"]));
    (select(vec!["a", "b"]), section, select(vec!["m", "n"])).prop_map(|(service, section, map)| {
        json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": service, "sectionName": section}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": map}], "hostname": "a.io",
            },
        })
    })
}

fn grant() -> impl Strategy<Value = Value> {
    let from = select(vec!["HTTPRoute", "TCPRoute", "Gateway"]);
    (from, namespace(), select(vec!["Service", "Secret"])).prop_map(|(kind, namespace, to)| {
        json!({
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace}],
            "to": [{"group": "", "kind": to}],
        })
    })
}

fn object(
    kind: GatewayKind,
    names: &'static [&'static str],
    spec: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = ObjectChange> {
    let stands_in_for = option::weighted(0.3, select(vec!["g", "h"]));
    let spec = option::weighted(0.85, (spec, 0..3_i64, 1..3_i64, stands_in_for));
    (namespace(), select(names), spec).prop_map(move |(namespace, name, it)| {
        let namespace = if kind.namespaced() { namespace } else { "" };
        let object = it.map(|(spec, created, generation, stands_in_for)| GatewayObject {
            created,
            generation,
            stands_in_for: stands_in_for.map(Into::into),
            ..GatewayObject::new("1", spec)
        });
        ObjectChange::Gateway(GatewayObjectName { kind, name: ObjectName::new(namespace, name) }, object)
    })
}

fn class() -> impl Strategy<Value = Value> {
    let parameters = json!({"group": "", "kind": "ConfigMap", "name": "p", "namespace": "one"});
    select(vec![
        json!({"controllerName": GATEWAY_CONTROLLER}),
        json!({"controllerName": GATEWAY_CONTROLLER, "parametersRef": parameters}),
        json!({"controllerName": GATEWAY_CONTROLLER, "parametersRef": parameters}),
        json!({"controllerName": "example.com/other"}),
    ])
}

fn service() -> impl Strategy<Value = ObjectChange> {
    let ports = vec![ServicePort { name: "http".to_owned(), port: 80, ..ServicePort::default() }];
    let object =
        Service { ports, address: ServiceAddress::External("x.io".to_owned()), ..Service::default() };
    (namespace(), select(vec!["a", "b"]), any::<bool>()).prop_map(move |(namespace, name, there)| {
        ObjectChange::Service(ObjectName::new(namespace, name), there.then(|| object.clone()))
    })
}

fn secret() -> impl Strategy<Value = ObjectChange> {
    let object = SecretObject {
        chain: Some("-----BEGIN CERTIFICATE-----".to_owned()),
        key: Some(Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
        ..SecretObject::default()
    };
    (namespace(), any::<bool>()).prop_map(move |(namespace, there)| {
        ObjectChange::Secret(ObjectName::new(namespace, "s"), there.then(|| object.clone()))
    })
}

fn config_map() -> impl Strategy<Value = ObjectChange> {
    let data = BTreeMap::from([("ca.crt".to_owned(), "-----BEGIN CERTIFICATE-----".to_owned())]);
    (namespace(), any::<bool>()).prop_map(move |(namespace, there)| {
        ObjectChange::ConfigMap(ObjectName::new(namespace, "m"), there.then(|| data.clone()))
    })
}

fn labels() -> impl Strategy<Value = ObjectChange> {
    (namespace(), option::of(any::<bool>())).prop_map(|(namespace, labels)| {
        let labels = labels.map(|it| it.then(|| ("label".to_owned(), "x".to_owned())).into_iter().collect());
        ObjectChange::Namespace(namespace.into(), labels)
    })
}

fn supply() -> impl Strategy<Value = ObjectChange> {
    (namespace(), any::<bool>()).prop_map(|(namespace, there)| {
        ObjectChange::Supply(ObjectName::new(namespace, "g"), there.then(Supply::default))
    })
}

/// The parameters of the class `ours`.
fn parameters() -> impl Strategy<Value = ObjectChange> {
    let said = option::weighted(0.8, select(vec!["shared", "shared", "own", "odd"]));
    said.prop_map(|said| {
        let data = said.map(|said| BTreeMap::from([("proxies".to_owned(), said.to_owned())]));
        ObjectChange::ConfigMap(ObjectName::new("one", "p"), data)
    })
}

fn proxies() -> impl Strategy<Value = ObjectChange> {
    let scope = select(vec![
        Scope::Class(ObjectName::new("one", "ours")),
        Scope::Class(ObjectName::new("one", "ours")),
        Scope::Gateway(ObjectName::new("one", "g")),
        Scope::Gateway(ObjectName::new("two", "h")),
    ]);
    let presence = option::of(select(vec![Presence::Made, Presence::Reached]));
    (scope, presence).prop_map(|(scope, presence)| ObjectChange::Proxies(scope, presence))
}

fn change() -> impl Strategy<Value = ObjectChange> {
    const NAMES: &[&str] = &["g", "h"];
    let of_route = |kind| object(GatewayKind::Route(kind), NAMES, route());
    prop_oneof![
        2 => object(GatewayKind::GatewayClass, &["ours", "theirs"], class()),
        6 => object(GatewayKind::Gateway, NAMES, gateway()),
        2 => object(GatewayKind::ListenerSet, NAMES, set()),
        8 => of_route(RouteKind::Http),
        2 => of_route(RouteKind::Tls),
        2 => of_route(RouteKind::Tcp),
        2 => object(GatewayKind::BackendTlsPolicy, NAMES, policy()),
        2 => object(GatewayKind::ReferenceGrant, NAMES, grant()),
        2 => service(),
        1 => secret(),
        1 => config_map(),
        1 => labels(),
        1 => supply(),
        2 => parameters(),
        2 => proxies(),
    ]
}

/// The object that a change is about.
fn subject(change: &ObjectChange) -> String {
    match change {
        ObjectChange::Gateway(name, _) => format!("{} {}", name.kind.as_str(), name.name),
        ObjectChange::Service(name, _) => format!("service {name}"),
        ObjectChange::Secret(name, _) => format!("secret {name}"),
        ObjectChange::ConfigMap(name, _) => format!("map {name}"),
        ObjectChange::Namespace(name, _) => format!("namespace {name}"),
        ObjectChange::Supply(name, _) => format!("supply {name}"),
        ObjectChange::Proxies(scope, _) => format!("proxies {scope}"),
        other => panic!("{other:?} is not made here"),
    }
}

/// What somebody has who applies every delta.
#[derive(Default)]
struct Follower {
    fleet: Config,
    gateways: BTreeMap<Scope, Config>,
}

impl Follower {
    fn follow(&mut self, delta: &Delta) {
        for change in &delta.changes {
            self.fleet.apply(change.clone());
        }
        for (name, demand) in &delta.demands {
            match demand {
                Some(_) => drop(self.gateways.entry(name.clone()).or_default()),
                None => drop(self.gateways.remove(name)),
            }
        }
        for (name, changes) in &delta.gateways {
            let config = self.gateways.get_mut(name).unwrap();
            for change in changes {
                config.apply(change.clone());
            }
        }
    }
}

fn from_nothing(last: &BTreeMap<String, ObjectChange>) -> Compiled {
    let mut compiler = Compiler::new(Settings::default());
    for change in last.values() {
        compiler.apply(change.clone());
    }
    let _ = compiler.compile();
    compiler.compiled().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_give_the_result_of_compiling_the_last_state(
        edits in vec((change(), any::<bool>()), 1..40),
    ) {
        let mut compiler = Compiler::new(Settings::default());
        let mut follower = Follower::default();
        let mut last = BTreeMap::new();
        for (change, compiled) in edits {
            last.insert(subject(&change), change.clone());
            compiler.apply(change);
            if compiled {
                follower.follow(&compiler.compile());
            }
        }
        follower.follow(&compiler.compile());
        let (found, expected) = (compiler.compiled(), from_nothing(&last));
        prop_assert_eq!(&found.gateways, &expected.gateways);
        prop_assert_eq!(found, &expected);
        prop_assert_eq!(&follower.fleet, &expected.config);
        prop_assert_eq!(&follower.gateways, &expected.gateways);
        for config in expected.gateways.values() {
            prop_assert_eq!(validate(config), []);
        }
        prop_assert!(compiler.compile().is_empty());
    }
}
