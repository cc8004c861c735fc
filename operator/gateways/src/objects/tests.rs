use std::collections::BTreeSet;

use operator_routes::gateway::{Address, port::container_port};

use super::*;

/// What a Gateway with these addresses and ports asks for.
pub(crate) fn demand(addresses: &[Address], ports: BTreeSet<DemandedPort>) -> Demand {
    Demand {
        uid: "0-1".into(),
        generation: 1,
        class: "sluice".into(),
        addresses: addresses.to_vec(),
        ports,
        ..Demand::default()
    }
}

fn installation() -> Installation {
    Installation {
        config_server: "sluice-operator.sluice-system.svc:8443".to_owned(),
        authority: "PEM".to_owned(),
        image: "sluice-proxy:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        log_level: "info".to_owned(),
        drain_delay: 5,
        drain_timeout: 30,
    }
}

fn tcp(ports: &[u16]) -> BTreeSet<DemandedPort> {
    let demanded = |port: &u16| DemandedPort {
        port: *port,
        transport: Transport::Tcp,
        container: container_port(*port).unwrap(),
    };
    ports.iter().map(demanded).collect()
}

fn made(demand: &Demand, parameters: &Parameters) -> Vec<Object> {
    wanted(&Scope::Gateway(ObjectName::new("shop", "web")), demand, parameters, &installation())
}

fn ip(value: &str) -> Address {
    Address { kind: AddressKind::Ip, value: value.to_owned() }
}

