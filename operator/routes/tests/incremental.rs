//! Whatever the order of edits, the result is that of compiling what there is at the end from nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use litemap::LiteMap;
use operator_routes::{
    Compat, Compiled, Compiler, EMISSARY_CONTROLLER, INGRESS_CONTROLLER, ObjectChange, ObjectName, Settings,
    dialect::{
        ApiVersion, Carrier, CarrierKind, DocumentKind, annotation::Annotation, documents::DocumentName,
    },
    object::{
        EmissaryObject, EndpointCondition, EndpointSlice, Family, IngressClass, IngressObject, Pod,
        ResolverKind, RolloutServices, SecretObject, Service, ServiceAddress, ServicePort, SliceEndpoint,
    },
};
use proptest::prelude::*;
use proxy_config::{
    model::{Config, Draining, Secret},
    validate::validate,
};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Few names, so that objects meet.
fn name() -> impl Strategy<Value = ObjectName> {
    let namespace = prop_oneof![9 => Just("x"), 1 => Just("y")];
    (namespace, prop::sample::select(&NAMES[..]))
        .prop_map(|(namespace, name)| ObjectName::new(namespace, name))
}

fn version() -> impl Strategy<Value = Arc<str>> {
    (0_u8..3).prop_map(|version| version.to_string().into())
}

fn spec() -> impl Strategy<Value = Value> {
    let service = prop::sample::select(
        &["a", "b:80", "c:8080", "a.y", "b.x.svc:81", "https://a", "198.18.0.1", "a:b", "one.example.org"][..],
    );
    let service = prop_oneof![3 => prop::sample::select(&["a", "b:80", "a:8080"][..]), 1 => service];
    let prefix = prop::sample::select(&["/", "/echo", "/echo/", "echo"][..]);
    let resolver = prop::sample::select(&["mine", "consul", "kubernetes-service"][..]);
    let resolver = prop::option::of(prop_oneof![3 => Just("endpoint"), 1 => resolver]);
    let weight = prop::option::of(0_u8..120);
    let more = prop::sample::select(vec![
        json!({}),
        json!({"prefix_regex": true}),
        json!({"prefix": "/("  , "prefix_regex": true}),
        json!({"hostname": "*.example.org"}),
        json!({"headers": {"x-a": true}, "method": "GET"}),
        json!({"case_sensitive": false, "rewrite": ""}),
        json!({"ambassador_id": "other"}),
        json!({"shadow": true}),
        json!({"shadow": true, "method": "GET", "weight": 20}),
        json!({"shadow": true, "prefix": "/echo/v1", "headers": {"x-a": true}}),
        json!({"connect_timeout_ms": 7, "weight": "x"}),
        json!({"host_redirect": true, "path_redirect": "/a", "prefix_redirect": "/b"}),
        json!({"regex_rewrite": {"pattern": "/(e)", "substitution": "/\\1\\1"}, "add_response_headers": {"a": "b"}}),
        json!({"cors": {"origins": ["*"]}, "retry_policy": {"retry_on": "5xx"}, "use_websocket": true}),
        json!({"tls": "ctx", "grpc": true}),
        json!({"tls": true, "cluster_tag": "t"}),
        json!({"hostname": "a.example.org:80"}),
        json!({"load_balancer": {"policy": "ring_hash", "header": "x"}, "resolver": "endpoint"}),
        json!({"circuit_breakers": [{"max_requests": 3}], "bypass_auth": true}),
    ]);
    let more = prop_oneof![2 => Just(json!({})), 1 => more];
    (service, prefix, resolver, weight, more).prop_map(|(service, prefix, resolver, weight, more)| {
        let mut spec = json!({"service": service, "prefix": prefix, "resolver": resolver, "weight": weight});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        spec
    })
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let labels =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    prop::sample::select(vec![
        labels(&[]),
        labels(&[("tier", "web")]),
        labels(&[("tier", "web"), ("zone", "z")]),
        labels(&[("tier", "db")]),
    ])
}

