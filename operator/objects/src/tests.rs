use serde_json::json;

use super::*;

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_slice_keeps_addresses_ports_and_pods() {
    let value = json!({
        "metadata": {
            "namespace": "shop", "name": "echo-1", "resourceVersion": "7",
            "labels": {"kubernetes.io/service-name": "echo"}
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": ["198.18.0.1"], "targetRef": {"kind": "Pod", "name": "echo-a", "uid": "u-a"}},
            {
                "addresses": ["198.18.0.2"],
                "conditions": {"ready": false, "serving": true, "terminating": true},
                "targetRef": {"kind": "Pod", "name": "echo-b", "uid": "u-b"}
            },
            {
                "addresses": ["198.18.0.3"], "conditions": {"ready": false},
                "targetRef": {"kind": "Pod", "name": "echo-c", "uid": "u-c"}
            },
            {"addresses": ["not an address"]}
        ]
    });
    let decoded: EndpointSlice = object(value);
    let slim = slice(&decoded).unwrap();
    assert_eq!(&*slim.service, "echo");
    assert_eq!(slim.ports.get("http"), Some(&8080));
    let conditions: Vec<_> = slim.endpoints.iter().map(|endpoint| endpoint.condition).collect();
    assert_eq!(
        conditions,
        [EndpointCondition::Ready, EndpointCondition::Terminating, EndpointCondition::NotReady]
    );
    let carrying = carrying_pods(&decoded);
    assert_eq!(carrying.keys().collect::<Vec<_>>(), ["u-a", "u-b"], "a terminating pod still serves");
}

#[test]
fn a_service_says_whether_a_rollout_moves_it() {
    let managed = |annotations: Value, selector: Value| {
        let metadata = json!({"namespace": "shop", "name": "echo", "annotations": annotations});
        service(&object(json!({"metadata": metadata, "spec": {"selector": selector}}))).managed
    };
    assert!(!managed(json!({"a": "b"}), json!({"app": "echo"})));
    assert!(managed(
        json!({"argo-rollouts.argoproj.io/managed-by-rollouts": "echo"}),
        json!({"app": "echo"})
    ));
    assert!(managed(json!(null), json!({"app": "echo", "rollouts-pod-template-hash": "abc"})));
}

#[test]
fn a_service_says_how_long_its_new_pods_take() {
    let metadata = json!({"name": "echo", "annotations": {"sluice.dev/slow-start": "30s"}});
    let read = service(&object(json!({"metadata": metadata, "spec": {}})));
    assert_eq!(read.slow_start.as_deref(), Some("30s"));
}

#[test]
fn a_service_says_whether_its_clients_are_served_in_their_zone() {
    let prefers =
        |spec: Value| service(&object(json!({"metadata": {"name": "echo"}, "spec": spec}))).prefers_zone;
    assert!(!prefers(json!({})) && !prefers(json!({"trafficDistribution": "PreferSomethingNew"})));
    for distribution in ["PreferSameZone", "PreferClose", "PreferSameNode"] {
        assert!(prefers(json!({"trafficDistribution": distribution})), "{distribution}");
    }
}