#[test]
fn all_that_a_gateway_takes() {
    let mut demand = demand(&[], tcp(&[80, 8080]));
    demand.ports.insert(DemandedPort { port: 53, transport: Transport::Udp, container: 64_565 });
    demand.labels.insert("team".to_owned(), "edge".to_owned());
    demand.annotations.insert("note".to_owned(), "hello".to_owned());
    let objects = made(&demand, &Parameters::default());
    assert_eq!(objects.iter().map(|it| it.kind).collect::<Vec<_>>(), Kind::ALL);
    for Object { kind, name, content } in &objects {
        assert_eq!((&*name.namespace, &*name.name), ("shop", "web-sluice"), "{kind:?}");
        let metadata = &content["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["uid"], "0-1", "{kind:?}");
        let labels = &metadata["labels"];
        assert_eq!((&labels["team"], &labels[crate::names::GATEWAY_LABEL]), (&json!("edge"), &json!("web")));
        assert_eq!(metadata["annotations"]["note"], "hello", "{kind:?}");
    }
    let of = |kind| &objects.iter().find(|it| it.kind == kind).unwrap().content;
    assert_eq!(of(Kind::ConfigMap)["data"]["ca.crt"], "PEM");
    let ports = json!([
        {"name": "udp-53", "port": 53, "targetPort": 64_565, "protocol": "UDP"},
        {"name": "tcp-80", "port": 80, "targetPort": 64_592, "protocol": "TCP"},
        {"name": "tcp-8080", "port": 8080, "targetPort": 8080, "protocol": "TCP"},
    ]);
    assert_eq!(of(Kind::Service)["spec"]["ports"], ports);
    let template = &of(Kind::Deployment)["spec"]["template"];
    assert_eq!(
        (&template["metadata"]["labels"]["team"], &template["metadata"]["annotations"]["note"]),
        (&json!("edge"), &json!("hello"))
    );
    let arguments = template["spec"]["containers"][0]["args"].to_string();
    for argument in ["--scope=gateway/shop/web", "--admin-port=64512", "--config-server=sluice-operator."] {
        assert!(arguments.contains(argument), "{arguments}");
    }
    assert_eq!(of(Kind::PodDisruptionBudget)["spec"]["maxUnavailable"], 1);
}

#[test]
fn a_listener_changes_nothing_but_the_service() {
    let before = made(&demand(&[], tcp(&[80])), &Parameters::default());
    let after = made(&demand(&[], tcp(&[80, 443])), &Parameters::default());
    let changed: Vec<Kind> =
        before.iter().zip(&after).filter(|(a, b)| a != b).map(|(object, _)| object.kind).collect();
    assert_eq!(changed, [Kind::Service]);
}

#[test]
fn every_address_that_is_asked_for_has_a_service() {
    let other = Address { kind: AddressKind::Hostname, value: "a.example".to_owned() };
    #[expect(clippy::type_complexity, reason = "a table")]
    let cases: [(&[Address], BTreeSet<DemandedPort>, &[(&str, &str)]); 5] = [
        (&[], tcp(&[80]), &[("web-sluice", "")]),
        (&[ip("")], tcp(&[80]), &[("web-sluice", "")]),
        (&[ip("198.18.0.1")], tcp(&[80]), &[("web-sluice", "198.18.0.1")]),
        (
            &[ip("198.18.0.1"), other, ip("198.18.0.2")],
            tcp(&[80]),
            &[("web-sluice", "198.18.0.1"), ("web-sluice-1", "198.18.0.2")],
        ),
        (&[], tcp(&[]), &[]),
    ];
    for (addresses, ports, expected) in cases {
        let objects = made(&demand(addresses, ports), &Parameters::default());
        let services = objects.iter().filter(|it| it.kind == Kind::Service);
        let found: Vec<(&str, &str)> = services
            .map(|it| (&*it.name.name, it.content["spec"]["loadBalancerIP"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(found, expected, "{addresses:?}");
    }
}

#[test]
fn parameters_are_where_they_belong() {
    let parameters = Parameters {
        proxies: crate::parameters::Proxies::Own,
        replicas: Some(3),
        service_type: ServiceType::ClusterIp,
        load_balancer_class: Some("internal".to_owned()),
        log_level: Some("debug".to_owned()),
        workers: Some(4),
        cpu_request: Some("1".to_owned()),
        memory_request: Some("64Mi".to_owned()),
        memory_limit: Some("1Gi".to_owned()),
        priority_class: Some("high".to_owned()),
    };
    let objects = made(&demand(&[], tcp(&[80])), &parameters);
    let of = |kind| &objects.iter().find(|it| it.kind == kind).unwrap().content["spec"];
    assert_eq!(of(Kind::Service)["type"], "ClusterIP");
    assert!(of(Kind::Service)["loadBalancerClass"].is_null(), "it balances nothing");
    let deployment = of(Kind::Deployment);
    assert_eq!(deployment["replicas"], 3);
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["priorityClassName"], "high");
    let arguments = pod["containers"][0]["args"].to_string();
    assert!(arguments.contains("--log-level=debug") && arguments.contains("--workers=4"), "{arguments}");
    let resources = json!({"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "1Gi"}});
    assert_eq!(pod["containers"][0]["resources"], resources);
}

#[test]
fn what_is_shared_belongs_to_the_class_and_asks_for_its_scope() {
    let demand = demand(&[], tcp(&[80]));
    let scope = Scope::Class(ObjectName::new("infra", "sluice"));
    let objects = wanted(&scope, &demand, &Parameters::default(), &installation());
    assert_eq!(objects.len(), Kind::ALL.len());
    for object in &objects {
        assert_eq!(object.name.to_string(), "infra/sluice-proxies");
        let owner = &object.content["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["name"]), (&json!("GatewayClass"), &json!("sluice")));
    }
    let deployment = objects.iter().find(|it| it.kind == Kind::Deployment).unwrap();
    let arguments = deployment.content["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(arguments.contains("--scope=class/infra/sluice"), "{arguments}");
    assert_eq!(wanted(&Scope::Fleet, &demand, &Parameters::default(), &installation()), []);
}

#[test]
fn labels_of_the_gateway_never_hide_ours() {
    let mut demand = demand(&[], tcp(&[80]));
    demand.labels.insert(crate::names::COMPONENT_LABEL.to_owned(), "mine".to_owned());
    for object in made(&demand, &Parameters::default()) {
        assert_eq!(object.content["metadata"]["labels"][crate::names::COMPONENT_LABEL], "gateway");
    }
}