fn object(spec: impl Strategy<Value = Value>) -> impl Strategy<Value = EmissaryObject> {
    let api = prop::sample::select(&[ApiVersion::V1, ApiVersion::V2, ApiVersion::V3][..]);
    (version(), api, labels(), any::<bool>(), spec).prop_map(
        |(resource_version, version, labels, owned_by_rollout, spec)| EmissaryObject {
            resource_version,
            version,
            labels,
            owned_by_rollout,
            spec,
        },
    )
}

fn host() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"hostname": "a.example.org", "requestPolicy": {"insecure": {"action": "Route"}}}),
        json!({"hostname": "*.example.org", "tlsSecret": {"name": "a"}}),
        json!({"hostname": "a.example.org", "tlsSecret": {"name": "a"}, "tlsContext": {"name": "ctx"}}),
        json!({"hostname": "a.example.org:80", "requestPolicy": {"insecure": {"action": "Reject", "additionalPort": 81}}}),
        json!({"hostname": "a.*", "mappingSelector": {"matchLabels": {"tier": "web"}}}),
        json!({"mappingSelector": {"matchLabels": {"tier": "web", "zone": "z"}}}),
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}),
        json!({"requestPolicy": {"insecure": {"action": "Perhaps"}}}),
        json!({"hostname": "a.*.org"}),
        json!({"ambassador_id": ["other"]}),
    ])
}

fn listener() -> impl Strategy<Value = Value> {
    let port = prop::sample::select(&[80, 8080, 8443, 0][..]);
    let protocol = prop::sample::select(&["HTTP", "HTTPS", "HTTPPROXY", "TCP", "TLS"][..]);
    let from = prop::sample::select(&["ALL", "SELF"][..]);
    let selector = prop::sample::select(vec![json!({}), json!({"matchLabels": {"tier": "web"}})]);
    (port, protocol, from, selector).prop_map(|(port, protocol, from, selector)| {
        let binding = json!({"namespace": {"from": from}, "selector": selector});
        json!({"port": port, "protocol": protocol, "securityModel": "XFP", "hostBinding": binding})
    })
}

fn context() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"secret": "a", "hosts": ["b.example.org", "*.example.org"]}),
        json!({"secret": "b.y", "ca_secret": "c", "sni": "inner"}),
        json!({"ca_secret": "a", "min_tls_version": "v1.3", "max_tls_version": "v1.2"}),
    ])
}

fn module() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"config": {"resolver": "endpoint", "cluster_request_timeout_ms": 7}}),
        json!({"config": {"retry_policy": {"retry_on": "5xx"}, "strip_matching_host_port": true, "new": 1}}),
        json!({"config": ["nonsense"]}),
    ])
}

fn tcp_mapping() -> impl Strategy<Value = Value> {
    let port = prop::sample::select(&[8080, 8443, 9000][..]);
    let more = prop::sample::select(vec![
        json!({}),
        json!({"weight": 0}),
        json!({"weight": 70}),
        json!({"host": "a.example.org"}),
        json!({"resolver": "mine"}),
        json!({"tls": "ctx"}),
    ]);
    (port, prop::sample::select(&["a", "b:80", "a:b"][..]), more).prop_map(|(port, service, more)| {
        let mut spec = json!({"port": port, "service": service});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        spec
    })
}