#[test]
fn a_slice_says_where_an_endpoint_is_and_for_whom() {
    let metadata = json!({"name": "echo-1", "labels": {"kubernetes.io/service-name": "echo"}});
    let endpoints = json!([
        {"addresses": ["198.18.0.1"], "zone": "east", "hints": {"forZones": [{"name": "east"}, {"name": "west"}]}},
        {"addresses": ["198.18.0.2"], "hints": {"forNodes": [{"name": "node-1"}]}},
    ]);
    let value = json!({"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints});
    let read = slice(&object(value)).unwrap();
    let read: Vec<_> = read.endpoints.iter().map(|it| (it.zone.as_deref(), it.hints.join(","))).collect();
    assert_eq!(read, [(Some("east"), "east,west".to_owned()), (None, String::new())]);
}

#[test]
fn a_pod_keeps_its_hash_and_whether_it_was_chosen_to_go() {
    let read = |labels: Value, annotations: Value| {
        pod(&object(json!({"namespace": "shop", "name": "a", "labels": labels, "annotations": annotations})))
    };
    assert_eq!(read(json!({"app": "echo"}), json!({})), None);
    let leaving = |annotations| {
        let labels = json!({"rollouts-pod-template-hash": "abc", "sluice.dev/draining": ""});
        read(labels, annotations).unwrap().leaving
    };
    let stays = read(
        json!({"rollouts-pod-template-hash": "abc"}),
        json!({"sluice.dev/drain-until": "2026-01-01T00:00:00Z"}),
    );
    assert_eq!(stays, Some(Pod { hash: "abc".into(), leaving: None }), "a deadline alone means nothing");
    assert_eq!(leaving(json!({})), Some(Draining { until: None }));
    assert_eq!(leaving(json!({"sluice.dev/drain-until": "soon"})), Some(Draining { until: None }));
    assert_eq!(
        leaving(json!({"sluice.dev/drain-until": "1970-01-01T01:00:01.5+01:00"})),
        Some(Draining { until: Some(UnixMillis(1_500)) })
    );
}

#[test]
fn a_slice_without_service_or_of_names_is_of_no_interest() {
    let unlabelled =
        json!({"metadata": {"namespace": "shop", "name": "a"}, "addressType": "IPv4", "endpoints": []});
    assert_eq!(slice(&object(unlabelled)), None);
    let names = json!({
        "metadata": {"namespace": "shop", "name": "a", "labels": {"kubernetes.io/service-name": "echo"}},
        "addressType": "FQDN", "endpoints": []
    });
    assert_eq!(slice(&object(names)), None);
}

#[test]
fn a_service_keeps_its_address_and_ports() {
    let value = json!({
        "metadata": {"namespace": "shop", "name": "echo", "resourceVersion": "7"},
        "spec": {
            "clusterIP": "198.18.9.1", "ipFamilies": ["IPv4"], "selector": {"app": "echo"},
            "ports": [{"name": "http", "port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8081}]
        }
    });
    let slim = service(&object(value));
    assert_eq!(slim.address, ServiceAddress::ClusterIp("198.18.9.1".parse().unwrap()));
    assert_eq!(slim.ports.iter().map(|port| port.target).collect::<Vec<_>>(), [None, Some(8081)]);
    let headless = json!({"metadata": {}, "spec": {"clusterIP": "None"}});
    assert_eq!(service(&object(headless)).address, ServiceAddress::Headless);
    let external =
        json!({"metadata": {}, "spec": {"type": "ExternalName", "externalName": "one.example.org"}});
    assert_eq!(service(&object(external)).address, ServiceAddress::External("one.example.org".into()));
}

#[test]
fn an_object_of_any_shape_is_taken_as_it_is() {
    let value = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {
            "namespace": "shop", "name": "echo-canary", "resourceVersion": "9", "generation": 3, "labels": {"a": "b"},
            "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "echo", "uid": "u"}]
        },
        "spec": "nonsense",
        "status": {"state": "Inactive", "reason": "no", "observedGeneration": 2}
    });
    let mut decoded: DynamicObject = object(value);
    let seen = observed(DocumentKind::Mapping, &decoded);
    assert_eq!((seen.state.as_str(), seen.reason.as_str()), ("Inactive", "no"));
    assert_eq!((seen.told_generation, seen.generation), (Some(2), Some(3)));
    let slim = emissary(&mut decoded);
    assert!(slim.owned_by_rollout);
    assert_eq!(slim.spec, json!("nonsense"));
    assert_eq!((slim.labels.len(), slim.version), (1, ApiVersion::V3));
}

#[test]
fn the_version_of_a_spec_is_that_of_who_wrote_it_last() {
    let writer = |version: &str, time: &str, fields: Value, subresource: Option<&str>| {
        json!({
            "manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "apiVersion": version, "time": time,
            "fieldsV1": fields, "subresource": subresource
        })
    };
    let of_spec = json!({"f:spec": {"f:prefix": {}}});
    let version = |fields: Vec<Value>| {
        let metadata = json!({"name": "a", "managedFields": fields});
        let value =
            json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": metadata});
        emissary(&mut object(value)).version
    };
    assert_eq!(version(vec![]), ApiVersion::V3);
    let old = writer("getambassador.io/v2", "2026-01-01T00:00:00Z", of_spec.clone(), None);
    let status =
        writer("getambassador.io/v3alpha1", "2026-01-03T00:00:00Z", json!({"f:status": {}}), Some("status"));
    assert_eq!(version(vec![old.clone(), status.clone()]), ApiVersion::V2);
    let newer = writer("getambassador.io/v3alpha1", "2026-01-02T00:00:00Z", of_spec, None);
    assert_eq!(version(vec![newer, status, old]), ApiVersion::V3);
}

#[test]
fn of_a_secret_certificates_and_keys_are_kept() {
    let read = |data: Value| secret(&object(json!({"metadata": {}, "data": data})));
    let tls = read(json!({"tls.crt": "Y2hhaW4=", "tls.key": "a2V5", "ca.crt": "Y2E=", "other": "eA=="}));
    assert_eq!((tls.chain.as_deref(), tls.authorities.as_deref()), (Some("chain"), Some("ca")));
    assert_eq!(tls.key, Some(proxy_config::model::Secret("key".to_owned())));
    assert_eq!(
        read(json!({"cert-chain.pem": "Y2hhaW4=", "user.key": "a2V5"})).chain.as_deref(),
        Some("chain")
    );
    let other = read(json!({"password": "eA=="}));
    assert_eq!((other.chain, other.key, other.authorities), (None, None, None));
}

#[test]
fn a_rollout_names_services_only_where_it_routes() {
    let names = |strategy: Value| -> Vec<String> {
        let value = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {}, "spec": {"strategy": strategy}
        });
        rollout(&object(value)).0.iter().map(ToString::to_string).collect()
    };
    let services = json!({"stableService": "s", "canaryService": "c"});
    assert_eq!(names(json!({"canary": services})), Vec::<String>::new());
    let mut routed = services;
    routed["trafficRouting"] = json!({"ambassador": {"mappings": ["m"]}});
    assert_eq!(names(json!({"canary": routed})), ["c", "s"]);
    assert_eq!(names(json!({"blueGreen": {"activeService": "a", "previewService": "p"}})), ["a", "p"]);
    assert_eq!(names(json!("nonsense")), Vec::<String>::new());
}

