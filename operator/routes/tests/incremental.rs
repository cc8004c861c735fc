//! Whatever the order of edits, the result is that of compiling what there is at the end from nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use operator_routes::{
    Compiled, Compiler, ObjectChange, ObjectName, Settings,
    object::{
        EndpointCondition, EndpointSlice, Family, MappingObject, Pod, ResolverKind, RolloutServices, Service,
        ServiceAddress, ServicePort, SliceEndpoint,
    },
};
use proptest::prelude::*;
use proxy_config::{
    model::{Config, Draining},
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
    ]);
    let more = prop_oneof![3 => Just(json!({})), 1 => more];
    (service, prefix, resolver, weight, more).prop_map(|(service, prefix, resolver, weight, more)| {
        let mut spec = json!({"service": service, "prefix": prefix, "resolver": resolver, "weight": weight});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        spec
    })
}

fn mapping() -> impl Strategy<Value = MappingObject> {
    (version(), any::<bool>(), spec()).prop_map(|(resource_version, owned_by_rollout, spec)| MappingObject {
        resource_version,
        owned_by_rollout,
        spec,
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
            .map(|port| ServicePort { name: format!("p{port}"), port, target: Some(port + 1000) })
            .collect(),
        selector: BTreeMap::from([("hash".to_owned(), hash.to_string())]),
        address,
        family: Family::V4,
        managed: hash == 1,
    })
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    let condition = prop::sample::select(
        &[EndpointCondition::Ready, EndpointCondition::Terminating, EndpointCondition::NotReady][..],
    );
    let endpoint = (1_u8..5, condition, prop::option::weighted(0.85, prop::sample::select(&NAMES[..])))
        .prop_map(|(address, condition, pod)| SliceEndpoint {
            address: IpAddr::V4(Ipv4Addr::new(198, 18, 0, address)),
            condition,
            pod: pod.map(Arc::from),
        });
    let endpoints = prop::collection::vec(endpoint, 0..4);
    (version(), prop::sample::select(&NAMES[..]), endpoints).prop_map(
        |(resource_version, service, endpoints)| EndpointSlice {
            resource_version,
            service: service.into(),
            family: Family::V4,
            ports: BTreeMap::from([("p80".to_owned(), 1080), ("p8080".to_owned(), 9080)]),
            endpoints,
        },
    )
}

fn change() -> impl Strategy<Value = ObjectChange> {
    let resolver =
        prop::sample::select(&[ResolverKind::Service, ResolverKind::Endpoint, ResolverKind::Consul][..]);
    let leaving = prop::option::weighted(0.4, Just(Draining { until: None }));
    let pod = (0_u8..3, leaving).prop_map(|(hash, leaving)| Pod { hash: hash.to_string().into(), leaving });
    let rollout = prop::collection::btree_set(prop::sample::select(&NAMES[..]).prop_map(Arc::from), 0..3)
        .prop_map(|services: BTreeSet<Arc<str>>| RolloutServices(services));
    prop_oneof![
        4 => (name(), prop::option::weighted(0.85, mapping())).prop_map(|(name, it)| ObjectChange::Mapping(name, it)),
        1 => prop::option::weighted(0.85, resolver).prop_map(|it| ObjectChange::Resolver(ObjectName::new("x", "mine"), it)),
        2 => (name(), prop::option::weighted(0.85, service())).prop_map(|(name, it)| ObjectChange::Service(name, it)),
        3 => (name(), prop::option::weighted(0.85, slice())).prop_map(|(name, it)| ObjectChange::EndpointSlice(name, it)),
        2 => (name(), prop::option::weighted(0.85, pod)).prop_map(|(name, it)| ObjectChange::Pod(name, it)),
        1 => (name(), prop::option::weighted(0.85, rollout)).prop_map(|(name, it)| ObjectChange::Rollout(name, it)),
    ]
}

fn compiler() -> Compiler {
    Compiler::new(Settings { ambassador_id: "default".to_owned(), listener_port: 8080 })
}

/// The object that a change is about, as a text.
fn subject(change: &ObjectChange) -> String {
    match change {
        ObjectChange::Mapping(name, _) => format!("mapping {name}"),
        ObjectChange::Resolver(name, _) => format!("resolver {name}"),
        ObjectChange::Service(name, _) => format!("service {name}"),
        ObjectChange::EndpointSlice(name, _) => format!("slice {name}"),
        ObjectChange::Pod(name, _) => format!("pod {name}"),
        ObjectChange::Rollout(name, _) => format!("rollout {name}"),
    }
}

proptest! {
    #[test]
    fn any_edit_sequence_gives_what_compiling_from_nothing_gives(
        edits in prop::collection::vec((change(), prop::bool::weighted(0.8)), 1..80)
    ) {
        let mut incremental = compiler();
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
        let mut whole = compiler();
        last.values().rev().for_each(|change| whole.apply((*change).clone()));
        whole.compile();

        prop_assert_eq!(incremental.compiled(), whole.compiled());
        prop_assert_eq!(&followed, whole.compiled(), "the deltas add up to the result");
        prop_assert!(incremental.compile().is_empty(), "without a change nothing changes");
    }

    #[test]
    fn whatever_the_objects_the_proxies_can_take_the_result(edits in prop::collection::vec(change(), 1..40)) {
        let mut compiler = compiler();
        for change in edits {
            compiler.apply(change);
        }
        compiler.compile();
        prop_assert_eq!(validate(&compiler.compiled().config), Vec::new());
    }
}

/// Compiles and carries the delta over to `followed`.
fn follow(followed: &mut Compiled, compiler: &mut Compiler) {
    let delta = compiler.compile();
    let config: &mut Config = &mut followed.config;
    delta.changes.into_iter().for_each(|change| config.apply(change));
    for (id, split) in delta.splits {
        match split {
            Some(split) => drop(followed.splits.insert(id, split)),
            None => drop(followed.splits.remove(&id)),
        }
    }
    for (version, there) in delta.pods {
        if there {
            followed.pods.insert(version);
        } else {
            followed.pods.remove(&version);
        }
    }
    for (pod, leaving) in delta.leaving {
        match leaving {
            Some(leaving) => drop(followed.leaving.insert(pod, leaving)),
            None => drop(followed.leaving.remove(&pod)),
        }
    }
    for (name, status) in delta.statuses {
        match status {
            Some(status) => drop(followed.statuses.insert(name, status)),
            None => drop(followed.statuses.remove(&name)),
        }
    }
}