fn emissary() -> impl Strategy<Value = ObjectChange> {
    let of = |kind, name: ObjectName, object| ObjectChange::Emissary(DocumentName { kind, name }, object);
    let some = |object| prop::option::weighted(0.85, object);
    let resolver =
        prop::sample::select(&[ResolverKind::Service, ResolverKind::Endpoint, ResolverKind::Consul][..]);
    prop_oneof![
        6 => (name(), some(object(spec()).boxed())).prop_map(move |(name, it)| of(DocumentKind::Mapping, name, it)),
        2 => (name(), some(object(host()).boxed())).prop_map(move |(name, it)| of(DocumentKind::Host, name, it)),
        2 => (name(), some(object(listener()).boxed())).prop_map(move |(name, it)| of(DocumentKind::Listener, name, it)),
        1 => some(object(context()).boxed())
            .prop_map(move |it| of(DocumentKind::TlsContext, ObjectName::new("x", "ctx"), it)),
        1 => (prop::sample::select(&["x", "y"][..]), some(object(module()).boxed()))
            .prop_map(move |(space, it)| of(DocumentKind::Module, ObjectName::new(space, "ambassador"), it)),
        2 => (name(), some(object(tcp_mapping()).boxed()))
            .prop_map(move |(name, it)| of(DocumentKind::TcpMapping, name, it)),
        1 => (resolver, some(object(Just(json!({}))).boxed()))
            .prop_map(move |(kind, it)| of(DocumentKind::Resolver(kind), ObjectName::new("x", "mine"), it)),
    ]
}