#[test]
fn where_clients_reach_a_service_depends_on_its_type() {
    let of = |value: Value| addresses(&object::<Service>(value));
    let balanced =
        json!({"loadBalancer": {"ingress": [{"ip": "198.18.0.1"}, {"hostname": "lb.example.org"}]}});
    let table = [
        (
            json!({"spec": {"type": "LoadBalancer", "clusterIP": "198.18.9.1"}, "status": balanced}),
            vec!["198.18.0.1", "lb.example.org"],
        ),
        (json!({"spec": {"type": "LoadBalancer", "clusterIP": "198.18.9.1"}}), vec![]),
        (json!({"spec": {"type": "NodePort", "clusterIP": "198.18.9.1"}}), vec!["198.18.9.1"]),
        (json!({"spec": {"clusterIP": "198.18.9.1", "externalIPs": ["198.18.0.2"]}}), vec!["198.18.0.2"]),
        (
            json!({"spec": {"type": "ExternalName", "externalName": "edge.example.org"}}),
            vec!["edge.example.org"],
        ),
        (json!({"spec": {"clusterIP": "None"}}), vec![]),
    ];
    for (service, expected) in table {
        assert_eq!(of(service.clone()), expected, "{service}");
    }
}

#[test]
fn an_ingress_keeps_its_annotations_spec_and_age() {
    let decoded: Ingress = object(json!({
        "metadata": {
            "namespace": "shop", "name": "web", "resourceVersion": "7", "uid": "u",
            "creationTimestamp": "2030-01-01T00:00:00Z", "annotations": {"a": "b"},
        },
        "spec": {"ingressClassName": "sluice", "rules": [{"host": "a.org"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.1"}]}},
    }));
    let kept = ingress(&decoded);
    assert_eq!((kept.created, &*kept.resource_version), (1_893_456_000, "7"));
    assert_eq!(kept.annotations.get("a").map(String::as_str), Some("b"));
    assert_eq!(kept.spec, json!({"ingressClassName": "sluice", "rules": [{"host": "a.org"}]}));
    let seen = SeenIngress { uid: "u".to_owned(), addresses: vec!["198.18.0.1".to_owned()] };
    assert_eq!(seen_ingress(&decoded), seen);
}