fn annotation() -> impl Strategy<Value = Annotation> {
    let text = prop::sample::select(vec![
        "apiVersion: ambassador/v0\nkind: Mapping\nname: a\nprefix: /echo\nservice: a\nweight: '20'\n",
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: b\nprefix: /echo\nservice: b:80\n---\nkind: [",
        "---\napiVersion: ambassador/v1\nkind: Host\nname: a\nhostname: a.example.org\n---\nnothing\n",
        "apiVersion: ambassador/v1\nkind: Module\nname: ambassador\nconfig: {cors: {origins: '*'}}\n",
        "apiVersion: ambassador/v2\nkind: Mapping\nname: a\nprefix: /\nservice: c\nambassador_id: other\n",
        "",
    ]);
    (text, labels(), version()).prop_map(|(text, labels, resource_version)| Annotation {
        text: text.into(),
        labels,
        resource_version,
    })
}

fn secret() -> impl Strategy<Value = SecretObject> {
    let file = Secret("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\neve:plain".to_owned());
    let passwords = BTreeMap::from([("auth".to_owned(), file)]);
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(chain, key, authorities)| SecretObject {
        chain: chain.then(|| "-----BEGIN CERTIFICATE-----".to_owned()),
        key: key.then(|| Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
        authorities: authorities.then(|| "-----BEGIN CERTIFICATE-----".to_owned()),
        revoked: None,
        entries: if key { BTreeMap::new() } else { passwords.clone() },
    })
}

fn service() -> impl Strategy<Value = Service> {
    let address = prop_oneof![
        1 => Just(ServiceAddress::Headless),
        3 => Just(ServiceAddress::ClusterIp(IpAddr::V4(Ipv4Addr::new(198, 18, 9, 1)))),
        1 => Just(ServiceAddress::External("one.example.org".to_owned())),
    ];
    let ports = prop_oneof![
        3 => Just(vec![80]),
        1 => prop::sample::subsequence(vec![80_u16, 81, 8080], 0..=3),
    ];
    (version(), ports, address, 0_u8..2).prop_map(|(resource_version, ports, address, hash)| Service {
        resource_version,
        ports: (ports.into_iter())
            .map(|port| ServicePort {
                name: format!("p{port}"),
                port,
                target: Some(port + 1000),
                ..ServicePort::default()
            })
            .collect(),
        selector: LiteMap::from_iter([("hash".to_owned(), hash.to_string())]),
        address,
        family: Family::V4,
        managed: hash == 1,
        slow_start: (hash == 1).then(|| "30s".to_owned()),
        prefers_zone: hash == 2,
    })
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    let condition = prop::sample::select(
        &[EndpointCondition::Ready, EndpointCondition::Terminating, EndpointCondition::NotReady][..],
    );
    let pod = prop::option::weighted(0.85, prop::sample::select(&NAMES[..]));
    let zone = || prop::sample::select(&["east", "west"][..]).prop_map(Arc::from);
    let (zone, hints) = (prop::option::weighted(0.9, zone()), prop::collection::vec(zone(), 0..2));
    let endpoint =
        (1_u8..5, condition, pod, zone, hints).prop_map(|(address, condition, pod, zone, hints)| {
            SliceEndpoint {
                address: IpAddr::V4(Ipv4Addr::new(198, 18, 0, address)),
                condition,
                pod: pod.map(Arc::from),
                zone,
                hints,
            }
        });
    let endpoints = prop::collection::vec(endpoint, 0..4);
    (version(), prop::sample::select(&NAMES[..]), endpoints).prop_map(
        |(resource_version, service, endpoints)| EndpointSlice {
            resource_version,
            service: service.into(),
            family: Family::V4,
            ports: LiteMap::from_iter([("p80".to_owned(), 1080), ("p8080".to_owned(), 9080)]),
            endpoints,
        },
    )
}

fn change() -> impl Strategy<Value = ObjectChange> {
    let leaving = prop::option::weighted(0.4, Just(Draining { until: None }));
    let pod = (0_u8..3, leaving).prop_map(|(hash, leaving)| Pod { hash: hash.to_string().into(), leaving });
    let rollout = prop::collection::btree_set(prop::sample::select(&NAMES[..]).prop_map(Arc::from), 0..3)
        .prop_map(|services: BTreeSet<Arc<str>>| RolloutServices(services));
    let carrier = |name| Carrier { kind: CarrierKind::Service, name };
    prop_oneof![
        12 => emissary(),
        2 => (name(), prop::option::weighted(0.85, annotation()))
            .prop_map(move |(name, it)| ObjectChange::Annotation(carrier(name), it)),
        2 => (name(), prop::option::weighted(0.85, secret())).prop_map(|(name, it)| ObjectChange::Secret(name, it)),
        3 => (name(), prop::option::weighted(0.85, service())).prop_map(|(name, it)| ObjectChange::Service(name, it)),
        4 => (name(), prop::option::weighted(0.85, slice())).prop_map(|(name, it)| ObjectChange::EndpointSlice(name, it)),
        3 => (name(), prop::option::weighted(0.85, pod)).prop_map(|(name, it)| ObjectChange::Pod(name, it)),
        1 => (name(), prop::option::weighted(0.85, rollout)).prop_map(|(name, it)| ObjectChange::Rollout(name, it)),
        6 => ingress(),
    ]
}

/// Ingresses, their classes and what holds for all of them.
fn ingress() -> impl Strategy<Value = ObjectChange> {
    let path = (
        prop::sample::select(&["/", "/echo", "/echo/", "echo", "/(a|b)"][..]),
        prop::sample::select(&["Exact", "Prefix", "ImplementationSpecific", "Other"][..]),
        prop::sample::select(&NAMES[..]),
        prop::sample::select(vec![json!({"number": 80}), json!({"name": "p8080"}), json!({"name": "p1"}), json!({})]),
    )
        .prop_map(|(path, kind, service, port)| {
            json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": port}}})
        });
    let host = prop::sample::select(&["", "a.example.org", "*.example.org", "b..org"][..]);
    let rule = (host, prop::collection::vec(path, 0..3)).prop_map(|(host, paths)| {
        if host.is_empty() {
            json!({"http": {"paths": paths}})
        } else {
            json!({"host": host, "http": {"paths": paths}})
        }
    });
    let more = prop::sample::select(vec![
        json!({"ingressClassName": "sluice"}),
        json!({"ingressClassName": "sluice", "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}),
        json!({"ingressClassName": "sluice", "tls": [{"hosts": ["a.example.org"], "secretName": "a"}]}),
        json!({"ingressClassName": "sluice", "tls": [{"secretName": "b"}]}),
        json!({"ingressClassName": "other"}),
        json!({}),
    ]);
    let annotations = prop::sample::select(vec![
        vec![],
        vec![("canary", "true"), ("canary-weight", "30")],
        vec![("canary", "true"), ("canary-by-header", "x-beta"), ("canary-by-cookie", "beta")],
        vec![("use-regex", "true"), ("rewrite-target", "/$1")],
        vec![("permanent-redirect", "https://b.example.org")],
        vec![("app-root", "/home"), ("force-ssl-redirect", "true"), ("enable-cors", "true")],
        vec![("backend-protocol", "HTTPS"), ("affinity", "cookie"), ("session-cookie-name", "a b")],
        vec![("auth-url", "https://auth.example.org"), ("upstream-vhost", "a b")],
        vec![("auth-type", "basic"), ("auth-secret", "a"), ("denylist-source-range", "198.18.0.0/15")],
        vec![("canary-weight", "x")],
    ]);
    let object = (0_i64..3, prop::collection::vec(rule, 0..3), more, annotations, version()).prop_map(
        |(created, rules, mut spec, annotations, resource_version)| {
            spec["rules"] = json!(rules);
            let prefixed = |(name, value): (&str, &str)| {
                (format!("nginx.ingress.kubernetes.io/{name}"), value.to_owned())
            };
            let annotations = annotations.into_iter().map(prefixed).collect();
            IngressObject { created, annotations, ..IngressObject::new(resource_version, spec) }
        },
    );
    let controller =
        prop::sample::select(&[INGRESS_CONTROLLER, EMISSARY_CONTROLLER, "example.org/other"][..]);
    let class = (controller, any::<bool>())
        .prop_map(|(controller, default)| IngressClass { controller: controller.to_owned(), default });
    let data = prop::sample::select(vec![
        BTreeMap::from([("ssl-redirect".to_owned(), "false".to_owned())]),
        BTreeMap::from([("proxy-read-timeout".to_owned(), "5".to_owned()), ("x".to_owned(), String::new())]),
    ]);
    prop_oneof![
        9 => (name(), prop::option::weighted(0.85, object)).prop_map(|(name, it)| ObjectChange::Ingress(name, it)),
        2 => prop::option::weighted(0.85, class).prop_map(|it| ObjectChange::IngressClass("sluice".into(), it)),
        1 => prop::option::of(data).prop_map(ObjectChange::IngressDefaults),
    ]
}

fn compat() -> impl Strategy<Value = Compat> {
    prop_oneof![2 => Just(Compat::Ideal), 1 => Just(Compat::Strict)]
}

fn compiler(compat: Compat) -> Compiler {
    let ingress_controllers = vec![INGRESS_CONTROLLER.to_owned(), EMISSARY_CONTROLLER.to_owned()];
    Compiler::new(Settings { compat, ingress_controllers, ..Settings::default() })
}

/// The object that a change is about, as a text.
fn subject(change: &ObjectChange) -> String {
    match change {
        ObjectChange::Emissary(name, _) => format!("{} {}", name.kind.as_str(), name.name),
        ObjectChange::Annotation(carrier, _) => format!("annotation of {carrier}"),
        ObjectChange::Secret(name, _) => format!("secret {name}"),
        ObjectChange::Service(name, _) => format!("service {name}"),
        ObjectChange::EndpointSlice(name, _) => format!("slice {name}"),
        ObjectChange::Pod(name, _) => format!("pod {name}"),
        ObjectChange::Rollout(name, _) => format!("rollout {name}"),
        ObjectChange::Ingress(name, _) => format!("ingress {name}"),
        ObjectChange::IngressClass(name, _) => format!("ingress class {name}"),
        ObjectChange::IngressDefaults(_) => "defaults of ingresses".to_owned(),
        ObjectChange::Gateway(name, _) => format!("{} {}", name.kind.as_str(), name.name),
        ObjectChange::Supply(name, _) => format!("supply of {name}"),
        ObjectChange::Proxies(scope, _) => format!("proxies of {scope}"),
        ObjectChange::Namespace(name, _) => format!("namespace {name}"),
        ObjectChange::ConfigMap(name, _) => format!("config map {name}"),
    }
}

proptest! {
    #[test]
    fn any_edit_sequence_gives_what_compiling_from_nothing_gives(
        compat in compat(),
        edits in prop::collection::vec((change(), prop::bool::weighted(0.8)), 1..80)
    ) {
        let mut incremental = compiler(compat);
        let mut followed = Compiled::default();
        for (change, compile) in &edits {
            incremental.apply(change.clone());
            if *compile {
                follow(&mut followed, &mut incremental);
            }
        }
        follow(&mut followed, &mut incremental);

        // The same last states, each object once, in another order.
        let last: BTreeMap<String, &ObjectChange> = edits.iter().map(|(change, _)| (subject(change), change)).collect();
        let mut whole = compiler(compat);
        last.values().rev().for_each(|change| whole.apply((*change).clone()));
        whole.compile();

        prop_assert_eq!(incremental.compiled(), whole.compiled());
        prop_assert_eq!(&followed, whole.compiled(), "the deltas add up to the result");
        prop_assert!(incremental.compile().is_empty(), "without a change nothing changes");
    }

    #[test]
    fn whatever_the_objects_the_proxies_can_take_the_result(
        compat in compat(),
        edits in prop::collection::vec(change(), 1..40),
    ) {
        let mut compiler = compiler(compat);
        for change in edits {
            compiler.apply(change);
        }
        compiler.compile();
        prop_assert_eq!(validate(&compiler.compiled().config), Vec::new());
    }

    #[test]
    fn every_object_that_is_for_this_instance_has_a_verdict(
        compat in compat(),
        edits in prop::collection::vec(emissary(), 1..20),
    ) {
        let mut compiler = compiler(compat);
        let mut there = BTreeSet::new();
        for change in edits {
            if let ObjectChange::Emissary(name, object) = &change {
                let ours = |object: &EmissaryObject| object.spec.get("ambassador_id").is_none();
                if object.as_ref().is_some_and(ours) {
                    there.insert(name.clone());
                } else {
                    there.remove(name);
                }
            }
            compiler.apply(change);
        }
        compiler.compile();
        let judged = compiler.compiled().statuses.keys().map(|subject| match subject {
            operator_routes::Subject::Document(name, _) => name.clone(),
            other => unreachable!("there is nothing else: {other:?}"),
        });
        prop_assert_eq!(judged.collect::<BTreeSet<DocumentName>>(), there);
    }
}

/// Compiles and carries the delta over to `followed`.
fn follow(followed: &mut Compiled, compiler: &mut Compiler) {
    let delta = compiler.compile();
    let config: &mut Config = &mut followed.config;
    delta.changes.into_iter().for_each(|change| config.apply(change));
    carry(&mut followed.splits, delta.splits);
    for (version, there) in delta.pods {
        if there {
            followed.pods.insert(version);
        } else {
            followed.pods.remove(&version);
        }
    }
    carry(&mut followed.leaving, delta.leaving);
    carry(&mut followed.statuses, delta.statuses);
    carry(&mut followed.ports, delta.ports);
    carry(&mut followed.hosts, delta.hosts);
    carry(&mut followed.rules, delta.rules);
    for (secret, wanted) in delta.secrets {
        if wanted {
            followed.secrets.insert(secret);
        } else {
            followed.secrets.remove(&secret);
        }
    }
}

fn carry<K: Ord, V>(values: &mut BTreeMap<K, V>, delta: BTreeMap<K, Option<V>>) {
    for (key, value) in delta {
        match value {
            Some(value) => drop(values.insert(key, value)),
            None => drop(values.remove(&key)),
        }
    }
}
